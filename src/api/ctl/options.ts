/** The command line of `sluice ctl`. Pure. */

/** What it asks for. */
export type CtlOptions = {
  kind: "ask";
  socket: string | undefined;
  /** Time for everything, ms; 0 = no limit. */
  limitMs: number;
  isJson: boolean;
  /** Words of a command; none: commands come from standard input. */
  words: string[];
};

/** Other things that `ctl` does, and what is wrong with a command line. */
export type CtlLine =
  | CtlOptions
  | { kind: "complete"; socket: string | undefined; words: string[] }
  | { kind: "script"; shell: "bash" | "zsh" }
  | { kind: "help" }
  | { kind: "usage"; problem: string };

/** How it is called. */
export const CTL_USAGE = `usage: sluice ctl [-s SOCKET] [-t SECONDS] [--json] [COMMAND…]
       sluice ctl completion bash|zsh

Sends a command to a running sluice and prints the answer. Without a command it reads
commands from standard input: line by line, or with a prompt from a terminal.

  -s SOCKET      path, abns@NAME or ADDRESS:PORT of a 'stats socket'; without it
                 SLUICE_STATS_SOCKET, or the first usual path that exists
  -t SECONDS     give up after so long
  --json         print each answer as one line of JSON
  completion     print a script that completes commands and names, to be sourced

A single COMMAND word may hold several commands parted by ';'. A last word '<<' reads the
command's payload from standard input.
Exit codes: 0 done, 1 no connection, 2 broken off or out of time, 3 refused.`;

/** Reads the words behind `ctl`. */
export function parseCtl(argv: readonly string[]): CtlLine {
  const options: CtlOptions = {
    kind: "ask",
    socket: undefined,
    limitMs: 0,
    isJson: false,
    words: [],
  };
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at]!;
    const value = argv[at + 1];
    if (word === "--complete") {
      return { kind: "complete", socket: options.socket, words: argv.slice(at + 1) };
    }
    if (word === "--help" || word === "-h") return { kind: "help" };
    if (word === "--json") {
      options.isJson = true;
    } else if (word === "-s") {
      if (value === undefined) return usage("-s needs the address of a runtime socket");
      options.socket = value;
      at++;
    } else if (word === "-t") {
      const seconds = Number(value);
      if (!(seconds > 0 && seconds <= 2_000_000)) return usage("-t needs a number of seconds");
      options.limitMs = seconds * 1000;
      at++;
    } else if (word === "--") {
      options.words = argv.slice(at + 1);
      break;
    } else if (word.startsWith("-") && word !== "-") {
      return usage(`unknown argument '${word}'`);
    } else {
      options.words = argv.slice(at);
      break;
    }
  }
  if (options.words[0] === "completion") return completionOf(options.words.slice(1));
  return options;
}

function usage(problem: string): CtlLine {
  return { kind: "usage", problem };
}

function completionOf([shell]: readonly string[]): CtlLine {
  if (shell === "bash" || shell === "zsh") return { kind: "script", shell };
  return usage("completion is there for bash and zsh");
}
