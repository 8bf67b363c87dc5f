/** A conversation of `sluice ctl` with a process: commands out, one after the other, answers in. */
import type { RawCommand } from "../lines.ts";
import { AnswerReader } from "./answers.ts";
import type { AnswerEvent } from "./answers.ts";
import type { RuntimeClient } from "./client.ts";
import { encodeCommand } from "./encode.ts";
import { print } from "./print.ts";

/** Exit codes: everything was done. */
export const DONE = 0;
/** The connection ended before the answer did. */
export const BROKEN_OFF = 2;
/** A command was refused. */
export const REFUSED = 3;

/**
 * What is sent first: the connection stays, for longer than anybody reads, and messages say how
 * grave they are.
 */
const OPENING = "prompt i\nset severity-output number\nset timeout cli 86400\n";
const OPENING_ANSWERS = 3;
/** As much of a JSON answer's ends as shows its code. */
const JSON_END_LENGTH = 64;

type TextEvent = AnswerEvent & { kind: "text" };

export class Talk {
  readonly #client: RuntimeClient;
  readonly #isJson: boolean;
  readonly #answers = new AnswerReader();
  readonly #events: AnswerEvent[] = [];
  /** Resolves when all answers so far have been read. */
  #last: Promise<unknown>;
  #hasPrinted = false;

  /** Sends what comes before all commands. */
  constructor(client: RuntimeClient, isJson: boolean) {
    this.#client = client;
    this.#isJson = isJson;
    client.send(OPENING);
    this.#last = this.#read(OPENING_ANSWERS, async () => undefined);
  }

  /** True when the other side has ended the connection. */
  get isOver(): boolean {
    return this.#client.isOver;
  }

  /** Runs commands and prints their answers. @returns the exit code that they deserve */
  run(commands: readonly RawCommand[]): Promise<number> {
    const running = this.#run(commands, this.#last);
    this.#last = running;
    return running;
  }

  /** Runs one command silently. @returns its lines; none when it was refused */
  async ask(words: string[]): Promise<string[]> {
    let text = "";
    const before = this.#last;
    this.#client.send(encodeCommand({ words, payload: undefined, problem: undefined }, ""));
    const asked = before.then(() =>
      this.#read(1, async (event) => {
        if (!event.isRefusal) text += event.text;
      }),
    );
    this.#last = asked;
    await asked;
    return text.split("\n").filter((line) => line !== "");
  }

  async #run(commands: readonly RawCommand[], before: Promise<unknown>): Promise<number> {
    const problem = commands.find((command) => command.problem !== undefined)?.problem;
    const sent = problem === undefined ? commands.filter(({ words }) => words.length > 0) : [];
    for (const command of sent) {
      this.#client.send(encodeCommand(command, this.#isJson ? "json" : ""));
    }
    await before;
    if (problem !== undefined) {
      await print(2, `${problem}\n`);
      return REFUSED;
    }
    let code = DONE;
    const judge = new JsonJudge();
    const count = await this.#read(sent.length, async (event) => {
      const isRefused = this.#isJson ? judge.isRefused(event) : event.isRefusal;
      if (isRefused) code = REFUSED;
      // An empty line parts answers, as the socket does.
      const gap = event.isFirst && this.#hasPrinted && !this.#isJson ? "\n" : "";
      this.#hasPrinted = true;
      await print(event.isRefusal ? 2 : 1, gap + event.text);
    });
    const hasQuit = sent[count]?.words[0] === "quit";
    if (count === sent.length || hasQuit) return code;
    await print(2, "sluice ctl: the connection broke off\n");
    return BROKEN_OFF;
  }

  /** Reads so many answers. @returns how many came before the connection ended */
  async #read(count: number, take: (event: TextEvent) => Promise<void>): Promise<number> {
    let ended = 0;
    while (ended < count) {
      const event = this.#events.shift();
      if (event === undefined) {
        const text = await this.#client.read();
        if (text === undefined) return ended;
        this.#events.push(...this.#answers.push(text));
      } else if (event.kind === "end") {
        ended++;
      } else {
        await take(event);
      }
    }
    return ended;
  }
}

/** Finds the code of a JSON answer: at its beginning, or behind a text that was streamed. */
class JsonJudge {
  #head = "";
  #tail = "";

  isRefused(event: TextEvent): boolean {
    if (event.isFirst) this.#head = this.#tail = "";
    if (this.#head.length < JSON_END_LENGTH) this.#head += event.text.slice(0, JSON_END_LENGTH);
    this.#tail = (this.#tail + event.text).slice(-JSON_END_LENGTH);
    if (!this.#tail.endsWith("}\n")) return false;
    const code =
      /^\{"code":"(\w+)"/.exec(this.#head) ?? /"code":"(\w+)","severity":\d\}\n$/.exec(this.#tail);
    return code?.[1] !== "OK";
  }
}
