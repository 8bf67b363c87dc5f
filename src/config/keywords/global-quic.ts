/**
 * Keywords of `global` about QUIC and its TLS that are done (HAProxy manual 3.1, 3.2), under their
 * present and their older names. Those without effect are in `global-tune.ts`, by name.
 */
import { alertLine, hasArgs } from "../context.ts";
import type { Line } from "../context.ts";
import { parseInteger, parseSize, parseTime } from "../numbers.ts";
import type { QuicSideTuning } from "../quic/tuning.ts";
import { parseWindow } from "../quic/words.ts";
import { done, oneOf } from "./build.ts";
import type { DoneRow } from "./build.ts";
import type { GlobalParser } from "./global.ts";
import type { Keyword } from "./keyword.ts";

const GLOBAL = ["global"];
const INTEGER_MAX = 2 ** 31 - 1;

type Side = "front" | "back";

/** Reads one value into the tuning of one side. */
type SideParser = (side: Side) => GlobalParser;

type SideNumber = {
  [K in keyof QuicSideTuning]: QuicSideTuning[K] extends number ? K : never;
}[keyof QuicSideTuning];

function number(key: SideNumber, min: number, max: number): SideParser {
  return (side) => (line) => {
    if (!hasArgs(line, 1, 1, "an integer argument")) return;
    const value = parseInteger(line.args[0] ?? "", min, max);
    if (value.ok) line.context.global.quic[side][key] = value.value;
    else alertLine(line, `'${line.keyword}' : ${value.message}`);
  };
}

const idleTimeout: SideParser = (side) => (line) => {
  if (!hasArgs(line, 1, 1, "a time")) return;
  const value = parseTime(line.args[0] ?? "");
  if (value.ok) line.context.global.quic[side].idleTimeoutMs = value.value;
  else alertLine(line, `${value.message} in argument to <${line.keyword}>.`);
};

const window: SideParser = (side) => (line) => {
  if (!hasArgs(line, 1, 1, "a size")) return;
  const value = parseWindow(line.args[0] ?? "");
  if (value.ok) line.context.global.quic[side].cwndMax = value.value;
  else alertLine(line, `'${line.keyword}' : ${value.message}`);
};

const rxbuf: SideParser = (side) => (line) => {
  if (!hasArgs(line, 1, 1, "a size")) return;
  const value = parseSize(line.args[0] ?? "");
  if (value.ok) line.context.global.quic[side].rxbuf = value.value;
  else alertLine(line, `'${line.keyword}' : ${value.message}`);
};

/** `{ on | off }`; undefined after reporting anything else. */
function readSwitch(line: Line): boolean | undefined {
  if (!hasArgs(line, 1, 1, "'on' or 'off'")) return undefined;
  const value = oneOf(line.args[0] ?? "", ["on", "off"]);
  if (value.ok) return value.value === "on";
  alertLine(line, `'${line.keyword}' ${value.message}`);
  return undefined;
}

const gso: SideParser = (side) => (line) => {
  const { quic } = line.context.global;
  quic[side].gso = readSwitch(line) ?? quic[side].gso;
};

const disableGso: GlobalParser = (line) => {
  if (!hasArgs(line, 0, 0, "no argument")) return;
  const { front, back } = line.context.global.quic;
  front.gso = false;
  back.gso = false;
};

const parseRetryThreshold: GlobalParser = (line) => {
  if (!hasArgs(line, 1, 1, "an integer argument")) return;
  const value = parseInteger(line.args[0] ?? "", 0, INTEGER_MAX);
  if (value.ok) line.context.global.quic.retryThreshold = value.value;
  else alertLine(line, `'${line.keyword}' : ${value.message}`);
};

const parseListen: GlobalParser = (line) => {
  const { quic } = line.context.global;
  quic.isListening = readSwitch(line) ?? quic.isListening;
};

const parseLowPorts: GlobalParser = (line) => {
  const { quic } = line.context.global;
  quic.rejectLowPorts = readSwitch(line) ?? quic.rejectLowPorts;
};

const parseClusterSecret: GlobalParser = (line) => {
  if (!hasArgs(line, 1, 1, "the secret")) return;
  const secret = line.args[0] ?? "";
  if (secret === "") alertLine(line, `'${line.keyword}' expects the secret.`);
  else line.context.global.clusterSecret = secret;
};

function folder(key: "caBase" | "crtBase"): GlobalParser {
  return (line) => {
    if (hasArgs(line, 1, 1, "a folder")) line.context.global.tls[key] = line.args[0] ?? "";
  };
}

const parseServerVerify: GlobalParser = (line) => {
  if (!hasArgs(line, 1, 1, "'none' or 'required'")) return;
  const mode = oneOf(line.args[0] ?? "", ["none", "required"]);
  if (mode.ok) line.context.global.tls.serverVerify = mode.value;
  else alertLine(line, `'${line.keyword}' ${mode.message}`);
};

/** Of what it may hold, `strict-sni` is for QUIC; the rest is about older TLS. */
const parseBindOptions: GlobalParser = (line) => {
  for (const word of line.args) {
    if (word === "strict-sni") line.context.global.tls.strictSni = true;
    else if (word === "no-strict-sni") line.context.global.tls.strictSni = false;
    else line.context.inert(line.origin, `${line.keyword} ${word}`);
  }
};

/** Names behind `tune.quic.fe.` and `tune.quic.be.`, older names, arguments, effect. */
const SIDED: readonly (readonly [
  name: string,
  old: Partial<Record<Side, string>>,
  args: string,
  effect: string,
  parse: SideParser,
])[] = [
  [
    "cc.max-win-size",
    { front: "frontend.default-max-window-size" },
    "<size>",
    "Largest congestion window (480k).",
    window,
  ],
  [
    "max-idle-timeout",
    { front: "frontend.max-idle-timeout", back: "backend.max-idle-timeout" },
    "<time>",
    "Silence that ends a connection (30s); one with streams is kept awake.",
    idleTimeout,
  ],
  [
    "stream.data-ratio",
    { front: "frontend.stream-data-ratio" },
    "<0..100>",
    "Share of the connection's window that one stream may have, in percent (90).",
    number("dataRatio", 1, 100),
  ],
  [
    "stream.max-concurrent",
    { front: "frontend.max-streams-bidi" },
    "<number>",
    "Streams of a connection at a time (100).",
    number("streamsMax", 1, INTEGER_MAX),
  ],
  [
    "stream.rxbuf",
    { front: "frontend.max-data-size" },
    "<size>",
    "Unread bytes that a connection may have; 0 is 16k for each of its streams (1600k).",
    rxbuf,
  ],
  ["tx.udp-gso", {}, "{on|off}", "Hands the kernel several packets at once (on).", gso],
];

function sidedRows(): DoneRow<GlobalParser>[] {
  return SIDED.flatMap(([name, old, args, effect, parse]) =>
    (["front", "back"] as const).flatMap((side): DoneRow<GlobalParser>[] => {
      const towards = side === "front" ? "QUIC clients" : "QUIC servers";
      const text = `${towards}: ${effect.charAt(0).toLowerCase()}${effect.slice(1)}`;
      const current = `tune.quic.${side === "front" ? "fe" : "be"}.${name}`;
      const rows: DoneRow<GlobalParser>[] = [[current, args, text, parse(side)]];
      const oldName = old[side];
      if (oldName !== undefined) {
        rows.push([`tune.quic.${oldName}`, args, `Old spelling of \`${current}\`.`, parse(side)]);
      }
      return rows;
    }),
  );
}

/** The rows. */
export const GLOBAL_QUIC: readonly Keyword<GlobalParser>[] = [
  ...done<GlobalParser>(GLOBAL, "3.1", [
    [
      "ca-base",
      "<dir>",
      "Folder of certificate authorities with relative paths.",
      folder("caBase"),
    ],
    [
      "cluster-secret",
      "<secret>",
      "Key of QUIC's tokens, tickets and stateless resets, for processes that share clients.",
      parseClusterSecret,
    ],
    ["crt-base", "<dir>", "Folder of certificates with relative paths.", folder("crtBase")],
    [
      "harden.reject-privileged-ports.quic",
      "{on|off}",
      "Drops QUIC clients on ports below 1024 (on).",
      parseLowPorts,
    ],
    [
      "ssl-default-bind-options",
      "[<option>]…",
      "`strict-sni` counts for QUIC listeners; the rest has no effect.",
      parseBindOptions,
    ],
    [
      "ssl-server-verify",
      "{none|required}",
      "Whether certificates of QUIC servers are verified (required).",
      parseServerVerify,
    ],
  ]),
  ...done<GlobalParser>(GLOBAL, "3.2", [
    ...sidedRows(),
    [
      "tune.quic.disable-udp-gso",
      "",
      "Old spelling of `tx.udp-gso off` of both sides.",
      disableGso,
    ],
    [
      "tune.quic.fe.sec.retry-threshold",
      "<number>",
      "Handshakes under way at a worker from which clients must prove their address (100).",
      parseRetryThreshold,
    ],
    ["tune.quic.listen", "{on|off}", "`off` leaves all QUIC listeners out.", parseListen],
    [
      "tune.quic.retry-threshold",
      "<number>",
      "Old spelling of `tune.quic.fe.sec.retry-threshold`.",
      parseRetryThreshold,
    ],
  ]),
];
