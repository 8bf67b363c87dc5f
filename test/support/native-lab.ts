/**
 * Two native transports in one process, over loopback: pumped by the test, or on a loop of a
 * worker's kind. The certificates are those of quic-certificates.ts.
 */
import { readFileSync } from "node:fs";

import { systemClock } from "../../src/base/clock.ts";
import { adoptAccepted } from "../../src/conduit/loop/loop-conduit.ts";
import { GO_ON, NativeLoop } from "../../src/conduit/loop/native-loop.ts";
import { nativeModule } from "../../src/conduit/native.ts";
import { ENGINE_MEMORY_BYTES, EngineMemory } from "../../src/conduit/quic/engine-memory.ts";
import type { TransportHooks } from "../../src/conduit/quic/native-endpoints.ts";
import { quicModule, SECRET_BYTES } from "../../src/conduit/quic/native-quic.ts";
import { NativeTransport } from "../../src/conduit/quic/native-transport.ts";
import type { QuicProfile } from "../../src/conduit/quic/profile.ts";
import type {
  ConnectionOwner,
  EndpointOwner,
  QuicDial,
  TransportAccount,
} from "../../src/conduit/quic/transport.ts";
import { encodeSocketAddress } from "../../src/conduit/sockaddr.ts";
import type { CertificateSpec } from "../../src/tables/spec.ts";
import { certificates } from "./quic-certificates.ts";
import type { Certificate } from "./quic-certificates.ts";
import { bindProfile, serverProfile } from "./sim-quic-lab.ts";
import type { BindWishes, ServerWishes } from "./sim-quic-lab.ts";
import { CountingAccount } from "./transport-suite.ts";

/** Row of the proxy for which everything counts: a row of the PROXY table. */
export const PROXY_ROW = 96;
const SECRET = new Uint8Array(SECRET_BYTES).fill(7);
const CHUNKS_MAX = 4096;
/** One look of a pumped transport. */
const ROUNDS = 64;
const UNTIL_MS = 20_000;

/** A certificate as a spec has it. */
export function certificateSpec({ chain, key }: Certificate): CertificateSpec {
  return {
    file: "test.pem",
    chain: readFileSync(chain, "utf8"),
    key: readFileSync(key, "utf8"),
  };
}

/** A listener's profile with the server's certificate, unless others are wished for. */
export function nativeBind(wishes: BindWishes = {}): QuicProfile {
  return bindProfile({
    certificates: [certificateSpec(certificates().server)],
    alpn: ["test"],
    ...wishes,
  });
}

/** The way to such a server: it is trusted by the test's authority. */
export function nativeServer(wishes: ServerWishes = {}): QuicProfile {
  const authorities = readFileSync(certificates().authority, "utf8");
  return serverProfile({ alpn: ["test"], verify: "required", authorities, ...wishes });
}

/** Hooks of a transport that the test pumps. */
export function pumpedHooks(): TransportHooks {
  const native = nativeModule()!;
  const own = new Set<number>();
  return {
    afterTurn: () => {},
    watch: (fd, _handler, isOwned) => {
      if (isOwned) own.add(fd);
      return 0;
    },
    unwatch: (fd) => {
      if (own.delete(fd)) native.close(fd);
    },
    fault: (where, text) => {
      throw new Error(`${where}: ${text}`);
    },
    notice: () => {},
  };
}

/** Hooks of one on a loop. */
export function loopHooks(loop: NativeLoop): TransportHooks {
  return {
    afterTurn: (run) => loop.nextTurn(run),
    watch: (fd, handler, isOwned) => loop.watch(fd, handler, isOwned),
    unwatch: (fd) => loop.unwatch(fd),
    fault: (where, text) => {
      throw new Error(`${where}: ${text}`);
    },
    notice: () => {},
  };
}

/** A loop that the test turns. */
export function makeLoop(): { loop: NativeLoop; turn(): void } {
  const hooks = {
    prepareSleep: () => GO_ON,
    woken: () => {},
    fault: (_where: string, error: unknown): void => {
      throw error;
    },
  };
  const loop = new NativeLoop(nativeModule()!, -1, systemClock, hooks, adoptAccepted);
  const inside = loop as unknown as { turn(mayRest: boolean): void };
  return { loop, turn: () => inside.turn(true) };
}

/** A transport. */
export function makeTransport(
  worker: number,
  hooks: TransportHooks,
  account: TransportAccount,
  more: { generation?: number; chunksMax?: number; memory?: EngineMemory } = {},
): NativeTransport {
  return new NativeTransport({
    quic: quicModule()!,
    native: nativeModule()!,
    hooks,
    account,
    memory: more.memory ?? new EngineMemory(new SharedArrayBuffer(ENGINE_MEMORY_BYTES)),
    worker,
    generation: more.generation ?? 1,
    secret: SECRET,
    chunksMax: more.chunksMax ?? CHUNKS_MAX,
  });
}

/** A bound UDP socket, and its port. */
export function bindUdp(port = 0, options = 0): { fd: number; port: number } {
  const { bytes } = encodeSocketAddress({ family: "ipv4", host: "127.0.0.1", port });
  const fd = quicModule()!.udpSocket(bytes, bytes.length, options, 0, 0, null);
  if (fd < 0) throw new Error(`no UDP socket (errno ${-fd})`);
  const name = new Uint8Array(128);
  nativeModule()!.name(fd, 0, name, name.length);
  return { fd, port: (name[2]! << 8) | name[3]! };
}

/** What is dialled. */
export function dialTo(port: number, profile: QuicProfile): QuicDial {
  return {
    profile,
    remote: encodeSocketAddress({ family: "ipv4", host: "127.0.0.1", port }),
    local: null,
    interfaceName: null,
    sni: "server.test",
    verifyName: "",
    alpn: [],
    ticket: null,
    proxyRow: PROXY_ROW,
  };
}

export type LabWishes = {
  bind?: BindWishes;
  server?: ServerWishes;
  /** On a loop instead of pumped. */
  isOnLoop?: boolean;
  chunksMax?: number;
};

/** A server's transport that listens, and a client's. */
export class NativeLab {
  readonly server: NativeTransport;
  readonly client: NativeTransport;
  readonly serverAccount = new CountingAccount();
  readonly clientAccount = new CountingAccount();
  readonly endpoint: number;
  readonly proxyRow = PROXY_ROW;
  readonly port: number;
  readonly clientProfile: QuicProfile;
  private readonly fd: number;
  private readonly loop: NativeLoop | null;
  private readonly step: () => void;
  private readonly bind: QuicProfile;

  constructor(owner: EndpointOwner, wishes: LabWishes = {}) {
    const { bind = {}, server = {}, isOnLoop = false, chunksMax = CHUNKS_MAX } = wishes;
    const made = isOnLoop ? makeLoop() : null;
    this.loop = made?.loop ?? null;
    const hooks = made === null ? pumpedHooks() : loopHooks(made.loop);
    this.server = makeTransport(1, hooks, this.serverAccount, { chunksMax });
    this.client = makeTransport(2, hooks, this.clientAccount, { chunksMax });
    const { fd, port } = bindUdp();
    this.fd = fd;
    this.port = port;
    this.bind = nativeBind(bind);
    this.clientProfile = nativeServer(server);
    this.endpoint = this.server.listen(this.bind, fd, PROXY_ROW, owner);
    if (this.endpoint < 0) {
      throw new Error(`listen failed with ${this.endpoint}: ${this.server.problem}`);
    }
    this.step =
      made === null
        ? () => {
            this.server.turn(ROUNDS);
            this.client.turn(ROUNDS);
          }
        : () => {
            for (let i = 0; i < ROUNDS; i++) made.turn();
          };
  }

  connect = (owner: ConnectionOwner, toNobody = false): number =>
    this.client.connect(dialTo(toNobody ? this.nobody() : this.port, this.clientProfile), owner);

  /** A port where nobody listens. */
  private nobody(): number {
    const { fd, port } = bindUdp();
    nativeModule()!.close(fd);
    return port;
  }

  /** Lets everything happen until the condition holds. */
  until = async (condition: () => boolean): Promise<void> => {
    const limit = performance.now() + UNTIL_MS;
    for (let quiet = 0; !condition(); quiet++) {
      if (performance.now() > limit) throw new Error("the condition never held");
      this.step();
      // Timers of C need time to pass, and Bun its turn.
      await Bun.sleep(quiet % 50 === 49 ? 1 : 0);
    }
  };

  /** Lets everything happen that is going to happen soon. */
  settle = async (): Promise<void> => {
    for (let i = 0; i < 40; i++) {
      this.step();
      await Bun.sleep(1);
    }
  };

  close = (): void => {
    this.client.destroy();
    this.server.destroy();
    nativeModule()!.close(this.fd);
    if (this.loop === null) return;
    nativeModule()!.close(this.loop.bell);
    nativeModule()!.loopDestroy(this.loop.pointer);
  };
}
