/** A client of a runtime API on TCP: an address that a configuration can name at once. */
import { within } from "./procs.ts";

/** Sends a line of commands; all that comes back, without the empty line at its end. */
export async function askApiPort(port: number, line: string): Promise<string> {
  let text = "";
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data: (_socket, bytes) => void (text += bytes.toString("latin1")),
      close: () => resolve(),
      error: (_socket, error) => reject(error),
      connectError() {},
    },
  });
  socket.write(`${line}\n`);
  await within(`an answer to '${line.slice(0, 60)}'`, promise);
  return text.replace(/\n\n$/, "\n").replace(/\n$/, "");
}
