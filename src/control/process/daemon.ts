/**
 * Going to the background. The runtime cannot fork, so the program starts itself again, detached,
 * and stays until the child serves or has failed: its messages pass through, its exit code is ours.
 *
 *   parent ── spawn ──▶ child: loads, binds, starts workers
 *     │  ◀── stdout, stderr, passed on ──┤
 *     │  ◀── "ready" on READY_FD ────────┤   then the child lets go of the terminal
 *   exit 0                               serves
 */
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs";

import { SluiceError } from "../../base/errors.ts";
import { systemLibc } from "../../base/system-libc.ts";

/** Tells the child which descriptor it reports on. */
const READY_VARIABLE = "SLUICE_DAEMON_READY_FD";
const READY_WORD = "ready";
const CLOSE_ON_EXEC = 0o2000000;

/** /dev/null, open in a child from its start: a new root folder need not have one. */
let nowhereFd = -1;

/** The command that runs this very program, to which arguments are added. */
function selfCommand(): string[] {
  const isCompiled = Bun.main.startsWith("/$bunfs/") || Bun.main.startsWith("B:\\~BUN");
  return isCompiled ? [process.execPath] : [process.execPath, Bun.main];
}

/** Descriptors above 2 that a program started from here would inherit, such as `fd@N` sockets. */
function inheritedDescriptors(): number[] {
  return readdirSync("/proc/self/fd")
    .map(Number)
    .filter((fd) => {
      if (fd <= 2) return false;
      try {
        const info = readFileSync(`/proc/self/fdinfo/${fd}`, "utf8");
        const flags = Number.parseInt(/^flags:\s*(\d+)/m.exec(info)?.[1] ?? "0", 8);
        return (flags & CLOSE_ON_EXEC) === 0;
      } catch {
        return false;
      }
    });
}

/**
 * Starts the program again in the background and waits for its word.
 * @returns the exit code of this process: 0 once the child serves
 */
export async function runInBackground(argv: readonly string[]): Promise<number> {
  const fds = inheritedDescriptors();
  const readyFd = Math.max(2, ...fds) + 1;
  const extra: ("pipe" | "ignore" | number)[] = [];
  for (let fd = 3; fd < readyFd; fd++) extra.push(fds.includes(fd) ? fd : "ignore");
  const child = Bun.spawn([...selfCommand(), ...argv], {
    stdio: ["ignore", "pipe", "pipe", ...extra, "pipe"],
    env: { ...process.env, [READY_VARIABLE]: String(readyFd) },
    detached: true,
  });
  const ready = child.stdio[readyFd];
  if (typeof ready !== "number") throw new SluiceError("SLC_BACKGROUND", {});
  const output = Promise.all([passOn(child.stdout, 1), passOn(child.stderr, 2)]);
  const isReady = await hearReady(ready);
  if (!isReady) {
    const code = await child.exited;
    await output;
    return code === 0 ? 1 : code;
  }
  // The child has let go of both streams by now: what it said before is all here.
  await output;
  child.unref();
  return 0;
}

async function passOn(stream: ReadableStream<Uint8Array>, fd: number): Promise<void> {
  for await (const chunk of stream) writeSync(fd, chunk);
}

/** True when the word came, false when the child closed the descriptor without it. */
function hearReady(fd: number): Promise<boolean> {
  return new Promise((resolve) => {
    let text = "";
    const options = {
      fd,
      socket: {
        data(_socket: unknown, bytes: Buffer) {
          text += bytes.toString("latin1");
          if (text.includes(READY_WORD)) resolve(true);
        },
        close: () => resolve(text.includes(READY_WORD)),
        end: () => resolve(text.includes(READY_WORD)),
        error: () => resolve(false),
      },
    };
    const connected = Bun.connect(options as unknown as Bun.TCPSocketConnectOptions<undefined>);
    connected.catch(() => resolve(false));
  });
}

/** In the child: the descriptor to report on, or undefined when this is no child. */
export function takeReadyDescriptor(): number | undefined {
  const text = process.env[READY_VARIABLE];
  delete process.env[READY_VARIABLE];
  if (text === undefined) return undefined;
  nowhereFd = openSync("/dev/null", "r+");
  return Number(text);
}

/** In the child: standard streams become /dev/null, and the parent is told. */
export function leaveTerminal(readyFd: number): void {
  const libc = systemLibc();
  for (const fd of [0, 1, 2]) libc.dup2(nowhereFd, fd);
  closeSync(nowhereFd);
  writeSync(readyFd, READY_WORD);
  closeSync(readyFd);
}
