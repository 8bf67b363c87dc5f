/**
 * Processes of tests and benchmarks: start, wait for a condition, read their accounts in /proc,
 * and be sure that they are gone afterwards. Everything that lives is an async disposable, so that
 * `await using` ends it whatever a test does.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The one time limit of all tests: how long a condition may take to become true. */
export const TEST_TIMEOUT_MS = Number(process.env["SLUICE_TEST_TIMEOUT_MS"] ?? 15_000);

const POLL_MS = 2;
const CLOCK_TICKS_PER_S = 100;

/** Waits until `condition` returns something truthy, and returns that. Throws after the limit. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  limitMs = TEST_TIMEOUT_MS,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`still waiting after ${limitMs} ms: ${what}`);
    await Bun.sleep(POLL_MS);
  }
}

/** The promise's value, or an error that says what was waited for. */
export async function within<T>(
  what: string,
  promise: Promise<T>,
  limitMs = TEST_TIMEOUT_MS,
): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Error(`still waiting after ${limitMs} ms: ${what}`)),
    limitMs,
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** How to start a process. */
export interface StartOptions {
  env?: Record<string, string>;
  cwd?: string;
  /** Descriptors that the child inherits as 3, 4, … */
  fds?: number[];
}

/** A running child, its output collected from the start. */
export interface Process extends AsyncDisposable {
  readonly pid: number;
  /** What it has printed so far, stdout and stderr in order of arrival. */
  output(): string;
  /** Exit code; 128 + signal number when a signal ended it. */
  readonly exited: Promise<number>;
  hasExited(): boolean;
  kill(signal: NodeJS.Signals): void;
}

/** Starts `command` with its output collected. Disposing of it kills it and waits. */
export function startProcess(command: string[], options: StartOptions = {}): Process {
  const child = Bun.spawn(command, {
    stdio: ["ignore", "pipe", "pipe", ...(options.fds ?? [])],
    env: { ...inheritedEnvironment(), ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  let text = "";
  const collect = async (stream: ReadableStream<Uint8Array>): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) text += decoder.decode(chunk, { stream: true });
  };
  const drained = Promise.all([collect(child.stdout), collect(child.stderr)]);
  let gone = false;
  // Output before exit code: a daemon's child may hold the pipes open, so that is bounded.
  const exited = child.exited.then(async (code) => {
    gone = true;
    await Promise.race([drained, Bun.sleep(500)]);
    return code;
  });
  return {
    pid: child.pid,
    output: () => text,
    exited,
    hasExited: () => gone,
    kill: (signal) => void (gone || process.kill(child.pid, signal)),
    async [Symbol.asyncDispose]() {
      if (!gone) child.kill("SIGKILL");
      await child.exited;
    },
  };
}

/** The environment without what configures tests or would configure sluice. */
function inheritedEnvironment(): Record<string, string | undefined> {
  const entries = Object.entries(process.env);
  return Object.fromEntries(entries.filter(([name]) => !name.startsWith("SLUICE_")));
}

/** Runs `command` to its end. */
export async function runProcess(
  command: string[],
  options: StartOptions & { limitMs?: number } = {},
): Promise<{ code: number; output: string }> {
  await using child = startProcess(command, options);
  const code = await within(command.join(" "), child.exited, options.limitMs);
  return { code, output: child.output() };
}

/** A new empty folder, removed when disposed of. */
export function temporaryFolder(): { path: string; file(name: string): string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "sluice-test-"));
  return {
    path,
    file: (name) => join(path, name),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}

/** `pid` and all its descendants that live now. */
export function processTree(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) => {
    try {
      const list = readFileSync(`/proc/${pid}/task/${task}/children`, "latin1").trim();
      return list === "" ? [] : list.split(" ").map(Number);
    } catch {
      return [];
    }
  });
  return [pid, ...children.flatMap(processTree)];
}

/** User and system time of `pid` with all its threads, in seconds; steps of 10 ms. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const words = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(words[11]) + Number(words[12])) / CLOCK_TICKS_PER_S;
}

/** Resident memory of `pid`, in bytes. */
export function residentBytes(pid: number): number {
  return statusKilobytes(pid, "VmRSS") * 1024;
}

/** The most resident memory `pid` ever had, in bytes. */
export function residentBytesMax(pid: number): number {
  return statusKilobytes(pid, "VmHWM") * 1024;
}

function statusKilobytes(pid: number, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? Number.NaN);
}

/** Open descriptors of `pid`. */
export function descriptorCount(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}
