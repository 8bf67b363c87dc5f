/**
 * Predicates of `.if`, `.elif` and `-cc` (HAProxy manual 2.4). Each answers from the environment
 * and from what this program claims to be (`base/version.ts`).
 */
import {
  COMPATIBLE_VERSION,
  hasFeature,
  TLS_LIBRARY_NAME,
  TLS_LIBRARY_OPENSSL_VERSION,
} from "../../base/version.ts";
import type { Variables } from "../lexer.ts";

/** One predicate: its word, how many arguments it takes, and its answer. */
export type Predicate = {
  name: string;
  args: string;
  argCount: number;
  effect: string;
  test: (args: readonly string[], variables: Variables) => boolean;
};

/** What `enabled(NAME)` knows, and whether it is in use. */
const RUNTIME_OPTIONS: Record<string, boolean> = {
  POLL: false,
  EPOLL: true,
  KQUEUE: false,
  EVPORTS: false,
  SPLICE: false,
  GETADDRINFO: true,
  REUSEPORT: true,
  "FAST-FORWARD": true,
  "SERVER-SSL-VERIFY-NONE": false,
};

/** A release sorts after every development version of the same number. */
const RELEASE = Number.POSITIVE_INFINITY;

/** `3.5-dev5` → [3, 5, -1, 5], `3.5.2` → [3, 5, 2, RELEASE]; missing parts are zero. */
function versionParts(text: string): number[] {
  const match = /^(\d+)?(?:\.(\d+))?(?:\.(\d+))?(?:-dev(\d+)?)?/u.exec(text);
  const isDev = text.includes("-dev");
  const number = (index: number): number => Number(match?.[index] ?? 0);
  return [number(1), number(2), isDev ? -1 : number(3), isDev ? number(4) : RELEASE];
}

/** Negative, zero or positive, as HAProxy version `left` is older, equal or newer than `right`. */
export function compareVersions(left: string, right: string): number {
  const a = versionParts(left);
  const b = versionParts(right);
  for (const [index, part] of a.entries()) {
    const other = b[index] ?? 0;
    if (part !== other) return part < other ? -1 : 1;
  }
  return 0;
}

/** Compares OpenSSL versions such as `1.1.1k` or `3.0.2`. */
function compareTls(right: string): number {
  const parts = (text: string): number[] => {
    const match = /^(\d+)?(?:\.(\d+))?(?:\.(\d+))?([a-z])?/u.exec(text);
    const letter = match?.[4];
    const numbers = [1, 2, 3].map((index) => Number(match?.[index] ?? 0));
    return [...numbers, letter === undefined ? 0 : letter.charCodeAt(0) - 96];
  };
  const a = parts(TLS_LIBRARY_OPENSSL_VERSION);
  const b = parts(right);
  for (const [index, part] of a.entries()) {
    const other = b[index] ?? 0;
    if (part !== other) return part < other ? -1 : 1;
  }
  return 0;
}

const arg = (args: readonly string[], index: number): string => args[index] ?? "";

/** All predicates; what `condition.ts` looks up and the manual page lists. */
export const PREDICATES: readonly Predicate[] = [
  {
    name: "awslc_api_atleast",
    args: "<number>",
    argCount: 1,
    effect: "False: the TLS library is not AWS-LC.",
    test: () => false,
  },
  {
    name: "awslc_api_before",
    args: "<number>",
    argCount: 1,
    effect: "False: the TLS library is not AWS-LC.",
    test: () => false,
  },
  {
    name: "defined",
    args: "<name>",
    argCount: 1,
    effect: "True when the environment has the variable, even an empty one.",
    test: (args, variables) => variables(arg(args, 0)) !== undefined,
  },
  {
    name: "enabled",
    args: "<option>",
    argCount: 1,
    effect: "True when the named run-time option is in use.",
    test: (args) => RUNTIME_OPTIONS[arg(args, 0)] ?? false,
  },
  {
    name: "feature",
    args: "<name>",
    argCount: 1,
    effect: "True when `-vv` lists the feature with a plus sign.",
    test: (args) => hasFeature(arg(args, 0)),
  },
  {
    name: "fips_mode",
    args: "",
    argCount: 0,
    effect: "False: the TLS library does not run in FIPS mode.",
    test: () => false,
  },
  {
    name: "openssl_version_atleast",
    args: "<version>",
    argCount: 1,
    effect: "True when the OpenSSL version that the TLS library claims is that one or newer.",
    test: (args) => compareTls(arg(args, 0)) >= 0,
  },
  {
    name: "openssl_version_before",
    args: "<version>",
    argCount: 1,
    effect: "True when the OpenSSL version that the TLS library claims is older.",
    test: (args) => compareTls(arg(args, 0)) < 0,
  },
  {
    name: "ssllib_name_startswith",
    args: "<text>",
    argCount: 1,
    effect: "True when the name of the TLS library begins so.",
    test: (args) => TLS_LIBRARY_NAME.startsWith(arg(args, 0)),
  },
  {
    name: "streq",
    args: "<text>,<text>",
    argCount: 2,
    effect: "True when the two texts are the same.",
    test: (args) => arg(args, 0) === arg(args, 1),
  },
  {
    name: "strneq",
    args: "<text>,<text>",
    argCount: 2,
    effect: "True when the two texts differ.",
    test: (args) => arg(args, 0) !== arg(args, 1),
  },
  {
    name: "strstr",
    args: "<text>,<part>",
    argCount: 2,
    effect: "True when the first text contains the second.",
    test: (args) => arg(args, 0).includes(arg(args, 1)),
  },
  {
    name: "version_atleast",
    args: "<version>",
    argCount: 1,
    effect: `True when HAProxy ${COMPATIBLE_VERSION}, which is spoken here, is that one or newer.`,
    test: (args) => compareVersions(COMPATIBLE_VERSION, arg(args, 0)) >= 0,
  },
  {
    name: "version_before",
    args: "<version>",
    argCount: 1,
    effect: `True when HAProxy ${COMPATIBLE_VERSION}, which is spoken here, is older.`,
    test: (args) => compareVersions(COMPATIBLE_VERSION, arg(args, 0)) < 0,
  },
];
