/**
 * The runtime API of a process: opens its sockets with the others, and serves their clients once
 * there is a `Control` to ask. Keeps to `stats maxconn`: clients beyond it wait. Main thread.
 */
import { onNextTurn, startTimer, systemClock } from "../base/clock.ts";
import type { Ticker } from "../base/clock.ts";
import { nativeModule } from "../conduit/native.ts";
import type { Native } from "../conduit/native.ts";
import type { Control } from "../control/control.ts";
import type { OpenService, Service } from "../control/process/start.ts";
import type { StatsSocketSpec } from "../tables/spec.ts";
import { runCommand } from "./call.ts";
import type { Asker } from "./command.ts";
import { apiFacts } from "./facts.ts";
import { openSocket } from "./listen.ts";
import type { OpenSocket } from "./listen.ts";
import type { Wire } from "./outbox.ts";
import { Session } from "./session.ts";
import { settlingOf } from "./settling.ts";
import type { Settling } from "./settling.ts";

/** How often descriptors are tried: a process without any would accept in vain, and spin. */
const DESCRIPTOR_LOOK_MS = 500;

/** The runtime API, to be started with the process. */
export const runtimeApi: Service = {
  open(plan) {
    const native = nativeModule();
    const opened: OpenSocket[] = [];
    try {
      for (const spec of plan.global.statsSockets) {
        opened.push(openSocket(spec, native, !plan.global.noreuseport));
      }
    } catch (error) {
      for (const socket of opened) socket.close();
      throw error;
    }
    return serviceOf(opened, native);
  },
};

function serviceOf(opened: readonly OpenSocket[], native: Native | null): OpenService {
  let api: Api | undefined;
  return {
    serve(control) {
      api = startApi(control, opened, native);
    },
    close() {
      api?.close();
      for (const socket of opened) socket.close();
    },
  };
}

/** A client's socket and what it belongs to. */
type Client = Bun.Socket<{ session: Session | undefined; hasEnded: boolean }>;

/** Serves the clients of open sockets. */
export function startApi(
  control: Control,
  opened: readonly OpenSocket[],
  native: Native | null,
): Api {
  const facts = apiFacts(control);
  facts.sockets = opened.map(({ name, spec }) => ({ name, level: spec.level }));
  return new Api(control, opened, native);
}

/** One socket with its clients. */
type Door = {
  readonly socket: OpenSocket;
  listener: Bun.TCPSocketListener<Client["data"]> | undefined;
  count: number;
  /** Accepted beyond the limit: they are not read before another leaves. */
  readonly waiting: Client[];
};

/** All connections of the API. */
export class Api {
  readonly #control: Control;
  readonly #native: Native | null;
  readonly #settling: Settling;
  readonly #doors: Door[];
  readonly #sessions = new Set<Session>();
  readonly #countMax: number;
  #looker: Ticker | undefined;
  #isStarved = false;
  #peers = 0;

  constructor(control: Control, opened: readonly OpenSocket[], native: Native | null) {
    this.#control = control;
    this.#native = native;
    this.#settling = settlingOf(control);
    this.#countMax = control.plan.global.statsMaxconn || Infinity;
    this.#doors = opened.map((socket) => ({ socket, listener: undefined, count: 0, waiting: [] }));
    for (const door of this.#doors) this.#accept(door);
    if (native !== null && opened.length > 0) this.#look();
  }

  /** Ends all connections; the sockets themselves are closed by whoever opened them. */
  close(): void {
    this.#looker?.stop();
    for (const door of this.#doors) {
      door.listener?.stop(true);
      door.listener = undefined;
    }
    for (const session of [...this.#sessions]) session.vanished();
  }

  #accept(door: Door): void {
    if (door.listener !== undefined || this.#isStarved) return;
    door.listener = door.socket.accept<Client["data"]>({
      open: (client) => this.#opened(door, client),
      data: (client, bytes) => client.data.session?.received(bytes),
      drain: (client) => client.data.session?.drained(),
      end: (client) => {
        client.data.hasEnded = true;
        client.data.session?.inputEnded();
      },
      close: (client) => {
        client.data.session?.vanished();
        const index = door.waiting.indexOf(client);
        if (index >= 0) door.waiting.splice(index, 1);
      },
      error: (_client, error) => {
        this.#control.say("alert", `runtime API : ${error.stack ?? error.message}`);
      },
    });
  }

  /** Clients wait in the backlog from now on; without the native part they cannot. */
  #pause(door: Door): void {
    if (this.#native === null) return;
    door.listener?.stop(false);
    door.listener = undefined;
  }

  #hasRoom({ socket, count }: Door): boolean {
    return this.#sessions.size < this.#countMax && count < (socket.spec.maxconn || Infinity);
  }

  #opened(door: Door, client: Client): void {
    client.data = { session: undefined, hasEnded: false };
    if (this.#hasRoom(door)) {
      this.#begin(door, client);
      return;
    }
    client.pause();
    door.waiting.push(client);
    this.#pause(door);
  }

  #begin(door: Door, client: Client): void {
    const { spec } = door.socket;
    const asker = this.#askerOf(spec, client);
    door.count++;
    const session = new Session(this.#control, asker, wireOf(client), {
      clock: systemClock,
      startTimer,
      onNextTurn,
      settling: this.#settling,
      run: runCommand,
      ended: (over) => {
        this.#sessions.delete(over);
        door.count--;
        this.#admit();
      },
    });
    this.#sessions.add(session);
    client.data.session = session;
    if (client.data.hasEnded) session.inputEnded();
  }

  /** Somebody has left: those who wait come in, and where none waits accepting goes on. */
  #admit(): void {
    for (const door of this.#doors) {
      while (door.waiting.length > 0 && this.#hasRoom(door)) {
        const client = door.waiting.shift()!;
        client.resume();
        this.#begin(door, client);
      }
      if (door.waiting.length === 0 && this.#hasRoom(door)) this.#accept(door);
    }
  }

  #askerOf(spec: StatsSocketSpec, client: Client): Asker {
    const { remoteAddress, remotePort } = client;
    const isUnix = remoteAddress === undefined || remoteAddress === "";
    this.#peers++;
    return {
      level: spec.level,
      isExpert: false,
      isExperimental: false,
      severityOutput: spec.severityOutput,
      timeoutMs: this.#control.plan.global.statsTimeoutMs,
      prompt: "none",
      anonymKey: 0,
      quits: false,
      peer: isUnix ? `unix:${this.#peers}` : `${remoteAddress}:${remotePort}`,
    };
  }

  /** While descriptors are used up, nobody is accepted: the loop would try again and again. */
  #look(): void {
    const copy = this.#native!.dup(0);
    if (copy >= 0) this.#native!.close(copy);
    const isStarved = copy < 0;
    if (isStarved !== this.#isStarved) {
      this.#isStarved = isStarved;
      if (isStarved) for (const door of this.#doors) this.#pause(door);
      else this.#admit();
    }
    this.#looker = startTimer(DESCRIPTOR_LOOK_MS, () => this.#look());
  }
}

function wireOf(client: Client): Wire {
  return {
    write: (bytes, offset, length) => client.write(bytes, offset, length),
    pause: () => void client.pause(),
    resume: () => void client.resume(),
    shutdown: () => client.shutdown(),
    close: () => {
      client.data.session = undefined;
      client.end();
    },
  };
}
