/** Runtime sockets byte by byte: the test says what the client sends when, and when it leaves. */
import { TEST_TIMEOUT_MS, within } from "./procs.ts";

/** Where a runtime socket is. */
export type ApiPlace = { unix: string } | { hostname: string; port: number };

/** What came back. `isEnded`: the other side closed the connection. */
export type RawAnswer = { text: string; isEnded: boolean };

/** A client whose every step the test takes. */
export class RawClient implements AsyncDisposable {
  text = "";
  isEnded = false;
  #socket: Bun.Socket | undefined;
  #pending = Buffer.alloc(0);
  #wake: () => void = () => {};

  static async open(place: ApiPlace): Promise<RawClient> {
    const client = new RawClient();
    const socket = {
      open: (opened: Bun.Socket) => void (client.#socket = opened),
      data: (_socket: unknown, bytes: Buffer) => client.#received(bytes.toString("latin1")),
      drain: () => client.#flush(),
      end: () => client.#ended(),
      close: () => client.#ended(),
      error: () => client.#ended(),
    };
    await ("unix" in place
      ? Bun.connect({ ...place, allowHalfOpen: true, socket })
      : Bun.connect({ ...place, allowHalfOpen: true, socket }));
    return client;
  }

  #received(text: string): void {
    this.text += text;
    this.#wake();
  }

  #ended(): void {
    this.isEnded = true;
    this.#wake();
  }

  #flush(): void {
    const pending = this.#pending;
    if (pending.length === 0) return;
    const taken = this.#socket?.write(pending, 0, pending.length) ?? 0;
    if (taken > 0) this.#pending = pending.subarray(taken);
  }

  send(bytes: string | Uint8Array): void {
    const more = typeof bytes === "string" ? Buffer.from(bytes) : bytes;
    this.#pending = Buffer.concat([this.#pending, more]);
    this.#flush();
  }

  /** Sends nothing more; goes on reading. */
  halfClose(): void {
    this.#socket?.shutdown();
  }

  /** Reads nothing from now on. */
  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  /** Leaves without a word. */
  vanish(): void {
    this.#socket?.terminate();
  }

  /** Waits until what came satisfies `isEnough`, or the other side has ended. */
  async until(
    what: string,
    isEnough: (text: string) => boolean,
    limitMs = TEST_TIMEOUT_MS,
  ): Promise<string> {
    while (!isEnough(this.text) && !this.isEnded) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await within(what, promise, limitMs);
    }
    return this.text;
  }

  /** Waits for the end of the connection. @returns all that came */
  async end(): Promise<string> {
    return this.until("the connection to end", () => false);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket?.end();
  }
}

/** Sends `bytes`, closes its side if wanted, and reads to the end. */
export async function askRaw(
  place: ApiPlace,
  bytes: string | Uint8Array,
  halfCloses = true,
): Promise<string> {
  await using client = await RawClient.open(place);
  client.send(bytes);
  if (halfCloses) client.halfClose();
  return await client.end();
}
