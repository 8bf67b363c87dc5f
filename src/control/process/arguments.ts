/**
 * The command line: HAProxy's options (management manual, chapter 3), `--help` and `ctl`.
 *
 * One table holds every option with its state: *done*, *inert* (it tunes what sluice does not have;
 * accepted without effect) or *refused* by name with the reason. The parser and `--help` read that
 * table. Pure: nothing here touches the process.
 */

/** What `-sf` and `-st` name: signal these processes once the new one serves. */
export type OldProcesses = { signal: "SIGUSR1" | "SIGTERM"; pids: number[] };

/** The options of a start or a check. */
export type RunOptions = {
  /** Files and folders, in the order of the command line. */
  files: string[];
  /** `-c`: read the configuration, say what is wrong, exit. */
  checkOnly: boolean;
  /** `-V`. */
  verbose: boolean;
  /** `-q`. */
  quiet: boolean;
  /** `-d`: stay in the foreground and talk. */
  debug: boolean;
  /** `-D`. */
  daemon: boolean;
  /** `-db`: never go to the background, whatever the configuration says. */
  foreground: boolean;
  /** `-dW`. */
  zeroWarning: boolean;
  /** `-dr`. */
  ignoreResolution: boolean;
  /** `-dD`. */
  diagnostics: boolean;
  serverVerifyNone: boolean;
  dnsIpv4Only: boolean;
  /** `-dR`. */
  noReusePort: boolean;
  /** `-dL`. */
  dumpLibraries: boolean;
  /** `--skip-coming`: skip known words that are not built, instead of refusing them. */
  skipComing: boolean;
  /** `-dK…`: classes, as written. */
  dumpKeywords?: string;
  /** `-dC`. */
  dumpConfig: boolean;
  pidfile?: string;
  /** `-C`. */
  directory?: string;
  /** `-n`: connections of the process. */
  maxconn?: number;
  /** `-N`: default of a proxy. */
  proxyMaxconn?: number;
  /** `-m`, in megabytes. */
  memoryLimitMb?: number;
  /** `-L`. */
  localPeer?: string;
  oldProcesses: OldProcesses[];
};

/** What the command line asks for. `problem`: a sentence for stderr. */
export type CommandLine =
  | { kind: "run"; options: RunOptions }
  | { kind: "version"; full: boolean }
  | { kind: "help" }
  | { kind: "condition"; text: string }
  | { kind: "ctl"; words: string[] }
  | { kind: "usage"; problem: string };

/** One option of the table. */
type OptionRule = {
  name: string;
  /** Words that follow; `attached`: the rest of the same word. */
  takes: "nothing" | "value" | "pids" | "attached";
  /** How `--help` names what it takes. */
  placeholder?: string;
  state: "done" | "inert" | "refused";
  /** One line: what it does; for inert and refused ones why. */
  note: string;
  /** Applies it; returns a sentence if the value is wrong. */
  apply?: (options: RunOptions, value: string) => string | undefined;
};

const done = (
  name: string,
  note: string,
  apply: NonNullable<OptionRule["apply"]>,
  takes: OptionRule["takes"] = "nothing",
  placeholder?: string,
): OptionRule => ({
  name,
  takes,
  state: "done",
  note,
  apply,
  ...(placeholder === undefined ? {} : { placeholder }),
});

const inert = (name: string, note: string, takes: OptionRule["takes"] = "nothing"): OptionRule => ({
  name,
  takes,
  state: "inert",
  note,
});

const refused = (name: string, note: string, takes: OptionRule["takes"]): OptionRule => ({
  name,
  takes,
  state: "refused",
  note,
});

const MASTER = "the master process comes with the release that reloads without a break";

/** Every option, in the order of `--help`. Those that take attached text come after exact ones. */
export const OPTION_RULES: readonly OptionRule[] = [
  done("-f", "load a file, or all .cfg files of a folder; repeatable", addFile, "value", "PATH"),
  done("-c", "check the configuration and exit", (o) => void (o.checkOnly = true)),
  done("-V", "say more (with -c: say that the file is valid)", (o) => {
    o.verbose = true;
    o.quiet = false;
    return undefined;
  }),
  done("-q", "print no messages", (o) => {
    o.quiet = true;
    o.verbose = false;
    return undefined;
  }),
  done("-d", "stay in the foreground, print what happens", (o) => void (o.debug = true)),
  done("-db", "stay in the foreground", (o) => void (o.foreground = true)),
  done("-D", "go to the background once everything listens", (o) => void (o.daemon = true)),
  done("-p", "write the process's pid to a file", (o, v) => void (o.pidfile = v), "value", "FILE"),
  done("-C", "change to a folder first", (o, v) => void (o.directory = v), "value", "DIR"),
  done("-n", "most connections of the process", numberInto("maxconn"), "value", "COUNT"),
  done("-N", "default limit of a proxy", numberInto("proxyMaxconn"), "value", "COUNT"),
  done(
    "-m",
    "keep the connections to what fits into this memory",
    numberInto("memoryLimitMb"),
    "value",
    "MEGABYTES",
  ),
  done("-L", "name of this machine among its peers", setLocalPeer, "value", "NAME"),
  done("-sf", "once it serves, tell these processes to finish", oldPids("SIGUSR1"), "pids", "PID…"),
  done("-st", "once it serves, tell these processes to stop", oldPids("SIGTERM"), "pids", "PID…"),
  done("-dW", "any warning stops the start", (o) => void (o.zeroWarning = true)),
  done("-dD", "warn about what looks like a mistake", (o) => void (o.diagnostics = true)),
  done("-dV", "verify no certificates of servers", (o) => void (o.serverVerifyNone = true)),
  done("-4", "ask name servers for IPv4 addresses only", (o) => void (o.dnsIpv4Only = true)),
  done("-dr", "start though server names do not resolve", (o) => void (o.ignoreResolution = true)),
  done(
    "--skip-coming",
    "skip words of the configuration that are known and not built yet",
    (o) => void (o.skipComing = true),
  ),
  done("-dR", "share no listening port (SO_REUSEPORT)", (o) => void (o.noReusePort = true)),
  done("-dL", "list the shared libraries", (o) => void (o.dumpLibraries = true)),
  done("-dK", "list keywords by class (-dKhelp, -dKall)", dumpKeywords, "attached", "CLASS,…"),
  done("-dC", "print the configuration as read", dumpConfig, "attached"),
  refused("-W", MASTER, "nothing"),
  refused("-Ws", MASTER, "nothing"),
  refused("-S", MASTER, "value"),
  refused("-x", "taking over listening sockets comes with that release too", "value"),
  refused("-dt", "traces come with the runtime API", "attached"),
  refused("-dA", "there is no archive of dependencies: sluice is one file", "attached"),
  inert("-dG", "names are looked up by the runtime"),
  inert("-dM", "memory is managed by the runtime", "attached"),
  inert("-dI", "sluice starts no processes"),
  inert("-dF", "there is no fast-forward to switch off"),
  inert("-dS", "splice is not used"),
  inert("-dT", "kernel TLS is not used"),
  inert("-dZ", "there is no zero-copy to switch off"),
  inert("-dc", "threads are not bound to processors"),
  inert("-de", "the runtime always uses epoll"),
  inert("-dk", "the runtime always uses epoll"),
  inert("-dp", "the runtime always uses epoll"),
  inert("-dv", "the runtime always uses epoll"),
];

/** Reads the words after the program's name. */
export function parseArguments(argv: readonly string[]): CommandLine {
  if (argv[0] === "ctl") return { kind: "ctl", words: argv.slice(1) };
  const options = newRunOptions();
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? "";
    if (word === "--help" || word === "-h") return { kind: "help" };
    if (word === "-v" || word === "--version") return { kind: "version", full: false };
    if (word === "-vv") return { kind: "version", full: true };
    if (word === "--") {
      options.files.push(...argv.slice(i + 1));
      break;
    }
    if (word === "-cc") {
      const text = argv[i + 1];
      if (text === undefined) return usage("-cc needs a condition");
      return { kind: "condition", text };
    }
    const rule = findRule(word);
    if (rule === undefined) return usage(`unknown argument '${word}'`);
    const values = valuesOf(rule, argv, i);
    if (typeof values === "string") return usage(values);
    i += values.consumed;
    if (rule.state === "refused") return usage(`${rule.name} is not available: ${rule.note}`);
    for (const value of values.list) {
      const problem = rule.apply?.(options, value);
      if (problem !== undefined) return usage(problem);
    }
  }
  return { kind: "run", options };
}

function usage(problem: string): CommandLine {
  return { kind: "usage", problem };
}

/** Options with nothing set. */
export function newRunOptions(): RunOptions {
  return {
    files: [],
    checkOnly: false,
    verbose: false,
    quiet: false,
    debug: false,
    daemon: false,
    foreground: false,
    zeroWarning: false,
    ignoreResolution: false,
    diagnostics: false,
    serverVerifyNone: false,
    dnsIpv4Only: false,
    noReusePort: false,
    dumpLibraries: false,
    skipComing: false,
    dumpConfig: false,
    oldProcesses: [],
  };
}

function findRule(word: string): OptionRule | undefined {
  const exact = OPTION_RULES.find((rule) => rule.name === word);
  if (exact !== undefined) return exact;
  return OPTION_RULES.find((rule) => rule.takes === "attached" && word.startsWith(rule.name));
}

/** The values of the option at `argv[at]`, and how many further words they take. */
function valuesOf(
  rule: OptionRule,
  argv: readonly string[],
  at: number,
): { list: string[]; consumed: number } | string {
  switch (rule.takes) {
    case "nothing":
      return { list: [""], consumed: 0 };
    case "attached":
      return { list: [(argv[at] ?? "").slice(rule.name.length)], consumed: 0 };
    case "value": {
      const value = argv[at + 1];
      const what = rule.placeholder === undefined ? "a value" : `a value (${rule.placeholder})`;
      return value === undefined ? `${rule.name} needs ${what}` : { list: [value], consumed: 1 };
    }
    case "pids": {
      // The list may be empty, as when it comes from `pidof`; it ends at the next option.
      const rest = argv.slice(at + 1);
      const end = rest.findIndex((word) => word.startsWith("-"));
      const words = end < 0 ? rest : rest.slice(0, end);
      return {
        list: words.flatMap((word) => word.split(/\s+/)).filter((word) => word !== ""),
        consumed: words.length,
      };
    }
  }
}

function addFile(options: RunOptions, path: string): undefined {
  options.files.push(path);
}

function setLocalPeer(options: RunOptions, name: string): string | undefined {
  if (name === "") return "-L needs a name that is not empty";
  options.localPeer = name;
  return undefined;
}

function numberInto(
  field: "maxconn" | "proxyMaxconn" | "memoryLimitMb",
): NonNullable<OptionRule["apply"]> {
  return (options, value) => {
    const count = Number(value);
    if (!/^\d+$/.test(value) || !Number.isSafeInteger(count)) {
      const flag = { maxconn: "-n", proxyMaxconn: "-N", memoryLimitMb: "-m" }[field];
      return `${flag} needs a number, not '${value}'`;
    }
    // Zero is HAProxy's way of saying "as if the option were not there".
    if (count > 0) options[field] = count;
    return undefined;
  };
}

function oldPids(signal: OldProcesses["signal"]): NonNullable<OptionRule["apply"]> {
  return (options, value) => {
    const flag = signal === "SIGUSR1" ? "-sf" : "-st";
    if (!/^[1-9]\d*$/.test(value))
      return `${flag} option: some bytes unconsumed in PID list {${value}}`;
    const known = options.oldProcesses.find((old) => old.signal === signal);
    if (known === undefined) options.oldProcesses.push({ signal, pids: [Number(value)] });
    else known.pids.push(Number(value));
    return undefined;
  };
}

function dumpKeywords(options: RunOptions, value: string): string | undefined {
  if (value === "") return "-dK needs a class: see -dKhelp";
  options.dumpKeywords = value;
  return undefined;
}

function dumpConfig(options: RunOptions, value: string): string | undefined {
  if (value !== "" && value !== "0") {
    return `-dC${value} is not available: hiding names by a key comes with the runtime API`;
  }
  options.dumpConfig = true;
  return undefined;
}
