/**
 * The simulated process as a test rig: nothing happens by chance, the test says who connects where,
 * who answers, and how much time passes; every event of the workers is handled at once.
 */
import { PLAIN_TRANSPORT } from "../support/sim-quic-lab.ts";
import { CALM_NETWORK } from "../support/sim-quic.ts";
import { Choices } from "../support/sim-random.ts";
import { NO_HEADER, SimClient } from "./far.ts";
import type { ClientHeader, SimLink } from "./far.ts";
import { ACTIONS, MOODS } from "./options.ts";
import type {
  Action,
  Mood,
  ProxyOptions,
  QuicOptions,
  ServerOptions,
  SimOptions,
} from "./options.ts";
import type { QuicStreamSocket } from "./quic-socket.ts";
import { quicClient } from "./quic-world.ts";
import { World } from "./world.ts";

/** A server without limits. */
export const PLAIN_SERVER: ServerOptions = {
  maxconn: 0,
  minconn: 0,
  maxqueue: 0,
  weight: 1,
  backup: false,
  disabled: false,
  sendProxy: 0,
  isQuic: false,
};

/** A `listen` section with one plain server, without limits and timeouts. */
export const PLAIN_PROXY: ProxyOptions = {
  isQuic: false,
  maxconn: 0,
  rateLimit: 0,
  hasBackend: true,
  acceptProxy: false,
  listenerMaxconn: 0,
  algorithm: "roundrobin",
  isConsistent: false,
  balanceFactor: 0,
  fullconn: 0,
  retries: 0,
  redispatch: 0,
  forcesServer: false,
  usesAdded: false,
  abortonclose: false,
  nolinger: false,
  allbackups: false,
  logasap: false,
  timeouts: {
    client: -1,
    clientFin: -1,
    connect: -1,
    server: -1,
    serverFin: -1,
    queue: -1,
    tunnel: -1,
  },
  servers: [PLAIN_SERVER],
};

/** QUIC without limits, over a network without surprises. */
export const PLAIN_QUIC: QuicOptions = {
  network: CALM_NETWORK,
  front: PLAIN_TRANSPORT,
  back: PLAIN_TRANSPORT,
  clients: PLAIN_TRANSPORT,
  servers: PLAIN_TRANSPORT,
  connectionsMax: 1,
  poolMaxConn: -1,
  poolPurgeDelayMs: 5000,
  maxReuse: -1,
};

const PLAIN: SimOptions = {
  workers: 1,
  steps: 0,
  clientsMax: 1000,
  conduit: "tcp",
  processMaxconn: 0,
  processRate: 0,
  sharesBackend: false,
  queueEntries: 64,
  payloadBytesMax: 0,
  deafClients: 0,
  hasFaults: false,
  waits: "nobody",
  interrupt: 0,
  dieInside: 0,
  habits: { pieceBytesMax: 100_000, roomBytes: 100_000, shortWrite: 0, spuriousDrain: 0 },
  quic: null,
  proxies: [PLAIN_PROXY],
  weights: Object.fromEntries(ACTIONS.map((action) => [action, 0])) as Record<Action, number>,
  moods: Object.fromEntries(MOODS.map((mood) => [mood, mood === "accept" ? 1 : 0])) as Record<
    Mood,
    number
  >,
};

export type ClientWishes = { worker?: number; header?: ClientHeader; payload?: number };

export class Rig {
  readonly world: World;

  constructor(options: Partial<SimOptions> = {}) {
    this.world = new World({ ...PLAIN, ...options }, new Choices(1, false, null), null);
  }

  /** Handles everything that the workers have to do now. */
  run(): void {
    const { world } = this;
    for (let acted = true; acted;) {
      acted = world.quic?.turn() ?? false;
      for (const worker of world.workers) {
        while (worker.isRunning && world.turn(worker)) {
          acted = true;
          world.settleStep();
        }
      }
    }
  }

  /** A worker reads one message of control before it looks at anything else. */
  readMessage(worker = 1): void {
    const reader = this.world.workers[worker - 1]!;
    this.world.as(reader, () => {
      reader.readMessage();
      return true;
    });
    this.world.settleStep();
  }

  /** Lets time pass. */
  wait(ms: number): void {
    // In steps, so that timers come in their order.
    for (let left = ms; left > 0; left -= 5) {
      this.world.clock.advance(Math.min(5, left));
      this.run();
    }
  }

  /** A client that connects; the workers see it at once. */
  connect(wishes: ClientWishes = {}): SimClient {
    const client = this.queue(wishes);
    this.run();
    return client;
  }

  /** A client that opens a stream over QUIC; the workers see it at once. */
  connectOverQuic(payload = 0): SimClient {
    const { world } = this;
    const { quic, clients } = world;
    let client: SimClient | undefined;
    const make = (socket: QuicStreamSocket): SimClient => {
      client = quicClient(clients.length + 1, socket, payload, false, 0);
      clients.push(client);
      return client;
    };
    // The first time there is no connection yet.
    for (let i = 0; i < 2 && client === undefined; i++) {
      quic!.connectClient(8000, 0, make);
      this.run();
    }
    if (client === undefined) throw new Error("no stream could be opened");
    return client;
  }

  /** A client that connects and waits in the backlog: nobody has looked yet. */
  queue(wishes: ClientWishes = {}): SimClient {
    const { world } = this;
    const { worker = 1, header = NO_HEADER, payload = 0 } = wishes;
    const id = world.clients.length + 1;
    const client = new SimClient(id, world.newSocket(), header, payload, false, 0);
    world.clients.push(client);
    world.backlog(8000, worker).clients.push(client);
    return client;
  }

  /** The server answers the newest connection that was dialled for the client. */
  answer(client: SimClient): SimLink {
    const { link } = client;
    if (link === undefined) throw new Error(`${client} has no connection to a server`);
    this.world.settle(link);
    this.run();
    return link;
  }

  /** The client sends these very bytes. */
  send(client: SimClient, bytes: Uint8Array): void {
    client.sentBytes += client.socket.send(bytes);
    this.run();
  }

  /** Both sides finish: the stream ends in order. */
  end(client: SimClient): void {
    client.finish();
    this.run();
    client.link?.finish();
    this.run();
  }
}
