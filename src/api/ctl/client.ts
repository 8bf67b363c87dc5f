/** The connection of `sluice ctl`: text out, text in, at the pace of whoever prints it. */
import { systemLibc } from "../../base/system-libc.ts";
import { nativeModule, nativeReason } from "../../conduit/native.ts";
import { encodeSocketAddress } from "../../conduit/sockaddr.ts";
import type { Where } from "./socket-address.ts";

/** Connects. @throws Error with a reason for people */
export async function connectRuntime(where: Where): Promise<RuntimeClient> {
  const client = new RuntimeClient();
  const socket = {
    open: (opened: Bun.Socket) => client.opened(opened),
    drain: () => client.flush(),
    data: (_socket: unknown, bytes: Buffer) => client.received(bytes),
    end: () => client.ended(),
    close: () => client.ended(),
    error: () => client.ended(),
  };
  try {
    const options = { ...("abstract" in where ? adopt(where.abstract) : where), socket };
    const wanted: unknown = { ...options, allowHalfOpen: true };
    await Bun.connect(wanted as Bun.TCPSocketConnectOptions<undefined>);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw new Error(code === "ENOENT" ? "no such socket" : code, { cause: error });
  }
  return client;
}

/** A connection that Bun cannot make: its abstract names are one byte shorter than HAProxy's. */
function adopt(name: string): { fd: number } {
  const native = nativeModule();
  if (native === null) throw new Error(`abstract names need the native part: ${nativeReason()}`);
  const { bytes } = encodeSocketAddress({ family: "abns", name });
  const fd = native.connect(bytes, bytes.length, null, 0, null, null);
  if (fd < 0) throw new Error(systemLibc().strerror(-fd));
  return { fd };
}

/** One connection; what comes is read piece by piece. */
export class RuntimeClient {
  #socket: Bun.Socket | undefined;
  #pending: Buffer = Buffer.alloc(0);
  readonly #decoder = new TextDecoder();
  #chunks: string[] = [];
  #wake: (() => void) | undefined;
  #isClosed = false;
  /** The other side has ended. */
  isOver = false;

  /** The socket is there. */
  opened(socket: Bun.Socket): void {
    this.#socket = socket;
    this.flush();
  }

  /** Writes what waits, as far as the socket takes it. */
  flush(): void {
    const pending = this.#pending;
    if (this.#socket === undefined || pending.length === 0) return;
    const taken = this.#socket.write(pending, 0, pending.length);
    if (taken > 0) this.#pending = pending.subarray(taken);
  }

  send(text: string): void {
    this.#pending = Buffer.concat([this.#pending, Buffer.from(text)]);
    this.flush();
  }

  received(bytes: Buffer): void {
    this.#chunks.push(this.#decoder.decode(bytes, { stream: true }));
    // What is not printed yet waits in the kernel, not here.
    this.#socket?.pause();
    this.#wakeUp();
  }

  ended(): void {
    if (this.#isClosed) return;
    this.isOver = true;
    this.#wakeUp();
  }

  /** What came next; undefined once the other side has ended. */
  async read(): Promise<string | undefined> {
    while (this.#chunks.length === 0 && !this.isOver) {
      this.#socket?.resume();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#chunks.shift();
  }

  /** Nothing is read any more: who waits for more waits for ever. */
  close(): void {
    this.#isClosed = true;
    this.#socket?.end();
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
