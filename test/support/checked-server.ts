/**
 * A server of its own process, to be killed, frozen and started again: it says its name to whoever
 * connects and echoes what it gets; on a second port it answers checks as Redis does.
 *
 *   bun test/support/checked-server.ts NAME PORT CHECK_PORT
 */
import type { Socket } from "bun";

const [name = "", port = "0", checkPort = "0"] = process.argv.slice(2);
const greeting = Buffer.from(`${name}\n`);
const rest = new Map<Socket, Buffer>();

/** Writes, and keeps what the socket does not take. */
function push(socket: Socket, bytes: Buffer): void {
  const kept = rest.get(socket);
  const all = kept === undefined ? bytes : Buffer.concat([kept, bytes]);
  const count = Math.max(0, socket.write(all, 0, all.length));
  if (count < all.length) rest.set(socket, all.subarray(count));
  else rest.delete(socket);
}

Bun.listen({
  hostname: "127.0.0.1",
  port: Number(port),
  socket: {
    open: (socket) => push(socket, greeting),
    data: (socket, bytes) => push(socket, Buffer.from(bytes)),
    drain: (socket) => push(socket, Buffer.alloc(0)),
    close: (socket) => void rest.delete(socket),
    error: (_socket, _error) => undefined,
  },
});
Bun.listen({
  hostname: "127.0.0.1",
  port: Number(checkPort),
  socket: {
    data: (socket, bytes) => {
      if (bytes.includes("PING")) socket.write("+PONG\r\n");
    },
    error: (_socket, _error) => undefined,
  },
});
process.stdout.write("ready\n");
