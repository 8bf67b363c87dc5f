/**
 * `option external-check`: a program is run, and its exit code is the result. HAProxy manual 4.2,
 * `external-check command`. Thread of checks.
 *
 * The program is a process group of its own, with nothing open but its standard streams; what it
 * prints on the standard output is dropped, its errors are ours. When its time is over it is killed
 * with all that it has started; HAProxy asks the program alone to end. At most EXTERNAL_CHECKS_MAX
 * run at a time: others wait, within the time of their check.
 */
import { EXTERNAL_CHECKS_MAX } from "../base/limits.ts";
import { EAGAIN } from "../conduit/errno.ts";
import type { Address, CheckProgramSpec } from "../tables/spec.ts";
import type { CheckEnvironment, CheckJob, CheckNames, Probe, ProbeEars } from "./probe.ts";
import type { CheckResult } from "./result.ts";

/** `external-check` of a backend. */
export type ExternalProgram = Extract<CheckProgramSpec, { kind: "external" }>;

const NOT_USED = "NOT_USED";
/** Exit code where the program could not be started. */
const EXIT_NOT_STARTED = 255;
/** HAProxy's code where a signal has ended it. */
const EXIT_BY_SIGNAL = -1;
const SHELL = "/bin/sh";

/** Runs programs, a bounded number at a time. */
export class ExternalChecks {
  readonly #environment: CheckEnvironment;
  readonly #waiting: Run[] = [];
  #runningCount = 0;

  constructor(environment: CheckEnvironment) {
    this.#environment = environment;
  }

  /** Programs that run now. */
  get runningCount(): number {
    return this.#runningCount;
  }

  /** Starts the program of one check. */
  start(job: CheckJob, program: ExternalProgram, ears: ProbeEars): Probe {
    ears.connecting();
    const run = new Run(this.#environment, ears, () => this.#leave());
    if (!program.mayFork) {
      // Without `insecure-fork-wanted` the system refuses HAProxy further processes.
      run.finish({ code: "SOCKERR", info: this.#environment.strerror(EAGAIN) });
      return run;
    }
    run.prepare(program, job.target.names);
    this.#waiting.push(run);
    this.#admit();
    return run;
  }

  #leave(): void {
    this.#runningCount--;
    this.#admit();
  }

  #admit(): void {
    while (this.#runningCount < EXTERNAL_CHECKS_MAX) {
      const run = this.#waiting.shift();
      if (run === undefined) return;
      if (run.isOver) continue;
      this.#runningCount++;
      if (!run.spawn()) this.#runningCount--;
    }
  }
}

/** One program, from its wait for a place to its end. */
class Run implements Probe {
  isOver = false;
  readonly #environment: CheckEnvironment;
  readonly #ears: ProbeEars;
  readonly #leave: () => void;
  #command: string[] = [];
  #variables: Record<string, string> = {};
  #child: Bun.Subprocess | undefined;
  /** Of the child, in the environment's `programs`. */
  #place = -1;

  constructor(environment: CheckEnvironment, ears: ProbeEars, leave: () => void) {
    this.#environment = environment;
    this.#ears = ears;
    this.#leave = leave;
  }

  prepare(program: ExternalProgram, names: CheckNames): void {
    this.#command = [program.command, ...programArguments(names)];
    const inherited = program.preservesEnvironment ? this.#environment.environmentAll() : {};
    const served = this.#environment.servedOf(names);
    this.#variables = { ...inherited, ...programVariables(program, names, served) };
  }

  /** @returns false when there is no process, and the check is over */
  spawn(): boolean {
    try {
      this.#child = this.#start(this.#command);
      this.#enter(this.#child.pid);
      return true;
    } catch (error) {
      return this.#cannotStart(error);
    }
  }

  finish(result: CheckResult): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#ears.done(result);
  }

  cancel(): void {
    this.isOver = true;
    if (this.#child !== undefined) killGroup(this.#child.pid);
  }

  late(): CheckResult {
    return { code: "PROCTOUT", number: 0 };
  }

  #start(command: string[]): Bun.Subprocess {
    return Bun.spawn(command, {
      env: this.#variables,
      detached: true,
      stdio: ["ignore", "ignore", "inherit"],
      onExit: (_child, exitCode) => this.#exited(exitCode),
    });
  }

  /** For whoever outlives the thread. */
  #enter(pid: number): void {
    const { programs } = this.#environment;
    if (programs === undefined) return;
    this.#place = programs.indexOf(0);
    if (this.#place >= 0) Atomics.store(programs, this.#place, pid);
  }

  #exited(exitCode: number | null): void {
    this.#child = undefined;
    const { programs } = this.#environment;
    if (this.#place >= 0 && programs !== undefined) Atomics.store(programs, this.#place, 0);
    this.#place = -1;
    this.#leave();
    if (exitCode === 0) this.finish({ code: "PROCOK", number: 0 });
    else this.finish({ code: "PROCERR", number: exitCode ?? EXIT_BY_SIGNAL });
  }

  #cannotStart(error: unknown): boolean {
    const { code, errno } = error as { code?: string; errno?: number };
    // As execvp(3): a file without an interpreter is the shell's.
    if (code === "ENOEXEC" && this.#command[0] !== SHELL) {
      this.#command = [SHELL, ...this.#command];
      return this.spawn();
    }
    const why = this.#environment.strerror(Math.abs(errno ?? 0));
    if (code === "EAGAIN" || code === "ENOMEM") this.finish({ code: "SOCKERR", info: why });
    else {
      const info = `Failed to exec process for external health check: ${why}`;
      this.finish({ code: "PROCERR", number: EXIT_NOT_STARTED, info });
    }
    return false;
  }
}

/** Ends a program and all that it has started and not set apart. It may be gone already. */
export function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Nobody is left.
  }
}

/** `<proxy_address> <proxy_port> <server_address> <server_port>`. */
function programArguments({ proxyAddress, serverAddress }: CheckNames): string[] {
  const [proxyHost, proxyPort] = hostAndPort(proxyAddress);
  const [serverHost, serverPort] = hostAndPort(serverAddress);
  return [
    proxyHost === "" ? NOT_USED : proxyHost,
    proxyPort === "" ? NOT_USED : proxyPort,
    serverHost === "" ? NOT_USED : serverHost,
    serverPort === "" ? NOT_USED : serverPort,
  ];
}

function programVariables(
  { path }: ExternalProgram,
  names: CheckNames,
  served: number,
): Record<string, string> {
  const [proxyHost, proxyPort] = hostAndPort(names.proxyAddress);
  const [serverHost, serverPort] = hostAndPort(names.serverAddress);
  return {
    PATH: path,
    HAPROXY_PROXY_ADDR: proxyHost,
    HAPROXY_PROXY_ID: String(names.backendId),
    HAPROXY_PROXY_NAME: names.backend,
    HAPROXY_PROXY_PORT: proxyPort,
    HAPROXY_SERVER_ADDR: serverHost,
    HAPROXY_SERVER_CURCONN: String(served),
    HAPROXY_SERVER_ID: String(names.serverId),
    HAPROXY_SERVER_MAXCONN: String(names.maxconn),
    HAPROXY_SERVER_NAME: names.server,
    HAPROXY_SERVER_PORT: serverPort,
    // Servers here carry bytes: what these are is between them and their clients.
    HAPROXY_SERVER_PROTO: "tcp",
    HAPROXY_SERVER_SSL: "0",
  };
}

/** "" where there is none: a unix socket has no port. */
function hostAndPort(address: Address | undefined): [host: string, port: string] {
  switch (address?.family) {
    case "ipv4":
    case "ipv6":
      return [address.host, String(address.port)];
    case "unix":
      return [address.path, ""];
    default:
      return ["", ""];
  }
}
