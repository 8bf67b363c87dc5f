/**
 * Listening sockets that no event loop knows: to be inherited by a child, or to leave unanswered.
 */
import { dlopen } from "bun:ffi";

import { freePort } from "./ports.ts";

const AF_INET = 2;
const SOCK_STREAM_CLOEXEC = 0o2000001;
const SOCKADDR_BYTES = 16;

const libc = dlopen("libc.so.6", {
  socket: { args: ["int", "int", "int"], returns: "int" },
  bind: { args: ["int", "ptr", "int"], returns: "int" },
  listen: { args: ["int", "int"], returns: "int" },
  close: { args: ["int"], returns: "int" },
});

/** A socket that listens on a free port of the loopback; nobody accepts from it here. */
export interface RawListener extends AsyncDisposable {
  readonly fd: number;
  readonly port: number;
}

/** Opens one, with that backlog. */
export function openRawListener(backlog: number): RawListener {
  const port = freePort();
  const address = Buffer.alloc(SOCKADDR_BYTES);
  address.writeUInt16LE(AF_INET, 0);
  address.writeUInt16BE(port, 2);
  address.set([127, 0, 0, 1], 4);
  const { socket, bind, listen, close } = libc.symbols;
  const fd = socket(AF_INET, SOCK_STREAM_CLOEXEC, 0);
  if (fd < 0 || bind(fd, address, SOCKADDR_BYTES) < 0 || listen(fd, backlog) < 0) {
    throw new Error(`cannot listen on port ${port}`);
  }
  return {
    fd,
    port,
    async [Symbol.asyncDispose]() {
      close(fd);
    },
  };
}

/**
 * A port to which no connection can be made: its listener's backlog is full, so the kernel drops
 * every SYN. The loopback offers no other way to see a connect that hangs.
 */
export async function startDeaf(): Promise<AsyncDisposable & { readonly port: number }> {
  // A backlog of 0 holds one connection, which is made here.
  const listener = openRawListener(0);
  const { port } = listener;
  const filler = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
  return {
    port,
    async [Symbol.asyncDispose]() {
      filler.terminate();
      await listener[Symbol.asyncDispose]();
    },
  };
}
