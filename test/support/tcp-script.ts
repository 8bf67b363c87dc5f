/**
 * A one-line language for what one end of a TCP connection does, well-behaved or not. Steps are
 * separated by `;` and played in order; what the end saw comes back as a transcript of words.
 *
 *   send TEXT      writes; TEXT is a bare word or a JSON string ("a\r\n")
 *   fill N         writes N bytes
 *   read N         waits for N bytes more
 *   read-line      waits for a line
 *   read-end       waits for the peer's FIN or reset, and says which, with what came before
 *   shut           half-close: FIN, goes on reading
 *   close          full close
 *   reset          RST
 *   pause, resume  stops and goes on reading from the kernel
 *   wait MS        lets time pass: for time limits, never for synchronisation
 *   tell NAME      raises a flag that all scripts of the same `Flags` share
 *   hear NAME      waits for it
 *
 * Example: a client that closes its side first, and a server that answers after that.
 *   client  send hello; shut; read-end           → open, end "bye"
 *   server  read-end; send bye; close            → open, end "hello"
 */
import type { Socket } from "bun";

import { TEST_TIMEOUT_MS, until, within } from "./procs.ts";

/** What one end saw, a few words each: `open`, `read "x"`, `end ""`, `reset`, `refused`. */
export type Transcript = string[];

/** Longer data is told as a count. */
const SHOWN_BYTES_MAX = 120;

/** Flags by which scripts wait for each other. */
export class Flags {
  readonly #raised = new Set<string>();

  tell(name: string): void {
    this.#raised.add(name);
  }

  async hear(name: string): Promise<void> {
    await until(`flag ${name}`, () => this.#raised.has(name));
  }
}

/** One end of a connection: what has arrived, and what has become of it. */
class End {
  readonly transcript: Transcript = [];
  socket: Socket<End> | undefined;
  /** What has come and is not read: the first `#receivedLength` bytes of a buffer that doubles. */
  #room = Buffer.alloc(4096);
  #receivedLength = 0;
  #unsent: Buffer[] = [];
  /** How the peer closed its side, if it has. */
  #finish: "end" | "reset" | undefined;
  #wake = Promise.withResolvers<void>();

  note(text: string): void {
    this.transcript.push(text);
  }

  takeData(bytes: Buffer): void {
    const length = this.#receivedLength + bytes.length;
    if (length > this.#room.length) {
      const larger = Buffer.alloc(Math.max(length, 2 * this.#room.length));
      this.#received.copy(larger);
      this.#room = larger;
    }
    bytes.copy(this.#room, this.#receivedLength);
    this.#receivedLength = length;
    this.#stir();
  }

  get #received(): Buffer {
    return this.#room.subarray(0, this.#receivedLength);
  }

  takeFinish(how: "end" | "reset"): void {
    this.#finish ??= how;
    this.#stir();
  }

  #stir(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }

  /** Waits until `isReady`, woken by whatever arrives. */
  async #waitFor(what: string, isReady: () => boolean): Promise<void> {
    while (!isReady()) await within(what, this.#wake.promise, TEST_TIMEOUT_MS);
  }

  async readBytes(count: number): Promise<void> {
    await this.#waitFor(
      `${count} bytes`,
      () => this.#received.length >= count || this.#finish !== undefined,
    );
    this.#noteRead(Math.min(count, this.#received.length), count);
  }

  async readLine(): Promise<void> {
    await this.#waitFor("a line", () => this.#received.includes(10) || this.#finish !== undefined);
    const end = this.#received.indexOf(10);
    this.#noteRead(end < 0 ? this.#received.length : end + 1, 1);
  }

  async readEnd(): Promise<void> {
    await this.#waitFor("the end", () => this.#finish !== undefined);
    const before = this.#received.length === 0 ? "" : ` ${show(this.#received)}`;
    this.#receivedLength = 0;
    this.note(`${this.#finish ?? ""}${before}`);
  }

  #noteRead(count: number, wanted: number): void {
    const bytes = Buffer.from(this.#received.subarray(0, count));
    this.#room.copyWithin(0, count, this.#receivedLength);
    this.#receivedLength -= count;
    if (count > 0) this.note(`read ${show(bytes)}`);
    if (count < wanted) this.note(`${this.#finish ?? ""} early`);
  }

  send(bytes: Buffer): void {
    this.#unsent.push(bytes);
    this.flush();
  }

  flush(): void {
    for (let first = this.#unsent[0]; first !== undefined; first = this.#unsent[0]) {
      const count = this.socket?.write(first, 0, first.length) ?? -1;
      if (count < 0) this.#unsent = [];
      if (count < first.length) {
        if (count > 0) this.#unsent[0] = first.subarray(count);
        return this.#stir();
      }
      this.#unsent.shift();
    }
    this.#stir();
  }

  /** Waits until the kernel has taken all that was sent, or the connection is gone. */
  async flushed(): Promise<void> {
    await this.#waitFor(
      "the kernel to take what is sent",
      () => this.#unsent.length === 0 || this.#finish === "reset",
    );
  }
}

function show(bytes: Buffer): string {
  if (bytes.length > SHOWN_BYTES_MAX) return `${bytes.length} bytes`;
  return JSON.stringify(bytes.toString("latin1"));
}

/** The handlers that both kinds of ends share. */
const HANDLERS = {
  data(socket: Socket<End>, bytes: Buffer): void {
    socket.data.takeData(bytes);
  },
  drain(socket: Socket<End>): void {
    socket.data.flush();
  },
  end(socket: Socket<End>): void {
    socket.data.takeFinish("end");
  },
  close(socket: Socket<End>, error?: Error): void {
    socket.data.takeFinish(error === undefined ? "end" : "reset");
  },
  error(_socket: Socket<End>, error: Error): void {
    throw error;
  },
};

interface Step {
  word: string;
  argument: string;
}

/** Splits a script into steps; throws on an unknown word: a typing error is no behaviour. */
export function parseScript(script: string): Step[] {
  const steps = script.match(/(?:"(?:\\.|[^"\\])*"|[^;"])+/g) ?? [];
  return steps.flatMap((text) => {
    const match = /^\s*(\S+)\s*(.*?)\s*$/s.exec(text);
    const word = match?.[1] ?? "";
    if (word === "") return [];
    if (!(word in ACTIONS)) throw new Error(`unknown step '${word}' in '${script}'`);
    return [{ word, argument: match?.[2] ?? "" }];
  });
}

type Action = (end: End, argument: string, flags: Flags) => Promise<void> | void;

const ACTIONS: Record<string, Action> = {
  send: async (end, text) => {
    const value: string = text.startsWith('"') ? JSON.parse(text) : text;
    end.send(Buffer.from(value, "latin1"));
    await end.flushed();
  },
  fill: async (end, count) => {
    end.send(Buffer.alloc(Number(count), "x"));
    await end.flushed();
  },
  read: (end, count) => end.readBytes(Number(count)),
  "read-line": (end) => end.readLine(),
  "read-end": (end) => end.readEnd(),
  shut: (end) => void end.socket?.shutdown(),
  close: (end) => void end.socket?.end(),
  reset: (end) => void end.socket?.terminate(),
  pause: (end) => void end.socket?.pause(),
  resume: (end) => void end.socket?.resume(),
  wait: (_end, ms) => Bun.sleep(Number(ms)),
  tell: (_end, name, flags) => flags.tell(name),
  hear: (_end, name, flags) => flags.hear(name),
};

async function play(end: End, steps: readonly Step[], flags: Flags): Promise<void> {
  for (const step of steps) {
    try {
      await ACTIONS[step.word]?.(end, step.argument, flags);
    } catch (error) {
      end.note(`stuck at '${step.word} ${step.argument}': ${String(error)}`);
      break;
    }
  }
  end.socket?.end();
}

/** Where and how a client connects. */
export interface ClientOptions {
  port?: number;
  unix?: string;
  host?: string;
  /** Source address, such as 127.0.0.7. */
  from?: string;
  flags?: Flags;
}

/** Plays `script` on a new connection; a script that does not close is closed at its end. */
export async function playClient(script: string, options: ClientOptions): Promise<Transcript> {
  const steps = parseScript(script);
  const end = new End();
  const socket = { ...HANDLERS, open() {}, connectError() {} };
  const common = { data: end, allowHalfOpen: true, socket };
  const from = options.from === undefined ? {} : { localAddress: options.from };
  const { host: hostname = "127.0.0.1", port = 0, unix } = options;
  try {
    end.socket = await (unix === undefined
      ? Bun.connect<End>({ ...common, ...from, hostname, port })
      : Bun.connect<End>({ ...common, unix }));
  } catch {
    return ["refused"];
  }
  end.note("open");
  await play(end, steps, options.flags ?? new Flags());
  return end.transcript;
}

/** A server whose every connection plays the same script. */
export interface ScriptServer extends AsyncDisposable {
  readonly port: number;
  /** Transcripts of all connections so far, in order of arrival. */
  readonly transcripts: Transcript[];
  /** Waits until `count` connections have come and played to their end; their transcripts. */
  finished(count: number): Promise<Transcript[]>;
}

/** Starts a server on a free port of the loopback, or on a unix socket. */
export function startScriptServer(
  script: string,
  options: { flags?: Flags; unix?: string; port?: number } = {},
): ScriptServer {
  const steps = parseScript(script);
  const flags = options.flags ?? new Flags();
  const transcripts: Transcript[] = [];
  let played = 0;
  const socket = {
    ...HANDLERS,
    open(accepted: Socket<End>): void {
      const end = new End();
      end.socket = accepted;
      accepted.data = end;
      end.note("open");
      transcripts.push(end.transcript);
      void play(end, steps, flags).then(() => played++);
    },
  };
  let listener: { stop(closeActive: boolean): void };
  let port = 0;
  if (options.unix === undefined) {
    const hostname = "127.0.0.1";
    const tcp = Bun.listen<End>({ hostname, port: options.port ?? 0, allowHalfOpen: true, socket });
    listener = tcp;
    port = tcp.port;
  } else {
    listener = Bun.listen<End>({ unix: options.unix, allowHalfOpen: true, socket });
  }
  return {
    port,
    transcripts,
    async finished(count) {
      await until(`${count} connections to be served`, () => played >= count);
      return transcripts;
    },
    async [Symbol.asyncDispose]() {
      listener.stop(true);
    },
  };
}
