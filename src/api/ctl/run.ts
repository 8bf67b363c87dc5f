/**
 * `sluice ctl`: asks a running process, prints what it answers, and says in its exit code how that
 * went. The commands go out one a line on a connection without a prompt, and each answer is read
 * by its empty line, so that HAProxy's own sockets can be asked as well.
 */
import { startTimer } from "../../base/clock.ts";
import { LineReader, splitLine } from "../lines.ts";
import type { RawCommand } from "../lines.ts";
import { connectRuntime } from "./client.ts";
import type { RuntimeClient } from "./client.ts";
import { completionScript } from "./completion.ts";
import { joinWords } from "./encode.ts";
import { CTL_USAGE, parseCtl } from "./options.ts";
import type { CtlOptions } from "./options.ts";
import { print } from "./print.ts";
import { findSocket, parseSocketAddress } from "./socket-address.ts";
import { BROKEN_OFF, DONE, REFUSED, Talk } from "./talk.ts";
import { converse } from "./terminal.ts";

const NO_CONNECTION = 1;

/** Runs `ctl` with the words behind it. @returns the exit code */
export async function runCtl(
  argv: readonly string[],
  environment: Record<string, string | undefined>,
): Promise<number> {
  const line = parseCtl(argv);
  switch (line.kind) {
    case "usage":
      await print(2, `sluice ctl: ${line.problem}\n${CTL_USAGE}\n`);
      return NO_CONNECTION;
    case "help":
      await print(1, `${CTL_USAGE}\n`);
      return DONE;
    case "script":
      await print(1, completionScript(line.shell));
      return DONE;
    case "complete": {
      const words = ["complete", ...line.words];
      return ask(
        { kind: "ask", socket: line.socket, limitMs: 3000, isJson: false, words },
        environment,
      );
    }
    case "ask":
      return ask(line, environment);
  }
}

async function ask(
  options: CtlOptions,
  environment: Record<string, string | undefined>,
): Promise<number> {
  const socket = findSocket(options.socket ?? environment["SLUICE_STATS_SOCKET"]);
  const where = parseSocketAddress(socket);
  if (where === undefined) {
    await print(2, `sluice ctl: '${socket}' is no address of a socket\n`);
    return NO_CONNECTION;
  }
  let client: RuntimeClient;
  try {
    client = await connectRuntime(where);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    await print(2, `sluice ctl: cannot reach ${socket}: ${reason}\n`);
    return NO_CONNECTION;
  }
  const code = await within(options.limitMs, talkAbout(options, new Talk(client, options.isJson)));
  client.close();
  return code;
}

/** Gives up after a time; 0 = never. */
async function within(limitMs: number, work: Promise<number>): Promise<number> {
  if (limitMs <= 0) return work;
  const late = Promise.withResolvers<number>();
  const timer = startTimer(limitMs, () => late.resolve(-1));
  const code = await Promise.race([work, late.promise]);
  timer.stop();
  if (code >= 0) return code;
  await print(2, `sluice ctl: no answer within ${limitMs / 1000} s\n`);
  return BROKEN_OFF;
}

async function talkAbout(options: CtlOptions, talk: Talk): Promise<number> {
  if (options.words.length > 0) return talk.run(await commandsOf(options.words));
  if (process.stdin.isTTY === true && !options.isJson) return converse(talk);
  return runInput(talk);
}

/** The commands of a command line; a payload that it opens is standard input. */
async function commandsOf(words: readonly string[]): Promise<RawCommand[]> {
  const { commands, pattern } = splitLine(joinWords(words));
  if (pattern !== undefined) commands.at(-1)!.payload = (await Bun.stdin.text()).trimEnd();
  return commands;
}

/** Standard input, line by line, as it comes. */
async function runInput(talk: Talk): Promise<number> {
  const reader = new LineReader();
  const answered: Promise<number>[] = [];
  let isInPayload = false;
  const take = (): void => {
    for (;;) {
      const read = reader.next();
      if (read.kind === "broken") {
        answered.push(print(2, `sluice ctl: ${read.sentence}\n`).then(() => REFUSED));
        return;
      }
      if (read.kind === "starved") {
        isInPayload = read.isInPayload;
        return;
      }
      answered.push(talk.run(read.commands));
    }
  };
  for await (const bytes of Bun.stdin.stream()) {
    reader.push(Buffer.from(bytes));
    take();
  }
  // The last line may lack its newline, and its payload the empty line.
  if (reader.pendingBytes > 0) reader.push(Buffer.from("\n"));
  take();
  if (isInPayload) {
    await print(2, "sluice ctl: the input ends within a payload\n");
    return BROKEN_OFF;
  }
  return Math.max(DONE, ...(await Promise.all(answered)));
}
