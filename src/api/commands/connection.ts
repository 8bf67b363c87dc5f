/**
 * Commands about the connection itself: help, prompt, level, modes, output; and what the process
 * says of itself in a word (HAProxy management manual 9.3).
 */
import { random32 } from "../../base/prng.ts";
import { Refusal } from "../../base/refusals.ts";
import { COMPATIBLE_VERSION, SLUICE_VERSION } from "../../base/version.ts";
import { parseTime } from "../../config/numbers.ts";
import { message, output } from "../command.ts";
import type { Asker, Call, Command, Level, Reply } from "../command.ts";
import { apiFacts } from "../facts.ts";
import { allowsLevel, helpText } from "../registry.ts";

const KEY_MAX = 0xffff_ffff;

const PROMPT_USAGE = `Usage: prompt [help | n | i | p | timed]*
Changes the default prompt and interactive mode. Available options:
  help    display this help
  n       set to single-command mode (no prompt, single command)
  i       set to interactive mode only (no prompt, multi-command)
  p       set to prompt+interactive mode (prompt + multi-command)
  timed   toggle displaying the current date in the prompt
Without any argument, toggles between n/i->p, p->n.`;

/** Nothing to say. */
const DONE: Reply = { kind: "output", text: "" };

/** The commands. */
export const CONNECTION_COMMANDS: readonly Command[] = [
  {
    name: "help",
    usage: "[<command>]",
    summary: "list matching or all commands",
    level: "user",
    isHidden: true,
    run: ({ asker, args }) => message("info", helpText(asker, args)),
  },
  {
    name: "prompt",
    usage: "[help | n | i | p | timed ]*",
    summary: "toggle interactive mode with prompt",
    level: "user",
    isHidden: true,
    run: setPrompt,
  },
  {
    name: "quit",
    usage: "",
    summary: "disconnect",
    level: "user",
    isHidden: true,
    run: ({ asker }) => {
      asker.quits = true;
      return DONE;
    },
  },
  {
    name: "echo",
    usage: "<text>",
    summary: "print text to the output",
    level: "user",
    run: ({ args }) => output(`${args.join(" ").replace(/\n{2,}/g, "\n")}\n`),
  },
  {
    name: "operator",
    usage: "",
    summary: "lower the level of the current CLI session to operator",
    level: "operator",
    run: ({ asker }) => lowerLevel(asker, "operator"),
  },
  {
    name: "user",
    usage: "",
    summary: "lower the level of the current CLI session to user",
    level: "user",
    run: ({ asker }) => lowerLevel(asker, "user"),
  },
  {
    name: "expert-mode",
    usage: "[on|off]",
    summary: "allow the commands for experts on this connection",
    level: "admin",
    isHidden: true,
    run: (call) => setMode(call, "isExpert", "expert-mode"),
  },
  {
    name: "experimental-mode",
    usage: "[on|off]",
    summary: "allow the commands that are on trial on this connection",
    level: "admin",
    isHidden: true,
    run: (call) => setMode(call, "isExperimental", "experimental-mode"),
  },
  {
    name: "set severity-output",
    usage: "[none|number|string]",
    summary: "set presence of severity level in feedback information",
    level: "user",
    run: setSeverityOutput,
  },
  {
    name: "set timeout",
    usage: "[cli] <delay>",
    summary: "change a timeout setting",
    level: "user",
    run: setTimeoutCli,
  },
  {
    name: "set anon on",
    usage: "[value]",
    summary: "activate the anonymized mode",
    level: "user",
    run: setAnonymOn,
  },
  {
    name: "set anon off",
    usage: "",
    summary: "deactivate the anonymized mode",
    level: "user",
    run: ({ asker, args }) => {
      if (args.length > 0) {
        throw badArgument("Key can't be added while disabling anonymized mode");
      }
      asker.anonymKey = 0;
      return DONE;
    },
  },
  {
    name: "set anon global-key",
    usage: "<value>",
    summary: "change the global anonymizing key",
    level: "admin",
    run: setGlobalKey,
  },
  {
    name: "set anon",
    usage: "[on|off] [<key>]",
    summary: "hide names behind hashes in what this connection is shown",
    level: "user",
    isHidden: true,
    run: () => {
      throw badArgument(
        "'set anon' only supports :\n" +
          "   - 'on' [key] to enable the anonymized mode\n" +
          "   - 'off' to disable the anonymized mode",
      );
    },
  },
  {
    name: "show anon",
    usage: "",
    summary: "display the current state of anonymized mode",
    level: "user",
    run: showAnonym,
  },
  {
    name: "show cli level",
    usage: "",
    summary: "display the level of the current CLI session",
    level: "user",
    run: ({ asker }) => message("info", asker.level, { level: asker.level }),
  },
  {
    name: "show cli sockets",
    usage: "",
    summary: "dump list of cli sockets",
    level: "user",
    run: showSockets,
  },
  {
    name: "show env",
    usage: "[var]",
    summary: "dump environment variables known to the process",
    level: "operator",
    run: showEnvironment,
  },
  {
    name: "show version",
    usage: "",
    summary: "show version of the current process",
    level: "user",
    run: () =>
      message("info", COMPATIBLE_VERSION, { version: COMPATIBLE_VERSION, sluice: SLUICE_VERSION }),
  },
];

function badArgument(sentence: string): Refusal {
  return new Refusal("BAD_ARGUMENT", sentence);
}

function setPrompt({ asker, args }: Call): Reply {
  let mode: "n" | "i" | "p" | undefined;
  let isTimed = asker.prompt === "timed";
  for (const word of args) {
    if (word === "n" || word === "i" || word === "p") mode = word;
    else if (word === "timed") isTimed = !isTimed;
    else if (word === "help") return message("info", PROMPT_USAGE);
    else throw badArgument(PROMPT_USAGE);
  }
  const hasPrompt = asker.prompt === "plain" || asker.prompt === "timed";
  mode ??= hasPrompt && !args.includes("timed") ? "n" : "p";
  if (mode === "p") asker.prompt = isTimed ? "timed" : "plain";
  else asker.prompt = mode === "i" ? "interactive" : "none";
  return DONE;
}

function lowerLevel(asker: Asker, level: Level): Reply {
  if (!allowsLevel(asker.level, level)) throw new Refusal("PERMISSION", "Permission denied");
  asker.level = level;
  asker.isExpert = false;
  asker.isExperimental = false;
  return DONE;
}

function setMode({ asker, args }: Call, key: "isExpert" | "isExperimental", name: string): Reply {
  const [word] = args;
  if (word === undefined) return message("info", `${name} is ${asker[key] ? "ON" : "OFF"}`);
  // HAProxy takes any other word for `off`.
  asker[key] = word === "on";
  return DONE;
}

function setSeverityOutput({ asker, args }: Call): Reply {
  const [word] = args;
  if (word !== "none" && word !== "number" && word !== "string") {
    throw badArgument("one of 'none', 'number', 'string' is a required argument");
  }
  asker.severityOutput = word;
  return DONE;
}

function setTimeoutCli({ asker, args }: Call): Reply {
  const [what, delay] = args;
  if (what !== "cli") throw badArgument("'set timeout' only supports 'cli'.");
  if (delay === undefined) throw badArgument("Expects an integer value.");
  const seconds = parseTime(delay, "s");
  if (!seconds.ok || seconds.value < 1) throw badArgument("Invalid timeout value.");
  asker.timeoutMs = seconds.value * 1000;
  return DONE;
}

/** A key between `min` and 32 bits. */
function parseKey(word: string, min: number): number {
  const key = /^\d{1,10}$/.test(word) ? Number(word) : -1;
  if (key < min || key > KEY_MAX) {
    throw badArgument(`Value out of range (${min} to ${KEY_MAX} expected).`);
  }
  return key;
}

function setAnonymOn({ control, asker, args }: Call): Reply {
  const [word] = args;
  if (word !== undefined) asker.anonymKey = parseKey(word, 1);
  else asker.anonymKey = apiFacts(control).anonymKey || random32() || 1;
  return DONE;
}

function setGlobalKey({ control, args }: Call): Reply {
  const [word] = args;
  if (word === undefined) throw badArgument("Expects an integer value.");
  apiFacts(control).anonymKey = parseKey(word, 0);
  return DONE;
}

function showAnonym({ asker }: Call): Reply {
  const { anonymKey: key } = asker;
  if (key === 0) return message("info", "Anonymized mode disabled", { enabled: false });
  const isKeyShown = allowsLevel(asker.level, "operator");
  return message("info", `Anonymized mode enabled${isKeyShown ? `\nKey : ${key}` : ""}`, {
    enabled: true,
    ...(isKeyShown ? { key } : {}),
  });
}

function showSockets({ control }: Call): Reply {
  const { sockets } = apiFacts(control);
  const lines = sockets.map(({ name, level }) => `${name} ${level} all`);
  return output(["# socket lvl processes", ...lines].join("\n"), sockets);
}

function showEnvironment({ control, args }: Call): Reply {
  const [name] = args;
  const all = control.environment;
  if (name === undefined) {
    const lines = [...all].map(([key, value]) => `${key}=${value}`);
    return output(lines.join("\n").replace(/\n{2,}/g, "\n"), Object.fromEntries(all));
  }
  const value = all.get(name);
  if (value === undefined) throw badArgument("Variable not found");
  return output(`${name}=${value}`, { [name]: value });
}
