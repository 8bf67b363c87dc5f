/**
 * Keywords of `global` that are done: the process, its limits, its environment, its logs and its
 * runtime socket (HAProxy manual chapter 3). The rest of the chapter is in `global-rest.ts`.
 */
import { WORKERS_MAX } from "../../base/limits.ts";
import type { GlobalSpec } from "../../tables/spec.ts";
import { alertLine, hasArgs, warnLine } from "../context.ts";
import type { Line } from "../context.ts";
import type { GlobalDraft } from "../draft-global.ts";
import { parseLogLine } from "../log-line.ts";
import { parseDnsFamilies } from "../names/families.ts";
import { parseInteger, parseSize, parseTime } from "../numbers.ts";
import { done } from "./build.ts";
import type { Keyword } from "./keyword.ts";
import { parseStats } from "./stats-socket.ts";

/** Reads one line of `global` into the draft. */
export type GlobalParser = (line: Line) => void;

const GLOBAL = ["global"];
const INTEGER_MAX = 2 ** 31 - 1;

type NumberKey = {
  [K in keyof GlobalSpec]: GlobalSpec[K] extends number | undefined ? K : never;
}[keyof GlobalSpec];
type FlagKey = {
  [K in keyof GlobalDraft]: GlobalDraft[K] extends boolean ? K : never;
}[keyof GlobalDraft];
type TextKey =
  | "user"
  | "group"
  | "chroot"
  | "pidfile"
  | "node"
  | "logTag"
  | "serverStateFile"
  | "serverStateBase"
  | "statsFile";

function integer(key: NonNullable<NumberKey>, min: number, max = INTEGER_MAX): GlobalParser {
  return (line) => {
    if (!hasArgs(line, 1, 1, "an integer argument")) return;
    const value = parseInteger(line.args[0] ?? "", min, max);
    if (value.ok) line.context.global[key] = value.value;
    else alertLine(line, `'${line.keyword}' : ${value.message}`);
  };
}

function size(key: NonNullable<NumberKey>, min: number, max = INTEGER_MAX): GlobalParser {
  return (line) => {
    if (!hasArgs(line, 1, 1, "a size")) return;
    const value = parseSize(line.args[0] ?? "", min, max);
    if (value.ok) line.context.global[key] = value.value;
    else alertLine(line, `'${line.keyword}' : ${value.message}`);
  };
}

function time(key: NonNullable<NumberKey>): GlobalParser {
  return (line) => {
    if (!hasArgs(line, 1, 1, "a time")) return;
    const value = parseTime(line.args[0] ?? "");
    if (value.ok) line.context.global[key] = value.value;
    else alertLine(line, `${value.message} in argument to <${line.keyword}>.`);
  };
}

function flag(key: NonNullable<FlagKey>): GlobalParser {
  return (line) => {
    if (!hasArgs(line, 0, 0, "no argument")) return;
    line.context.global[key] = line.prefix !== "no";
  };
}

function text(key: TextKey, what: string): GlobalParser {
  return (line) => {
    if (hasArgs(line, 1, 1, what)) line.context.global[key] = line.args[0] ?? "";
  };
}

/** `user` and `group`: the name must exist where the process could really change to it. */
function account(key: "user" | "group"): GlobalParser {
  return (line) => {
    if (!hasArgs(line, 1, 1, `a ${key} name`)) return;
    const name = line.args[0] ?? "";
    const { accounts, global } = line.context;
    const number = key === "user" ? accounts.uidOf(name) : accounts.gidOf(name);
    if (number === undefined) {
      const problem = `cannot find ${key} id for '${name}'`;
      if (accounts.isRoot) alertLine(line, problem);
      else warnLine(line, `${problem}; this process could not change to it either`);
      return;
    }
    global[key] = name;
    global[key === "user" ? "uid" : "gid"] = number;
  };
}

const parseNbthread: GlobalParser = (line) => {
  if (!hasArgs(line, 1, 1, "a number of threads")) return;
  const value = parseInteger(line.args[0] ?? "", 1, WORKERS_MAX);
  if (value.ok) line.context.global.nbthread = value.value;
  else alertLine(line, `'nbthread' ${value.message}`);
};

/** `external-check [preserve-env]`. */
const parseExternalCheck: GlobalParser = (line) => {
  const [word, extra] = line.args;
  if (extra !== undefined) {
    alertLine(line, `'${line.keyword}' cannot handle unexpected argument '${extra}'.`);
  } else if (word !== undefined && word !== "preserve-env") {
    const only = "only supports 'preserve-env' as an argument";
    alertLine(line, `'${line.keyword}' ${only}, found '${word}'.`);
  } else {
    const preservesEnvironment = word !== undefined;
    line.context.global.externalCheck = { isAllowed: true, preservesEnvironment };
  }
};

const parseNbproc: GlobalParser = (line) => {
  warnLine(line, "nbproc is not supported any more: threads are used, one per processor.");
};

const parseFdHardLimit: GlobalParser = (line) => {
  if (!hasArgs(line, 1, 1, "an integer argument")) return;
  const value = parseInteger(line.args[0] ?? "", 1, INTEGER_MAX);
  const { global } = line.context;
  if (!value.ok) alertLine(line, `'fd-hard-limit' : ${value.message}`);
  else if (global.ulimitN === 0 || global.ulimitN > value.value) global.ulimitN = value.value;
};

const parseThreadGroups: GlobalParser = (line) => {
  if (!hasArgs(line, 1, 1, "an integer argument")) return;
  const value = parseInteger(line.args[0] ?? "", 1, 1024);
  if (!value.ok) alertLine(line, `'thread-groups' : ${value.message}`);
};

const parseDescription: GlobalParser = (line) => {
  if (line.args.length === 0) alertLine(line, "'description' expects a string argument.");
  else line.context.global.description = line.args.join(" ");
};

const parseLog: GlobalParser = (line) => {
  const { global } = line.context;
  if (line.prefix === "no") {
    global.logs = [];
    return;
  }
  if (line.args[0] === "global") {
    alertLine(line, "'log global' is not permitted in the global section.");
    return;
  }
  const log = parseLogLine(line);
  if (log !== undefined) global.logs.push(log);
};

const parseLogSendHostname: GlobalParser = (line) => {
  if (!hasArgs(line, 0, 1, "at most a host name")) return;
  line.context.global.logSendHostname = line.args[0] ?? "";
};

function setVariable(replace: boolean): GlobalParser {
  return (line) => {
    if (line.args.length !== 2) {
      alertLine(line, `'${line.keyword}' expects a name and a value.`);
      return;
    }
    const [name = "", value = ""] = line.args;
    if (name === "" || name.includes("=")) {
      alertLine(line, `'${line.keyword}' : '${name}' is no name of a variable.`);
      return;
    }
    line.context.environment.set(name, value, replace);
  };
}

const parseUnsetenv: GlobalParser = (line) => {
  if (!hasArgs(line, 1, line.args.length, "at least one variable name")) return;
  for (const name of line.args) line.context.environment.unset(name);
};

const parseResetenv: GlobalParser = (line) => line.context.environment.reset(line.args);

const parseLocalpeer: GlobalParser = (line) => {
  if (hasArgs(line, 1, 1, "a name")) line.context.global.localPeer = line.args[0] ?? "";
};

const parseSpreadChecks: GlobalParser = (line) => {
  if (!hasArgs(line, 1, 1, "an integer value (0..50)")) return;
  const value = parseInteger(line.args[0] ?? "", 0, 50);
  if (value.ok) line.context.global.spreadChecksPercent = value.value;
  else alertLine(line, "'spread-checks' needs a positive value in range 0..50.");
};

const parseUnixBind: GlobalParser = (line) => {
  const { unixBind } = line.context.global;
  for (let at = 0; at < line.args.length; at += 2) {
    const [word = "", value] = line.args.slice(at, at + 2);
    if (value === undefined) return alertLine(line, `'unix-bind' : '${word}' expects a value.`);
    if (word === "prefix") {
      unixBind.prefix = value;
    } else if (word === "mode" && /^[0-7]{1,4}$/u.test(value)) {
      unixBind.mode = Number.parseInt(value, 8);
    } else if (word === "uid" || word === "gid") {
      const number = parseInteger(value, 0, INTEGER_MAX);
      if (!number.ok) return alertLine(line, `'unix-bind ${word}' : ${number.message}`);
      unixBind[word] = number.value;
    } else if (word === "user" || word === "group") {
      const { accounts } = line.context;
      const id = word === "user" ? accounts.uidOf(value) : accounts.gidOf(value);
      if (id === undefined) return alertLine(line, `'unix-bind' : unknown ${word} '${value}'`);
      unixBind[word === "user" ? "uid" : "gid"] = id;
    } else if (word === "mode") {
      return alertLine(line, `'unix-bind' : invalid mode '${value}' (octal integer expected)`);
    } else {
      const known = "'prefix', 'mode', 'uid', 'gid', 'user' and 'group'";
      return alertLine(line, `'unix-bind' only supports the ${known} options (got '${word}').`);
    }
  }
};

/** Words that announce that later words are known to be unfinished: nothing to remember. */
const parseAcknowledged: GlobalParser = (line) => {
  hasArgs(line, 0, 0, "no argument");
};

/** The rows. */
export const GLOBAL_DONE: readonly Keyword<GlobalParser>[] = [
  ...done<GlobalParser>(GLOBAL, "3.1", [
    [
      "chroot",
      "<dir>",
      "Changes the root directory once started.",
      text("chroot", "a directory as an argument"),
    ],
    ["external-check", "[preserve-env]", "Permits checks by programs.", parseExternalCheck],
    ["daemon", "", "Goes to the background once started.", flag("daemon")],
    ["description", "<text>", "A text about this process, for statistics.", parseDescription],
    [
      "expose-deprecated-directives",
      "",
      "Accepted; nothing is hidden behind it.",
      parseAcknowledged,
    ],
    [
      "expose-experimental-directives",
      "",
      "Accepted; nothing is hidden behind it.",
      parseAcknowledged,
    ],
    ["fd-hard-limit", "<number>", "Most descriptors that the process uses.", parseFdHardLimit],
    ["gid", "<number>", "Group, by number, to change to once started.", integer("gid", 0)],
    [
      "grace",
      "<time>",
      "Time between the order to stop and the closing of the listeners.",
      time("graceMs"),
    ],
    ["group", "<name>", "Group to change to once started.", account("group")],
    ["hard-stop-after", "<time>", "Longest duration of a soft stop.", time("hardStopAfterMs")],
    ["localpeer", "<name>", "Name of this process among peers.", parseLocalpeer],
    [
      "log-send-hostname",
      "[<name>]",
      "Puts a host name into syslog headers.",
      parseLogSendHostname,
    ],
    ["log-tag", "<text>", "Tag of syslog headers.", text("logTag", "a tag for use in syslog")],
    [
      "dns-accept-family",
      "{ipv4|ipv6|auto}[,…]",
      "Families of addresses that are asked for by DNS.",
      parseDnsFamilies,
    ],
    ["nbproc", "<number>", "Old word: read with a warning, threads are used.", parseNbproc],
    ["nbthread", "<number>", "Number of workers.", parseNbthread],
    ["node", "<name>", "Name of this process, for statistics.", text("node", "a name")],
    [
      "pidfile",
      "<path>",
      "File to write the process number to.",
      text("pidfile", "a file name as an argument"),
    ],
    ["presetenv", "<name> <value>", "Sets a variable that is not set yet.", setVariable(false)],
    ["resetenv", "[<name>…]", "Forgets all variables but those named.", parseResetenv],
    [
      "server-state-base",
      "<dir>",
      "Folder of server state files.",
      text("serverStateBase", "one argument: a directory path"),
    ],
    [
      "server-state-file",
      "<path>",
      "File of server states to load at the start.",
      text("serverStateFile", "one argument: a file path"),
    ],
    ["setenv", "<name> <value>", "Sets a variable.", setVariable(true)],
    [
      "stats-file",
      "<path>",
      "Counters to begin with, as `dump stats-file` writes them.",
      text("statsFile", "one argument: a file path"),
    ],
    ["stats maxconn", "<number>", "Most connections of the runtime socket.", parseStats],
    [
      "stats socket",
      "<address> [level …] [mode …] [user …] [group …] [expose-fd listeners]",
      "Listens for runtime commands.",
      parseStats,
    ],
    [
      "stats timeout",
      "<time>",
      "Time after which an idle runtime connection is closed.",
      parseStats,
    ],
    ["thread-groups", "<number>", "Accepted; workers form one group.", parseThreadGroups],
    ["uid", "<number>", "User, by number, to change to once started.", integer("uid", 0)],
    ["ulimit-n", "<number>", "Most descriptors of the process.", integer("ulimitN", 0)],
    [
      "unix-bind",
      "[prefix <p>] [mode <m>] [user <u>] [uid <n>] [group <g>] [gid <n>]",
      "What all unix listeners have in common.",
      parseUnixBind,
    ],
    ["unsetenv", "<name>…", "Forgets variables.", parseUnsetenv],
    ["user", "<name>", "User to change to once started.", account("user")],
  ]),
  {
    name: "log",
    sections: GLOBAL,
    args: "<target> [len <n>] [format <f>] [sample <r>:<n>] <facility> [max [min]]",
    effect: "Adds a log target for the process and for proxies with `log global`.",
    reference: "3.1",
    state: "done",
    invertible: true,
    parse: parseLog,
  },
  {
    name: "insecure-fork-wanted",
    sections: GLOBAL,
    args: "",
    effect: "Permits the program to start others: checks by programs.",
    reference: "3.1",
    state: "done",
    invertible: true,
    parse: flag("insecureFork"),
  },
  {
    name: "strict-limits",
    sections: GLOBAL,
    args: "",
    effect: "Refuses to start when a limit cannot be set.",
    reference: "3.1",
    state: "done",
    invertible: true,
    parse: flag("strictLimits"),
  },
  ...done<GlobalParser>(GLOBAL, "3.2", [
    [
      "max-spread-checks",
      "<time>",
      "Longest time over which first checks are spread.",
      time("maxSpreadChecksMs"),
    ],
    ["maxconn", "<number>", "Most connections of the process.", integer("maxconn", 0)],
    ["maxconnrate", "<number>", "Most new connections a second.", integer("maxconnrate", 0)],
    ["maxsessrate", "<number>", "Most new sessions a second.", integer("maxsessrate", 0)],
    [
      "noreuseport",
      "",
      "One listening socket shared by the workers, not one each.",
      flag("noreuseport"),
    ],
    [
      "spread-checks",
      "<0..50>",
      "Random share of the check interval, in percent.",
      parseSpreadChecks,
    ],
    [
      "tune.bufsize",
      "<size>",
      "Bytes that a stream may hold in one direction.",
      size("bufsize", 1024),
    ],
    [
      "tune.maxaccept",
      "<number>",
      "Most connections accepted in a row by one worker.",
      integer("maxaccept", -1),
    ],
    [
      "tune.rcvbuf.client",
      "<size>",
      "Kernel receive buffer towards clients.",
      size("rcvbufClient", 0),
    ],
    [
      "tune.rcvbuf.server",
      "<size>",
      "Kernel receive buffer towards servers.",
      size("rcvbufServer", 0),
    ],
    [
      "tune.sndbuf.client",
      "<size>",
      "Kernel send buffer towards clients.",
      size("sndbufClient", 0),
    ],
    [
      "tune.sndbuf.server",
      "<size>",
      "Kernel send buffer towards servers.",
      size("sndbufServer", 0),
    ],
  ]),
  ...done<GlobalParser>(GLOBAL, "3.3", [
    ["quiet", "", "Prints nothing while starting.", flag("quiet")],
    ["zero-warning", "", "Refuses to start when there is a warning.", flag("zeroWarning")],
  ]),
];
