/**
 * One connection of a check: TCP or a unix socket, the PROXY header, then TLS, then bytes both
 * ways. It keeps no more of an answer than it is told to, and is reset when it is given up, so that
 * checks leave nothing behind in TIME-WAIT. Thread of checks.
 *
 * ```
 *   connecting ─▶ header ─▶ TLS handshake ─▶ open ─▶ ended by the server ─▶ closed by us
 *       └───────────┴─────────────┴─ failed: L4CON, L6RSP, SOCKERR
 * ```
 * With the native module the true error of a connection is known and it can be given up before the
 * server accepts it, and without TLS its sockets are those of check-loop.ts; without the module Bun
 * connects, and every failure looks refused. The result of a time limit is its owner's business:
 * `late` says what it means.
 */
import { startTimer } from "../base/clock.ts";
import type { Ticker } from "../base/clock.ts";
import { systemLibc } from "../base/system-libc.ts";
import { ECONNRESET } from "../conduit/errno.ts";
import {
  nativeModule,
  OPT_COUNT,
  OPT_MARK,
  OPT_QUICKACK,
  OPT_RCVBUF,
  OPT_TOS,
} from "../conduit/native.ts";
import { encodeSocketAddress } from "../conduit/sockaddr.ts";
import { AnswerBuffer } from "./answer-buffer.ts";
import { checkHeader } from "./check-header.ts";
import { checkLoop } from "./check-loop.ts";
import type { CarrierOwner, CheckCarrier } from "./check-loop.ts";
import { handshakeProblem, tlsOptionsOf } from "./check-tls.ts";
import type { CheckTarget } from "./probe.ts";
import { errnoOf, failureOf, refusalOf } from "./result.ts";
import type { CheckResult } from "./result.ts";

/** Where a connection goes, and how it begins. */
export type ConnectionTarget = Pick<
  CheckTarget,
  "address" | "source" | "proxyHeader" | "mark" | "tos" | "tls"
> & {
  /** Nothing will be said: the server need not hear that there was a connection. */
  isSilent: boolean;
};

/** Who hears of a connection. Nothing is called after `failed`, or after `close`. */
export type ConnectionEars = {
  /** It is there: its PROXY header is on its way, its TLS handshake done. */
  opened(): void;
  /** Bytes came. @param bytes all that is kept @param isFull nothing more is kept until `drop` */
  received(bytes: Uint8Array, isFull: boolean): void;
  /** The server has closed its side, or reset: nothing further comes. */
  ended(bytes: Uint8Array, wasReset: boolean): void;
  /** It could not be opened. It is closed already. May be called within `openConnection`. */
  failed(result: CheckResult): void;
};

/** Longest time for a server to close its side of what was closed in order. */
const FAREWELL_MS = 1000;

type Phase = "connecting" | "header" | "handshake" | "open" | "ended" | "closed";

type BunSocket = Bun.Socket<Connection>;

/** Handlers of the connection itself where Bun has it; under TLS its bytes are TLS's. */
const HANDLERS: Bun.SocketHandler<Connection> = {
  // With a descriptor of ours it is there only at the first `drain`.
  open: (socket) => socket.data.adopted(socket),
  drain: (socket) => socket.data.writable(),
  data: (socket, bytes) => socket.data.plainBytes(bytes),
  end: (socket) => socket.data.plainEnd(),
  close: (socket, error) => socket.data.gone(error),
  error: (socket, error) => socket.data.broke(error),
  connectError: () => {},
};

/** The same, where Bun connects: `open` is when the connection is there. */
const BUN_HANDLERS: Bun.SocketHandler<Connection> = {
  ...HANDLERS,
  open(socket) {
    socket.data.adopted(socket);
    socket.data.writable();
  },
};

const TLS_HANDLERS: Bun.SocketHandler<Connection> = {
  open: () => {},
  handshake: (socket, _isAuthorized, error) => socket.data.shaken(socket, error),
  drain: (socket) => socket.data.writable(),
  data: (socket, bytes) => socket.data.bytes(bytes),
  end: (socket) => socket.data.finished(false),
  close: (socket, error) => socket.data.gone(error),
  error: (socket, error) => socket.data.broke(error),
};

/**
 * Opens a connection.
 * @param answerBytesMax most bytes of an answer that are kept at a time
 */
export function openConnection(
  target: ConnectionTarget,
  answerBytesMax: number,
  ears: ConnectionEars,
): Connection {
  const connection = new Connection(target, answerBytesMax, ears);
  connection.begin();
  return connection;
}

/** A connection under way. */
export class Connection implements CarrierOwner {
  readonly #target: ConnectionTarget;
  readonly #ears: ConnectionEars;
  readonly #answer: AnswerBuffer;
  #phase: Phase = "connecting";
  /** The connection itself. */
  #plain: CheckCarrier | undefined;
  /** The same where it is Bun's, for TLS. */
  #bun: BunSocket | undefined;
  /** Again, once TLS is over it: what closes it when TLS is closed. */
  #underTls: BunSocket | undefined;
  /** What bytes go through: the same, or TLS over it. */
  #socket: CheckCarrier | undefined;
  #unsent: Uint8Array[] = [];
  #isPaused = false;
  #isTelling = false;
  /** Ends what was closed in order, where the server does not. */
  #farewell: Ticker | undefined;

  constructor(target: ConnectionTarget, answerBytesMax: number, ears: ConnectionEars) {
    this.#target = target;
    this.#ears = ears;
    this.#answer = new AnswerBuffer(answerBytesMax);
  }

  /** What is kept of the answer: a view, valid until the next bytes come or are dropped. */
  get received(): Uint8Array {
    return this.#answer.bytes;
  }

  /** Nothing more is kept until `drop`. */
  get isFull(): boolean {
    return this.#answer.isFull;
  }

  /** The server has closed its side. */
  get hasEnded(): boolean {
    return this.#phase === "ended";
  }

  /** Everything that was to be sent has been taken by the system. */
  get isFlushed(): boolean {
    return this.#unsent.length === 0;
  }

  /** Sends all of it, in order; what the system does not take waits until it does. */
  send(bytes: Uint8Array): void {
    if (bytes.length === 0 || (this.#phase !== "open" && this.#phase !== "ended")) return;
    this.#unsent.push(bytes);
    if (this.#unsent.length === 1) this.#flush();
  }

  /** Forgets bytes of the answer from its front, and takes in what they held up. */
  drop(count: number): void {
    this.#answer.drop(count);
    if (this.#isTelling) return;
    this.#answer.refill();
    this.#pace();
  }

  /** Reads on only while there is room. */
  #pace(): void {
    const isCrowded = this.#answer.isCrowded;
    if (this.#phase !== "open" || isCrowded === this.#isPaused) return;
    this.#isPaused = isCrowded;
    if (isCrowded) this.#socket?.pause();
    else this.#socket?.resume();
  }

  /** What it means that the time is over now, before `opened`. */
  late(): CheckResult {
    return { code: this.#phase === "connecting" ? "L4TOUT" : "L6TOUT" };
  }

  /** @param isOrderly what was sent arrives first, then the end; else the connection is reset */
  close(isOrderly = false): void {
    if (this.#phase === "closed") return;
    const wasOpen = this.#phase === "open" || this.#phase === "ended" || this.#phase === "header";
    this.#phase = "closed";
    this.#answer.clear();
    // Under TLS the connection is closed through it: Bun forgets the descriptor otherwise.
    const socket = this.#socket;
    this.#socket = undefined;
    this.#plain = undefined;
    this.#bun = undefined;
    const under = this.#underTls;
    this.#underTls = undefined;
    if (isOrderly && wasOpen && this.#unsent.length === 0 && socket !== undefined) {
      socket.end();
      // Under TLS, Bun keeps the descriptor until the server has closed its side.
      if (under !== undefined) {
        this.#farewell = startTimer(FAREWELL_MS, () => under.terminate());
      }
    } else socket?.terminate();
    this.#unsent = [];
  }

  /** Begins. Called once, by `openConnection`. */
  begin(): void {
    const native = nativeModule();
    const { address, source, mark, tos, tls, proxyHeader, isSilent } = this.#target;
    if (native === null || address.family === "fd") {
      this.#beginByBun();
      return;
    }
    const options = new Int32Array(OPT_COUNT);
    options[OPT_QUICKACK] = isSilent && proxyHeader === 0 && tls === undefined ? 1 : 0;
    // What does not fit is read by nobody: a server that floods us is held up by its own window.
    if (!isSilent) options[OPT_RCVBUF] = this.#answer.bytesMax;
    options[OPT_MARK] = mark;
    options[OPT_TOS] = tos;
    const { bytes } = encodeSocketAddress(address);
    const from = source === undefined ? null : encodeSocketAddress(source.address, 0).bytes;
    const name = source?.interfaceName;
    const interfaceName = name === undefined ? null : new TextEncoder().encode(`${name}\0`);
    if (tls === undefined) {
      const dial = { address: bytes, source: from, options, interfaceName };
      const socket = checkLoop()!.connect(dial, this);
      if (typeof socket === "number") this.#refuse(-socket);
      else this.#enter(socket);
      return;
    }
    const fd = native.connect(bytes, bytes.length, from, from?.length ?? 0, options, interfaceName);
    if (fd < 0) {
      this.#refuse(-fd);
      return;
    }
    const adopt = { fd, data: this, socket: HANDLERS, allowHalfOpen: true };
    Bun.connect<Connection>(adopt as unknown as Bun.TCPSocketConnectOptions<Connection>).catch(
      (error: unknown) => {
        if (this.#plain === undefined) native.close(fd);
        this.broke(error);
      },
    );
  }

  /** It could not even be begun. */
  #refuse(errno: number): void {
    this.#fail(refusalOf(errno, this.#target.source !== undefined, systemLibc().strerror));
  }

  #beginByBun(): void {
    const { address } = this.#target;
    const common = { data: this, allowHalfOpen: true, socket: BUN_HANDLERS };
    const failed = (error: unknown): void => this.gone(error);
    switch (address.family) {
      case "ipv4":
      case "ipv6":
        Bun.connect<Connection>({
          ...common,
          hostname: address.host,
          port: address.port,
        }).catch(failed);
        return;
      case "unix":
        Bun.connect<Connection>({ ...common, unix: address.path }).catch(failed);
        return;
      case "abns":
        Bun.connect<Connection>({ ...common, unix: `\0${address.name}` }).catch(failed);
        return;
      case "fd":
        this.#fail({ code: "SOCKERR" });
    }
  }

  // What the handlers call.

  /** Bun has the socket. */
  adopted(socket: BunSocket): void {
    if (this.#phase === "closed") {
      socket.terminate();
      return;
    }
    this.#bun = socket;
    this.#enter(socket);
  }

  #enter(socket: CheckCarrier): void {
    this.#plain = socket;
    this.#socket = socket;
  }

  /** The connection is there, or has room again. */
  writable(): void {
    switch (this.#phase) {
      case "connecting":
        this.#connected();
        return;
      case "header":
        if (this.#flush()) this.#afterHeader();
        return;
      case "open":
      case "ended":
        this.#flush();
        return;
      case "handshake":
      case "closed":
    }
  }

  #connected(): void {
    const socket = this.#plain;
    if (socket === undefined) return;
    this.#phase = "header";
    const header = checkHeader(this.#target.proxyHeader, socket);
    if (header.length > 0) this.#unsent.push(header);
    if (header.length === 0 || this.#flush()) this.#afterHeader();
  }

  #afterHeader(): void {
    const { tls } = this.#target;
    if (tls === undefined) {
      this.#opened();
      return;
    }
    this.#phase = "handshake";
    try {
      const pair = this.#bun!.upgradeTLS<Connection>({
        data: this,
        tls: tlsOptionsOf(tls),
        socket: TLS_HANDLERS,
      });
      this.#underTls = pair[0];
      this.#socket = pair[1];
    } catch (error) {
      this.broke(error);
    }
  }

  /** The handshake is over. */
  shaken(socket: BunSocket, error: Error | null): void {
    if (this.#phase !== "handshake") return;
    this.#socket = socket;
    const problem = handshakeProblem(this.#target.tls!, socket, error);
    if (problem === undefined) this.#opened();
    else this.#fail(problem);
  }

  #opened(): void {
    this.#phase = "open";
    this.#ears.opened();
  }

  plainBytes(bytes: Uint8Array): void {
    if (this.#socket !== this.#plain) return;
    // A server that speaks first may be heard before the connection is said to be there.
    if (this.#phase === "connecting") this.#connected();
    if (this.#socket === this.#plain) this.bytes(bytes);
  }

  plainEnd(): void {
    if (this.#phase === "connecting") this.#connected();
    if (this.#socket === this.#plain) this.finished(false);
  }

  /** Bytes for the check. */
  bytes(bytes: Uint8Array): void {
    if (this.#phase === "closed" || this.#phase === "ended") return;
    this.#answer.add(bytes);
    if (this.#phase !== "open" || this.#isTelling) return;
    this.#tell();
    this.#pace();
  }

  /** Tells of bytes, again where dropping some has let others in. */
  #tell(): void {
    this.#isTelling = true;
    try {
      do {
        this.#ears.received(this.#answer.bytes, this.#answer.isFull);
      } while (this.#isIn("open") && this.#answer.refill());
    } finally {
      this.#isTelling = false;
    }
  }

  /** The server has closed its side. */
  finished(wasReset: boolean): void {
    if (this.#phase === "open") {
      this.#phase = "ended";
      this.#ears.ended(this.#answer.bytes, wasReset);
    }
  }

  /** The socket is closed: not by us, or at the end of a farewell. */
  gone(error: unknown): void {
    this.#farewell?.stop();
    this.#farewell = undefined;
    if (this.#phase === "handshake") {
      this.#fail(handshakeProblem(this.#target.tls!, undefined, error));
      return;
    }
    if (this.#phase === "open") {
      this.finished(error !== undefined && error !== null);
      return;
    }
    this.lost(errnoOf(error instanceof Error && "code" in error ? String(error.code) : ""));
  }

  /** The same, with the system's number. @param errno 0 = none */
  lost(errno: number): void {
    switch (this.#phase) {
      case "connecting":
        this.#fail(failureOf(errno, systemLibc().strerror));
        return;
      case "header":
        this.#fail(failureOf(errno || ECONNRESET, systemLibc().strerror));
        return;
      case "open":
        this.finished(true);
        return;
      case "handshake":
      case "ended":
      case "closed":
    }
  }

  /** A fault of ours. */
  broke(error: unknown): void {
    if (this.#phase === "closed") return;
    const info = error instanceof Error ? error.message : String(error);
    this.#fail({ code: "SOCKERR", info });
  }

  #fail(result: CheckResult | undefined): void {
    if (this.#phase === "closed") return;
    this.close();
    this.#ears.failed(result ?? { code: "SOCKERR" });
  }

  #isIn(phase: Phase): boolean {
    return this.#phase === phase;
  }

  /** @returns whether everything has been taken */
  #flush(): boolean {
    const socket = this.#socket;
    while (socket !== undefined && this.#unsent.length > 0) {
      const first = this.#unsent[0]!;
      const taken = socket.write(first, 0, first.length);
      if (taken <= 0) return false;
      if (taken < first.length) {
        this.#unsent[0] = first.subarray(taken);
        return false;
      }
      this.#unsent.shift();
    }
    return true;
  }
}
