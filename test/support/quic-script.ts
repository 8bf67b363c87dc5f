/**
 * The language of tcp-script.ts for one end of a QUIC stream. Steps as there, and besides:
 *
 *   shut           FIN, goes on reading
 *   reset CODE     RESET_STREAM: breaks off what it sends
 *   stop CODE      STOP_SENDING: takes no more
 *   hear-stop      waits until the other side takes no more, and says with which code
 *   read-end       waits for the end of what it reads: `end`, `reset CODE` or `died`
 *   read-death     waits for the end of the connection, and says how
 *   close CODE     closes the connection with an application's code
 *   kill, freeze   its endpoint is gone, or stands still, without a word
 *
 * What was read before an end is told behind it, as `end "answer"`. Bytes that come before a reset
 * may or may not arrive, by the nature of QUIC: a script reads them first if it wants to see them.
 */
import { TEST_TIMEOUT_MS, within } from "./procs.ts";
import type { QuicStream } from "./quic-quiche-stream.ts";
import { type PeerOptions, type QuicConnection, QuicEndpoint } from "./quic-quiche.ts";
import { Flags, type Transcript } from "./tcp-script.ts";

const SHOWN_BYTES_MAX = 120;

/** One end of a stream and what it has seen. */
class QuicEnd {
  readonly transcript: Transcript = [];
  readonly stream: QuicStream;
  #received = Buffer.alloc(0);
  #unsent: Buffer[] = [];
  #finish: string | undefined;
  #stop: number | undefined;
  #wake = Promise.withResolvers<void>();

  constructor(stream: QuicStream) {
    this.stream = stream;
    stream.handlers = {
      data: (bytes) => {
        this.#received = Buffer.concat([this.#received, bytes]);
        this.#stir();
      },
      end: () => this.#over("end"),
      reset: (code) => this.#over(`reset ${code}`),
      died: () => this.#over("died"),
      stop: (code) => {
        this.#stop = code;
        this.#unsent = [];
        this.#stir();
      },
      writable: () => this.#flush(),
    };
  }

  note(text: string): void {
    this.transcript.push(text);
  }

  #over(how: string): void {
    this.#finish ??= how;
    this.#stir();
  }

  #stir(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }

  async #waitFor(what: string, isReady: () => boolean): Promise<void> {
    while (!isReady()) await within(what, this.#wake.promise, TEST_TIMEOUT_MS);
  }

  async send(bytes: Buffer): Promise<void> {
    this.#unsent.push(bytes);
    this.#flush();
    await this.#waitFor("the stream to take what is sent", () => this.#unsent.length === 0);
  }

  #flush(): void {
    for (let first = this.#unsent[0]; first !== undefined; first = this.#unsent[0]) {
      const count = this.stream.write(first);
      if (count < 0) this.#unsent = [];
      else if (count < first.length) {
        this.#unsent[0] = first.subarray(count);
        return;
      } else this.#unsent.shift();
    }
    this.#stir();
  }

  async readBytes(count: number): Promise<void> {
    const isReady = (): boolean => this.#received.length >= count || this.#finish !== undefined;
    await this.#waitFor(`${count} bytes`, isReady);
    const bytes = this.#received.subarray(0, count);
    this.#received = this.#received.subarray(bytes.length);
    if (bytes.length > 0) this.note(`read ${show(bytes)}`);
    if (bytes.length < count) this.note(`${this.#finish ?? ""} early`);
  }

  async readEnd(): Promise<void> {
    await this.#waitFor("the end", () => this.#finish !== undefined);
    const before = this.#received.length === 0 ? "" : ` ${show(this.#received)}`;
    this.#received = Buffer.alloc(0);
    this.note(`${this.#finish ?? ""}${before}`);
  }

  async hearStop(): Promise<void> {
    const isReady = (): boolean => this.#stop !== undefined || this.#finish === "died";
    await this.#waitFor("the other side to take no more", isReady);
    this.note(this.#stop === undefined ? "died" : `stop ${this.#stop}`);
  }

  async readDeath(): Promise<void> {
    const end = await within("the connection to end", this.stream.connection.ended.promise);
    this.note(end.how === "idle" ? "idle" : `${end.how} ${end.code}`);
  }
}

function show(bytes: Buffer): string {
  if (bytes.length > SHOWN_BYTES_MAX) return `${bytes.length} bytes`;
  return JSON.stringify(bytes.toString("latin1"));
}

type Action = (end: QuicEnd, argument: string, flags: Flags) => Promise<void> | void;

const ACTIONS: Record<string, Action> = {
  send: (end, text) => {
    const value: string = text.startsWith('"') ? JSON.parse(text) : text;
    return end.send(Buffer.from(value, "latin1"));
  },
  fill: (end, count) => end.send(Buffer.alloc(Number(count), "x")),
  read: (end, count) => end.readBytes(Number(count)),
  "read-end": (end) => end.readEnd(),
  "hear-stop": (end) => end.hearStop(),
  "read-death": (end) => end.readDeath(),
  shut: (end) => end.stream.finish(),
  reset: (end, code) => end.stream.reset(Number(code)),
  stop: (end, code) => end.stream.stop(Number(code)),
  close: (end, code) => end.stream.connection.close(Number(code)),
  kill: (end) => end.stream.connection.endpoint.kill(),
  freeze: (end) => end.stream.connection.endpoint.freeze(),
  pause: (end) => end.stream.pause(),
  resume: (end) => end.stream.resume(),
  wait: (_end, ms) => Bun.sleep(Number(ms)),
  tell: (_end, name, flags) => flags.tell(name),
  hear: (_end, name, flags) => flags.hear(name),
};

async function play(end: QuicEnd, script: string, flags: Flags): Promise<void> {
  const steps = script.match(/(?:"(?:\\.|[^"\\])*"|[^;"])+/g) ?? [];
  for (const text of steps) {
    const [, word = "", argument = ""] = /^\s*(\S*)\s*(.*?)\s*$/s.exec(text) ?? [];
    if (word === "") continue;
    const action = ACTIONS[word];
    if (action === undefined) throw new Error(`unknown step '${word}' in '${script}'`);
    try {
      await action(end, argument, flags);
    } catch (error) {
      end.note(`stuck at '${word} ${argument}': ${String(error)}`);
      break;
    }
  }
}

/** Plays `script` on a new stream of `connection`, and leaves the connection as it is. */
export async function playQuicStream(
  script: string,
  connection: QuicConnection,
  flags = new Flags(),
): Promise<Transcript> {
  const end = new QuicEnd(connection.openStream());
  await play(end, script, flags);
  return end.transcript;
}

/** A server that plays the same script on every stream that comes. */
export interface QuicScriptServer extends AsyncDisposable {
  readonly port: number;
  readonly endpoint: QuicEndpoint;
  /** Waits until `count` streams have come and been played; their transcripts. */
  finished(count: number): Promise<Transcript[]>;
}

/** Starts it. `options` must have a certificate. */
export async function startQuicScriptServer(
  script: string,
  options: PeerOptions & { flags?: Flags },
): Promise<QuicScriptServer> {
  const { flags = new Flags(), ...peer } = options;
  const transcripts: Transcript[] = [];
  const played: Promise<void>[] = [];
  let wake = Promise.withResolvers<void>();
  const endpoint = await QuicEndpoint.open({
    ...peer,
    onConnection(connection) {
      connection.onStream = (stream) => {
        const end = new QuicEnd(stream);
        transcripts.push(end.transcript);
        played.push(play(end, script, flags));
        wake.resolve();
        wake = Promise.withResolvers();
      };
    },
  });
  return {
    port: endpoint.port,
    endpoint,
    async finished(count) {
      while (played.length < count) await within(`${count} streams to come`, wake.promise);
      await Promise.all(played);
      return transcripts;
    },
    [Symbol.asyncDispose]: () => endpoint[Symbol.asyncDispose](),
  };
}
