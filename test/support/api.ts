/** A client of the runtime API: one connection a command, or one for many. */
import type { ApiPlace } from "./api-raw.ts";
import { within } from "./procs.ts";

const ANSWER_MS = 60_000;

/** Sends one line of commands on a connection of its own; all that comes back, trimmed. */
export async function askApi(path: string, line: string): Promise<string> {
  return (await answerOf({ unix: path }, line)).trimEnd();
}

/** The same on TCP, which a configuration can name at once; only its last empty line is cut. */
export async function askApiPort(port: number, line: string): Promise<string> {
  const text = await answerOf({ hostname: "127.0.0.1", port }, line);
  return text.replace(/\n\n$/, "\n").replace(/\n$/, "");
}

async function answerOf(place: ApiPlace, line: string): Promise<string> {
  const parts: Buffer[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = {
    data: (_socket: unknown, bytes: Buffer) => void parts.push(Buffer.from(bytes)),
    close: () => resolve(),
    error: (_socket: unknown, error: Error) => reject(error),
  };
  const opened = await ("unix" in place
    ? Bun.connect({ ...place, socket })
    : Bun.connect({ ...place, socket }));
  opened.write(`${line}\n`);
  await within(`an answer to '${line.slice(0, 60)}'`, promise, ANSWER_MS);
  return Buffer.concat(parts).toString();
}

/** One answer of the JSON form. */
export type JsonAnswer = {
  code: string;
  text?: string;
  result?: unknown;
  version?: number;
  holders?: { kind: string; text: string }[];
};

/** A connection that stays: commands one after the other, answers as JSON. */
export class ApiConnection implements AsyncDisposable {
  readonly #socket: Bun.Socket;
  readonly #waiting: ((line: string) => void)[] = [];
  #partial = "";

  private constructor(socket: Bun.Socket) {
    this.#socket = socket;
  }

  static async open(path: string): Promise<ApiConnection> {
    let self: ApiConnection | undefined;
    const early: Buffer[] = [];
    const socket = await Bun.connect({
      unix: path,
      socket: {
        data: (_socket, bytes) => {
          if (self === undefined) early.push(Buffer.from(bytes));
          else self.#received(bytes.toString());
        },
      },
    });
    self = new ApiConnection(socket);
    // The connection stays, without a prompt.
    socket.write("prompt i\n");
    await self.ask("show version");
    return self;
  }

  #received(text: string): void {
    const lines = (this.#partial + text).split("\n");
    this.#partial = lines.pop() ?? "";
    for (const line of lines) {
      // JSON answers are one line each; empty lines and prompts stand between them.
      const at = line.indexOf("{");
      if (at >= 0) this.#waiting.shift()?.(line.slice(at));
    }
  }

  /** Asks for the JSON form of a command's answer. */
  async ask(command: string): Promise<JsonAnswer> {
    const { promise, resolve } = Promise.withResolvers<string>();
    this.#waiting.push(resolve);
    this.#socket.write(`json ${command}\n`);
    const line = await within(`an answer to '${command.slice(0, 60)}'`, promise, ANSWER_MS);
    return JSON.parse(line) as JsonAnswer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.end();
  }
}
