/**
 * What is on its way to a client: text is gathered, turned into bytes, and written as far as the
 * socket takes it. Holds one batch at most; whoever makes a long answer waits in `flush`.
 */
import { API_WRITE_LENGTH } from "../base/limits.ts";

/** The socket, as far as answers need it. */
export type Wire = {
  /** @returns bytes taken, 0 = none now (`drained` is called later), below 0 = closed */
  write(bytes: Uint8Array, offset: number, length: number): number;
  /** Stops and goes on reading. */
  pause(): void;
  resume(): void;
  /** Nothing more will be written. */
  shutdown(): void;
  /** Ends the connection; a close of what is ended is no mistake. */
  close(): void;
};

export class Outbox {
  readonly #wire: Wire;
  readonly #onWait: () => void;
  readonly #before: () => Promise<void> | undefined;
  #text: string[] = [];
  #length = 0;
  #drained: (() => void) | undefined;
  /** The client is gone: everything is dropped from now on. */
  isBroken = false;

  /**
   * @param onWait is called when the client begins to be waited for
   * @param before what is waited for before a batch goes out; undefined = nothing
   */
  constructor(
    wire: Wire,
    onWait: () => void,
    before: () => Promise<void> | undefined = () => undefined,
  ) {
    this.#wire = wire;
    this.#onWait = onWait;
    this.#before = before;
  }

  /** Adds text. @returns true when there is enough for a `flush` */
  put(text: string): boolean {
    this.#text.push(text);
    this.#length += text.length;
    return this.#length >= API_WRITE_LENGTH;
  }

  get isEmpty(): boolean {
    return this.#length === 0;
  }

  /** True while a write waits for the client. */
  get isWaiting(): boolean {
    return this.#drained !== undefined;
  }

  /** Writes what was put; resolves when the socket has taken all, or is gone. */
  async flush(): Promise<void> {
    if (this.#length === 0) return;
    const waits = this.#before();
    if (waits !== undefined) await waits;
    const bytes = Buffer.from(this.#text.length === 1 ? this.#text[0]! : this.#text.join(""));
    this.#text = [];
    this.#length = 0;
    let offset = 0;
    while (!this.isBroken && offset < bytes.length) {
      const taken = this.#wire.write(bytes, offset, bytes.length - offset);
      if (taken < 0) {
        this.isBroken = true;
        return;
      }
      offset += taken;
      if (offset < bytes.length) await this.#waitDrained();
    }
  }

  /** The socket can take bytes again. */
  drained(): void {
    const resolve = this.#drained;
    this.#drained = undefined;
    resolve?.();
  }

  /** The client has gone. */
  break(): void {
    this.isBroken = true;
    this.drained();
  }

  #waitDrained(): Promise<void> {
    this.#onWait();
    return new Promise((resolve) => {
      this.#drained = resolve;
    });
  }
}
