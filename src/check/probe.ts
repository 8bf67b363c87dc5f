/**
 * What the parts of a check agree on: the scheduler starts a **probe** of a target and hears its
 * result; a probe of most protocols is a **dialogue** over a **wire**: a connection of TCP or TLS,
 * or a unix socket.
 *
 * ```
 *   Checker ─▶ startProbe(job, ears) ─┬─ connection.ts: wire ◀─▶ Dialogue (tcp-check, http, redis…)
 *                                     ├─ quic.ts: a handshake
 *                                     └─ external.ts: a program
 * ```
 * All of it runs on the thread of checks, apart from control and from the workers.
 */
import type {
  Address,
  CheckProgramSpec,
  CheckTlsSpec,
  QuicServerSpec,
  SourceSpec,
} from "../tables/spec.ts";
import type { CheckResult } from "./result.ts";

/** Where a check goes, and how it begins. One server's part; plain data. */
export type CheckTarget = {
  address: Address;
  source?: SourceSpec;
  /** Version of the PROXY header to send first; 0 = none. */
  proxyHeader: 0 | 1 | 2;
  mark: number;
  tos: number;
  /** `check-ssl`. */
  tls?: CheckTlsSpec;
  /** What steps `connect … ssl` begin with; `sni` and `alpn` of it for those with `default`. */
  stepTls?: CheckTlsSpec;
  /** QUIC is spoken there: the handshake is what is checked. */
  quic?: QuicServerSpec;
  names: CheckNames;
};

/** What formats, programs and `send-state` say about the server. */
export type CheckNames = {
  backend: string;
  backendId: number;
  server: string;
  serverId: number;
  /** The server's own address, whatever address is checked; undefined = none. */
  serverAddress?: Address;
  /** First listener of a `listen` section; undefined = there is none (`NOT_USED`). */
  proxyAddress?: Address;
  maxconn: number;
  rise: number;
  fall: number;
  /** Row in the SERVER table: what changes while it runs is read there. */
  serverRow: number;
  /** Row in the PROXY table. */
  backendRow: number;
};

/** An agent is asked by `{ kind: "agent" }`, which no configuration has as a program. */
export type ProbeProgram = CheckProgramSpec | { kind: "agent"; send: string };

/** One check. */
export type CheckJob = { target: CheckTarget; program: ProbeProgram };

/** Who hears of a probe. Nothing is called after `done`, or after `cancel`. */
export type ProbeEars = {
  /** It is over. Called once, later or within the start. */
  done(result: CheckResult): void;
  /** A connection is being opened: `timeout connect` begins (again). */
  connecting(): void;
  /** It is there: `timeout check` begins. */
  connected(): void;
};

/** A check under way. */
export type Probe = {
  /** Gives it up: descriptors are closed, programs are ended, `done` is not called any more. */
  cancel(): void;
  /** What it means that its time is over now. */
  late(): CheckResult;
};

export type StartProbe = (job: CheckJob, ears: ProbeEars) => Probe;

/** Effects that probes need beside sockets. */
export type CheckEnvironment = {
  nowMs(): number;
  epochMicros(): number;
  random32(): number;
  startTimer(delayMs: number, run: () => void): { stop(): void };
  /** The system's sentence for an error number. */
  strerror(errno: number): string;
  environment(name: string): string | undefined;
  /** All of it, for programs that inherit it. */
  environmentAll(): Readonly<Record<string, string>>;
  /** `UP 2/3; name=b/s; node=…; weight=1/2; scur=0/0; qcur=0` (`http-check send-state`). */
  stateOf(names: CheckNames): string;
  /** The server is down: a 404 does not make it well (`http-check disable-on-404`). */
  isDown(names: CheckNames): boolean;
  /** `served`, for programs: `HAPROXY_SERVER_CURCONN`. */
  servedOf(names: CheckNames): number;
  /** Most bytes of an answer that are kept: `tune.bufsize` (`tune.chksize`). */
  readonly answerBytesMax: number;
  /** Process groups of programs that run, for whoever outlives the thread; see CheckEstate. */
  readonly programs?: Int32Array;
  /** The same of QUIC. Left out: its engine has memory of its own, and nobody is told of it. */
  readonly quic?: QuicHome;
};

/** Where the engine of QUIC writes, and who is told of it. */
export type QuicHome = { memory: SharedArrayBuffer; made: (engine: number) => void };

/** What a dialogue may do with its connection. */
export type Wire = {
  /** Sends all of it; what the socket does not take is kept until it does. */
  send(bytes: Uint8Array): void;
  /** Forgets received bytes up to `count` from the front. */
  drop(count: number): void;
  /**
   * Ends the check. The connection is reset, or closed in order where `isOrderly`: then what was
   * sent arrives first.
   */
  finish(result: CheckResult, isOrderly?: boolean): void;
};

/** One check over one connection: it is told what happens and answers by using the wire. */
export type Dialogue = {
  /** The connection is there, its TLS too, and a PROXY header is on its way. */
  opened(wire: Wire): void;
  /**
   * Bytes came. @param bytes everything received and not dropped: a view, valid within the call;
   * at most `answerBytesMax` @param isFull no more of them will be kept
   */
  received(wire: Wire, bytes: Uint8Array, isFull: boolean): void;
  /** The server has closed its side, or reset; nothing further comes. @param bytes as above */
  ended(wire: Wire, bytes: Uint8Array, wasReset: boolean): void;
  /** What the end of the time means after `opened`; without it, L7TOUT. */
  late?(): CheckResult;
};
