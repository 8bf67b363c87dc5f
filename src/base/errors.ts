/**
 * The only list of errors, but for the messages about the text of a configuration (config/): what
 * happened, whose fault it is, whether trying again may help, and what to do. Codes are never
 * reused. `docs/errors.md` is made of it; `test/unit/base/errors.test.ts` holds that each error is
 * raised somewhere.
 *
 * Sentences that HAProxy has too are HAProxy's to the letter. Those say no code: it follows in a
 * line of its own, with the remedy. Main thread; nothing on the way of traffic throws these.
 */

/** Whose fault: the files', the command line's, the system's for want of something, or ours. */
export type ErrorKind = "configuration" | "usage" | "refused" | "resource" | "internal";

/** One error. `{name}` in the sentence is a hole. */
export type ErrorRow = {
  kind: ErrorKind;
  /** The same thing may work a little later, with nothing changed. */
  mayRetry: boolean;
  sentence: string;
  /** The sentence is HAProxy's and stays as it is. */
  isHaproxys: boolean;
  remedy: string;
};

/** All errors by code. */
export const ERRORS = {
  SLC_CONFIG_REFUSED: {
    kind: "configuration",
    mayRetry: false,
    sentence: "Fatal errors found in configuration.",
    isHaproxys: true,
    remedy: "Mend what the alerts name; `-c` checks a file without starting.",
  },
  SLC_NO_LISTENER: {
    kind: "configuration",
    mayRetry: false,
    sentence: "[sluice.main()] No enabled listener found (check for 'bind' directives) ! Exiting.",
    isHaproxys: true,
    remedy: "Add a `bind` line to a frontend that is not disabled.",
  },
  SLC_WORKING_FOLDER: {
    kind: "usage",
    mayRetry: false,
    sentence: "Could not change to directory {path} : {reason}",
    isHaproxys: true,
    remedy: "Name a folder with `-C` that exists and may be entered.",
  },
  SLC_BIND_FAILED: {
    kind: "resource",
    mayRetry: true,
    sentence: "[sluice.main()] Some protocols failed to start their listeners! Exiting.",
    isHaproxys: true,
    remedy:
      "Each alert above names an address: is another process there (`ss -ltnp`), is the address " +
      "one of this machine, is the port below 1024 without the right to it? To take over from a " +
      "running process, name its pid with `-sf`.",
  },
  SLC_API_SOCKET: {
    kind: "resource",
    mayRetry: true,
    sentence:
      "Binding [{file}:{line}] for frontend GLOBAL: cannot bind {what} ({reason}) [{address}]",
    isHaproxys: true,
    remedy:
      "Name a path of `stats socket` in a folder that exists and in which this user may write, " +
      "where nothing stands but a socket; or an address of this machine whose port is free.",
  },
  SLC_PAGE_SOCKET: {
    kind: "resource",
    mayRetry: true,
    sentence:
      "Binding [{file}:{line}] for {kind} {name}: cannot bind socket ({reason}) for [{address}]",
    isHaproxys: true,
    remedy:
      "A statistics page listens there: name an address of this machine that no other process " +
      "has (`ss -ltnp`), and a port of 1024 or more where the right to a lower one is missing.",
  },
  SLC_DESCRIPTOR_RAISE: {
    kind: "resource",
    mayRetry: false,
    sentence: "[sluice.main()] Cannot raise FD limit to {wanted}, limit is {limit}.",
    isHaproxys: true,
    remedy: "Raise the hard limit of descriptors (`ulimit -Hn`, LimitNOFILE=) or lower `maxconn`.",
  },
  SLC_DESCRIPTOR_LIMIT: {
    kind: "resource",
    mayRetry: false,
    sentence:
      "[sluice.main()] FD limit ({limit}) too low for maxconn={maxconn}/maxsock={needed}. " +
      "Please raise 'ulimit-n' to {needed} or more to avoid any trouble.",
    isHaproxys: true,
    remedy: "Raise `ulimit-n`, or leave it out: it is then what `maxconn` needs.",
  },
  SLC_MAXCONN_LOWERED: {
    kind: "resource",
    mayRetry: false,
    sentence: "maxconn is lowered to {maxconn}, which {descriptors} descriptors allow.",
    isHaproxys: false,
    remedy: "Raise the limit of descriptors; `strict-limits` makes this an error.",
  },
  SLC_CHECKS_LIMITED: {
    kind: "resource",
    mayRetry: false,
    sentence:
      "At most {checks} of {all} checks run at a time, which {descriptors} descriptors allow; " +
      "others that are due wait.",
    isHaproxys: false,
    remedy: "Raise the limit of descriptors; `strict-limits` makes this an error.",
  },
  SLC_PID_FILE: {
    kind: "resource",
    mayRetry: false,
    sentence: "[sluice.main()] Cannot create pidfile {path}",
    isHaproxys: true,
    remedy: "The folder of the pid file must exist and be writable before privileges are dropped.",
  },
  SLC_CHROOT: {
    kind: "refused",
    mayRetry: false,
    sentence: "Cannot chroot({path}).",
    isHaproxys: true,
    remedy: "The folder must exist, and the process start as root (CAP_SYS_CHROOT).",
  },
  SLC_SET_GROUP: {
    kind: "refused",
    mayRetry: false,
    sentence: "Cannot set gid {gid}.",
    isHaproxys: true,
    remedy: "Start as root (CAP_SETGID), or leave `group` and `gid` out.",
  },
  SLC_SET_USER: {
    kind: "refused",
    mayRetry: false,
    sentence: "Cannot set uid {uid}.",
    isHaproxys: true,
    remedy: "Start as root (CAP_SETUID), or leave `user` and `uid` out.",
  },
  SLC_GROUPS_KEPT: {
    kind: "refused",
    mayRetry: false,
    sentence:
      "Failed to drop supplementary groups. Using 'gid'/'group' without 'uid'/'user' is " +
      "generally useless.",
    isHaproxys: true,
    remedy: "Start as root (CAP_SETGID).",
  },
  SLC_BACKGROUND: {
    kind: "resource",
    mayRetry: true,
    sentence: "The process in the background has no descriptor to tell that it serves.",
    isHaproxys: false,
    remedy: "Look at the limit of descriptors, or stay in the foreground (`-db`).",
  },
  SLC_UNEXPECTED: {
    kind: "internal",
    mayRetry: true,
    sentence: "[sluice.main()] {reason}",
    isHaproxys: false,
    remedy: "If it fails again, report the sentence together with the output of `-vv`.",
  },
  SLC_WORKER_BEHIND: {
    kind: "internal",
    mayRetry: true,
    sentence: "A worker has not applied the configuration within {seconds} s.",
    isHaproxys: false,
    remedy: "Look for alerts of that worker above; on a very slow machine start again.",
  },
  SLC_NEEDS_NATIVE: {
    kind: "resource",
    mayRetry: false,
    sentence: "{count} words of the configuration need the native part, which is not active.",
    isHaproxys: false,
    remedy:
      "Each alert above names one. Build where there is a C compiler, or take the words out; " +
      "`-vv` says why the native part is not active.",
  },
  SLC_TABLE_FULL: {
    kind: "resource",
    mayRetry: false,
    sentence: "The {table} table is full: it holds {rows} rows (see docs/limits.md).",
    isHaproxys: false,
    remedy: "Split the configuration over several processes.",
  },
  SLC_ARENA_FULL: {
    kind: "resource",
    mayRetry: false,
    sentence: "The memory for heaps, rings and maps is full (see docs/limits.md).",
    isHaproxys: false,
    remedy: "Use smaller weights with `hash-type consistent`, or split the configuration.",
  },
  SLC_LOG_SINK: {
    kind: "configuration",
    mayRetry: false,
    sentence: "log : '{sink}' cannot be used: {reason}",
    isHaproxys: false,
    remedy: "Name an address that datagrams or streams can be sent to; lines to it are lost.",
  },
  SLC_LOG_LINES_LOST: {
    kind: "resource",
    mayRetry: true,
    sentence: "{count} log lines were lost; so far by {sinks}",
    isHaproxys: false,
    remedy:
      "The reader is slower than the log or gone: see to it, or log less (`option dontlog…`).",
  },
  SLC_MAILS_LOST: {
    kind: "resource",
    mayRetry: true,
    sentence: "Mailer {mailer} was not given {count} mails about servers; the last: {reason}",
    isHaproxys: false,
    remedy:
      "See to the mail server, or to its address in the `mailers` section; what it was not given " +
      "is in the log.",
  },
  SLC_INTERNAL: {
    kind: "internal",
    mayRetry: false,
    sentence: "internal error, the process goes on: {reason}",
    isHaproxys: false,
    remedy: "Report the sentence and the stack that follows it; traffic is not concerned.",
  },
} as const satisfies Record<string, ErrorRow>;

/** `SLC_…`. */
export type ErrorCode = keyof typeof ERRORS;

/** Names of the holes of a sentence. */
type Holes<Sentence> = Sentence extends `${string}{${infer Hole}}${infer Rest}`
  ? Hole | Holes<Rest>
  : never;

/** What fills the sentence of an error. */
export type ErrorFacts<Code extends ErrorCode> = Record<
  Holes<(typeof ERRORS)[Code]["sentence"]>,
  string | number
>;

/** An error of the list as a text for people: HAProxy's sentence, or ours with its code. */
export function errorText<Code extends ErrorCode>(code: Code, facts: ErrorFacts<Code>): string {
  const row: ErrorRow = ERRORS[code];
  const values = new Map<string, string | number>(Object.entries(facts));
  const sentence = row.sentence.replace(/\{(\w+)\}/g, (hole, name: string) =>
    String(values.get(name) ?? hole),
  );
  return row.isHaproxys ? sentence : `${sentence} [${code}]`;
}

/** The line that follows an error that ends a start: its code, and what to do. */
export function errorRemedy(code: ErrorCode): string {
  return `${code}: ${ERRORS[code].remedy}`;
}

/** An error of the list on its way to whoever tells it. */
export class SluiceError<Code extends ErrorCode = ErrorCode> extends Error {
  override name = "SluiceError";
  readonly code: Code;

  constructor(code: Code, facts: ErrorFacts<Code>) {
    super(errorText(code, facts));
    this.code = code;
  }
}
