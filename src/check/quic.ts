/**
 * A check of a QUIC server: a handshake with the server's own TLS settings, verification included,
 * then a close with application code 0. All checks of a thread share one small engine; its event
 * loop cannot watch that, so a timer looks at it while a check is under way.
 */
import { startTimer } from "../base/clock.ts";
import type { Ticker } from "../base/clock.ts";
import { systemLibc } from "../base/system-libc.ts";
import { nativeModule } from "../conduit/native.ts";
import { ENGINE_MEMORY_BYTES, EngineMemory } from "../conduit/quic/engine-memory.ts";
import { quicModule, quicReason, SECRET_BYTES } from "../conduit/quic/native-quic.ts";
import { NativeTransport } from "../conduit/quic/native-transport.ts";
import { QuicProfile } from "../conduit/quic/profile.ts";
import {
  CAUSE_APPLICATION,
  CAUSE_HANDSHAKE,
  CAUSE_IDLE,
  CAUSE_INTERNAL,
  CAUSE_REFUSED,
  CAUSE_RESET,
  CAUSE_VERSION,
  QUIC_COUNTS,
  QUIC_MOMENTS,
  QUIC_NUMBERS,
  TRANSPORT_TLS,
} from "../conduit/quic/transport.ts";
import type { ConnectionOwner, QuicDial, TransportAccount } from "../conduit/quic/transport.ts";
import { encodeSocketAddress } from "../conduit/sockaddr.ts";
import type { Address, QuicServerSpec, SourceSpec } from "../tables/spec.ts";
import type { Probe, ProbeEars, QuicHome } from "./probe.ts";
import { failureOf, inItsWords, refusalOf } from "./result.ts";
import type { CheckResult } from "./result.ts";

/** Where and how to check. */
export type QuicProbeTarget = { address: Address; source?: SourceSpec; quic: QuicServerSpec };

/** Between two looks at the engine: at first, and at most, while a check is under way, ms. */
const LOOK_FIRST_MS = 1;
const LOOK_LAST_MS = 5;
/** While only closed connections have something to send again. */
const LOOK_IDLE_MS = 20;
/** Rounds of one look. */
const ROUNDS = 16;
/** Checks send and receive next to nothing. */
const CHUNKS_MAX = 512;
const WORKER_CONTROL = 0;
/** RFC 9000 section 20.1: the server takes no connections. */
const CONNECTION_REFUSED = 2n;
const PACKETS_RECEIVED = QUIC_NUMBERS.indexOf("packetsReceived");

/** Checks are no traffic: nothing counts them. */
const NO_ACCOUNT: TransportAccount = {
  opened: () => undefined,
  count: () => undefined,
  halfOpen: () => undefined,
  closed: () => undefined,
  released: () => undefined,
};

/** The engine of all checks, and when it is looked at. */
class QuicProber {
  readonly transport: NativeTransport;
  private readonly profiles = new WeakMap<QuicServerSpec, QuicProfile>();
  private ticker: Ticker | null = null;
  private pauseMs = LOOK_FIRST_MS;
  private isLooking = false;
  /** Exceptions of checks in this look: bugs. */
  private faults: string[] = [];
  /** Checks that wait for an answer. */
  waiting = 0;

  constructor(quic: NonNullable<ReturnType<typeof quicModule>>, home: QuicHome | undefined) {
    this.transport = new NativeTransport({
      quic,
      native: nativeModule()!,
      hooks: {
        // What is asked for goes out with the next look, which is soon.
        afterTurn: () => this.lookSoon(),
        watch: () => 0,
        unwatch: () => undefined,
        // Not at once: the other checks of the same look have their turn first.
        fault: (where, text) => void this.faults.push(`${where}: ${text}`),
        notice: () => undefined,
      },
      account: NO_ACCOUNT,
      memory: new EngineMemory(home?.memory ?? new ArrayBuffer(ENGINE_MEMORY_BYTES)),
      worker: WORKER_CONTROL,
      generation: 0,
      secret: crypto.getRandomValues(new Uint8Array(SECRET_BYTES)),
      chunksMax: CHUNKS_MAX,
    });
    home?.made(this.transport.engine);
  }

  profileOf(spec: QuicServerSpec): QuicProfile {
    const profile = this.profiles.get(spec) ?? QuicProfile.ofServer(spec);
    this.profiles.set(spec, profile);
    return profile;
  }

  private lookSoon(): void {
    // A look sends what was asked for meanwhile.
    if (this.isLooking) return;
    this.pauseMs = LOOK_FIRST_MS;
    this.ticker?.stop();
    this.ticker = startTimer(this.pauseMs, () => this.look());
  }

  private look(): void {
    this.isLooking = true;
    try {
      this.transport.turn(ROUNDS);
    } finally {
      this.isLooking = false;
      this.lookAgain();
    }
    const { faults } = this;
    if (faults.length === 0) return;
    this.faults = [];
    throw new Error(faults.join("; "));
  }

  /** While there is a connection. */
  private lookAgain(): void {
    this.ticker = null;
    if (this.transport.connectionCount === 0) return;
    this.pauseMs = Math.min(this.pauseMs + 1, LOOK_LAST_MS);
    this.ticker = startTimer(this.waiting > 0 ? this.pauseMs : LOOK_IDLE_MS, () => this.look());
  }
}

let prober: QuicProber | undefined;

/**
 * Starts a check, whose end is told once, later or within the call, unless it is cancelled.
 * @param home of the engine, which the thread's first check makes
 */
export function startQuicProbe(target: QuicProbeTarget, ears: ProbeEars, home?: QuicHome): Probe {
  const quic = quicModule();
  const { address } = target;
  if (quic === null || (address.family !== "ipv4" && address.family !== "ipv6")) {
    ears.done({ code: "SOCKERR", info: quicReason() });
    return { cancel: () => undefined, late: () => ({ code: "L4TOUT" }) };
  }
  prober ??= new QuicProber(quic, home);
  ears.connecting();
  const check = new Check(prober, (result) => ears.done(result));
  check.begin(target);
  return check;
}

class Check implements ConnectionOwner, Probe {
  private readonly prober: QuicProber;
  private readonly transport: NativeTransport;
  private done: ((result: CheckResult) => void) | undefined;
  private connection = 0;

  constructor(owner: QuicProber, done: (result: CheckResult) => void) {
    this.prober = owner;
    this.transport = owner.transport;
    this.done = done;
    owner.waiting++;
  }

  begin({ address, source, quic }: QuicProbeTarget): void {
    const { strerror } = systemLibc();
    const name = source?.interfaceName;
    const result = this.transport.connect(
      {
        profile: this.prober.profileOf(quic),
        remote: encodeSocketAddress(address),
        local: source === undefined ? null : encodeSocketAddress(source.address, 0),
        interfaceName: name === undefined ? null : new TextEncoder().encode(`${name}\0`),
        ...namesOf(quic),
        alpn: [],
        ticket: null,
        proxyRow: 0,
      },
      this,
    );
    if (result > 0) this.connection = result;
    else if (result === TRANSPORT_TLS) {
      this.finish({ code: "SOCKERR", info: this.transport.problem });
    } else this.finish(refusalOf(-result, source !== undefined, strerror));
  }

  onConnected(): void {
    this.close();
    this.finish({ code: "L6OK" });
  }

  onClosed(connection: number, cause: number, code: bigint): void {
    this.finish(this.failureOf(connection, cause, code));
  }

  onStream(_connection: number, stream: number): void {
    this.transport.release(stream);
  }

  onCredit(): void {
    // Nothing is to be sent.
  }

  onDatagram(): void {
    // It goes with the connection.
  }

  cancel(): void {
    this.close();
    if (this.done === undefined) return;
    this.done = undefined;
    this.prober.waiting--;
  }

  /** Whether the server has sent anything makes the difference. */
  late(): CheckResult {
    const numbers = new Float64Array(QUIC_COUNTS + QUIC_MOMENTS.length);
    const isThere = this.transport.connectionNow(this.connection, numbers);
    return { code: isThere && numbers[PACKETS_RECEIVED]! > 0 ? "L6TOUT" : "L4TOUT" };
  }

  private failureOf(connection: number, cause: number, code: bigint): CheckResult {
    switch (cause) {
      case CAUSE_IDLE:
      case CAUSE_HANDSHAKE:
        return this.late();
      case CAUSE_REFUSED:
        return failureOf(Number(code), systemLibc().strerror);
      case CAUSE_INTERNAL:
        return { code: "SOCKERR", info: this.transport.connectionText(connection, "failure") };
      case CAUSE_VERSION:
        return { code: "L6RSP", info: "no version of QUIC in common" };
      case CAUSE_RESET:
        return { code: "L6RSP", info: "stateless reset" };
      case CAUSE_APPLICATION:
        return { code: "L6RSP", info: `closed with application code ${code}` };
      default:
        return this.protocolFailure(connection, code);
    }
  }

  private protocolFailure(connection: number, code: bigint): CheckResult {
    const words =
      this.transport.connectionText(connection, "failure") ||
      this.transport.connectionText(connection, "reason");
    if (code === CONNECTION_REFUSED) {
      return inItsWords("L4CON", words || "connection refused by the server");
    }
    return inItsWords("L6RSP", words || `handshake failed with code 0x${code.toString(16)}`);
  }

  private close(): void {
    if (this.connection === 0) return;
    this.transport.closeConnection(this.connection, true, 0n, "");
  }

  private finish(result: CheckResult): void {
    const { done } = this;
    if (done === undefined) return;
    this.done = undefined;
    this.prober.waiting--;
    done(result);
  }
}

/**
 * The name to ask for, and the one that the certificate must bear. Where a name depends on the
 * client, a check has none: then it holds the certificate to its authority alone.
 */
function namesOf(quic: QuicServerSpec): Pick<QuicDial, "sni" | "verifyName"> {
  const name = quic.checkSni ?? constantName(quic);
  return { sni: name ?? "", verifyName: quic.verifyHost ?? (name === undefined ? null : "") };
}

/** The name that traffic asks for, "" = none; undefined = it depends on the client. */
function constantName({ sni }: QuicServerSpec): string | undefined {
  if (sni === undefined) return "";
  if (sni.fetch.name !== "str" || sni.converters.length > 0) return undefined;
  const [first] = sni.fetch.args;
  return first?.kind === "str" ? first.value : undefined;
}
