/**
 * `sluice ctl [-s SOCKET] COMMAND`: sends one command to a runtime socket and prints the answer.
 * Exit codes: 0 answered, 1 no socket or no connection, 2 the connection broke off unanswered.
 */
import type { Output } from "./output.ts";
import { writeAll } from "./output.ts";

/** Where the demo and the container put the runtime socket. */
export const DEFAULT_SOCKET = "/run/sluice.sock";

type Where = { unix: string } | { hostname: string; port: number };

/** Reads `path`, `unix@path`, `abns@name`, `address:port`, with HAProxy's prefixes. */
export function parseSocketAddress(text: string): Where | undefined {
  const [, prefix = "", rest = ""] = /^(?:(unix|abns|ipv4|ipv6|tcp|tcp4|tcp6)@)?(.*)$/s.exec(text)!;
  if (rest === "") return undefined;
  if (prefix === "abns") return { unix: `\0${rest}` };
  if (prefix === "unix" || rest.includes("/")) return { unix: rest };
  const found = /^(?:\[([^\]]+)\]|(.*)):(\d+)$/.exec(rest);
  if (found === null) return prefix === "" ? { unix: rest } : undefined;
  const hostname = found[1] ?? found[2] ?? "";
  return {
    hostname: hostname === "" || hostname === "*" ? "127.0.0.1" : hostname,
    port: Number(found[3]),
  };
}

/** Asks and prints. @returns the exit code */
export async function runCtl(socket: string, command: string, output: Output): Promise<number> {
  const where = parseSocketAddress(socket);
  if (where === undefined) {
    output.raw(`sluice ctl: '${socket}' is no address of a socket`);
    return 1;
  }
  const answer = await ask(where, command);
  if ("problem" in answer) {
    output.raw(`sluice ctl: cannot reach ${socket}: ${answer.problem}`);
    return 1;
  }
  if (answer.text === "") return 2;
  writeAll(1, answer.text);
  return 0;
}

function ask(where: Where, command: string): Promise<{ text: string } | { problem: string }> {
  const { promise, resolve } = Promise.withResolvers<{ text: string } | { problem: string }>();
  const parts: Buffer[] = [];
  const finish = (): void => resolve({ text: Buffer.concat(parts).toString() });
  let pending = Buffer.from(`${command}\n`);
  const flush = (socket: Bun.Socket): void => {
    const taken = socket.write(pending, 0, pending.length);
    if (taken > 0) pending = pending.subarray(taken);
    // The half close says that no further command follows; the answer still comes.
    if (pending.length === 0) socket.shutdown();
  };
  const common = {
    allowHalfOpen: true,
    socket: {
      open: flush,
      drain: (socket: Bun.Socket): void => {
        if (pending.length > 0) flush(socket);
      },
      data: (_socket: Bun.Socket, bytes: Buffer): void => void parts.push(bytes),
      end: finish,
      close: finish,
      error: finish,
    },
  };
  const connected =
    "unix" in where ? Bun.connect({ ...common, ...where }) : Bun.connect({ ...common, ...where });
  connected.catch((error: unknown) => {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    resolve({ problem: code === "ENOENT" ? "no such socket" : code });
  });
  return promise;
}
