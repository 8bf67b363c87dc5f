/**
 * A storm over the runtime API: several clients of it add, enable, drain, disable and remove
 * servers and backends, change weights and addresses and shut sessions down, drawn from a seed,
 * while traffic flows. What may kill a connection is noted, so that every other death is a fault.
 */
import { ApiConnection } from "./api.ts";
import type { JsonAnswer } from "./api.ts";
import type { Choices } from "./sim-random.ts";
import type { Death } from "./storm-peers.ts";

/** A server of the storm: its origin is there all along. */
type StormServer = { name: string; port: number; isReady: boolean; isBusy: boolean };

/** A backend that comes and goes. */
type StormBackend = {
  name: string;
  isThere: boolean;
  isPublished: boolean;
  servers: StormServer[];
};

/** Counts of what was done and refused. */
export type StormCounts = Record<string, number>;

export class Storm {
  readonly counts: StormCounts = {};
  /** Answers that a storm must not get. */
  readonly faults: string[] = [];
  readonly #choices: Choices;
  /** When streams of a server were shut down, by its origin's name: from, to. */
  readonly #kills = new Map<string, [number, number][]>();
  readonly #backends: StormBackend[];

  /** @param backends names and origins of the backends that this client alone changes */
  constructor(choices: Choices, backends: { name: string; origins: Record<string, number> }[]) {
    this.#choices = choices;
    this.#backends = backends.map(({ name, origins }) => ({
      name,
      isThere: false,
      isPublished: false,
      servers: Object.entries(origins).map(([server, port]) => ({
        name: server,
        port,
        isReady: false,
        isBusy: false,
      })),
    }));
  }

  /** Was the connection one of those that a command has ended? */
  isExplained({ server, bornMs, diedMs }: Death): boolean {
    const kills = this.#kills.get(server) ?? [];
    // Clocks of two processes, and the time that a reset takes.
    return kills.some(
      ([from, to]) => bornMs <= to + 50 && diedMs >= from - 50 && diedMs <= to + 2000,
    );
  }

  /** Does things until the time is over, then takes everything away again. */
  async run(path: string, untilMs: number): Promise<void> {
    await using api = await ApiConnection.open(path);
    while (Date.now() < untilMs) await this.#step(api);
    for (const backend of this.#backends) {
      while (backend.isThere) await this.#removeBackend(api, backend, true);
    }
  }

  async #step(api: ApiConnection): Promise<void> {
    const backend = this.#choices.pick(this.#backends);
    if (!backend.isThere) return this.#addBackend(api, backend);
    const there = backend.servers.filter(({ isBusy }) => isBusy);
    const missing = backend.servers.filter(({ isBusy }) => !isBusy);
    const kind = this.#choices.weighted([20, 20, 15, 10, 10, 10, 10, 5]);
    if (kind === 0 && missing.length > 0) return this.#addServer(api, backend, missing);
    if (kind === 1 && there.length > 2) return this.#removeServer(api, backend, there);
    if (kind === 2) return this.#weigh(api, backend, there);
    if (kind === 3) return this.#drain(api, backend, there);
    if (kind === 4) return this.#shutdown(api, backend, there);
    if (kind === 5) return this.#readdress(api, backend, there);
    if (kind === 6) return this.#look(api, backend, there);
    if (kind === 7) return this.#removeBackend(api, backend, false);
  }

  async #do(api: ApiConnection, what: string, command: string): Promise<JsonAnswer> {
    const answer = await api.ask(command);
    const key = answer.code === "OK" ? what : `${what}: ${answer.code}`;
    this.counts[key] = (this.counts[key] ?? 0) + 1;
    const mayBe = ["OK", "IN_USE"];
    if (!mayBe.includes(answer.code)) this.faults.push(`${command}: ${JSON.stringify(answer)}`);
    return answer;
  }

  async #addBackend(api: ApiConnection, backend: StormBackend): Promise<void> {
    await this.#do(api, "add backend", `add backend ${backend.name} from plain`);
    backend.isThere = true;
    await this.#addServer(api, backend, backend.servers.slice(0, 1));
    await this.#addServer(api, backend, backend.servers.slice(1, 2));
    await this.#do(api, "publish", `publish backend ${backend.name}`);
    backend.isPublished = true;
  }

  async #addServer(
    api: ApiConnection,
    { name }: StormBackend,
    among: StormServer[],
  ): Promise<void> {
    const server = this.#choices.pick(among);
    const limit = this.#choices.pick(["", " maxconn 50", " weight 10", " send-proxy-none"]);
    const words = limit === " send-proxy-none" ? "" : limit;
    const path = `${name}/${server.name}`;
    await this.#do(api, "add server", `add server ${path} 127.0.0.1:${server.port}${words}`);
    await this.#do(api, "enable server", `enable server ${path}`);
    server.isBusy = true;
    server.isReady = true;
  }

  async #removeServer(
    api: ApiConnection,
    { name }: StormBackend,
    among: StormServer[],
  ): Promise<void> {
    const server = this.#choices.pick(among);
    const path = `${name}/${server.name}`;
    await this.#do(api, "disable server", `disable server ${path}`);
    server.isReady = false;
    // Without a shutdown its streams keep it: refused, and the holders named.
    const early = await this.#do(api, "del server", `del server ${path}`);
    if (early.code !== "OK") {
      if ((early.holders ?? []).length === 0) this.faults.push(`nobody holds ${path}`);
      await this.#kill([server.name], () =>
        this.#do(api, "shutdown sessions", `shutdown sessions server ${path}`),
      );
      await this.#do(api, "wait", `wait 5s srv-removable ${path}`);
      await this.#do(api, "del server", `del server ${path}`);
    }
    server.isBusy = false;
  }

  async #weigh(api: ApiConnection, { name }: StormBackend, among: StormServer[]): Promise<void> {
    const server = this.#choices.pick(among);
    const weight = this.#choices.pick([1, 10, 100, 256]);
    await this.#do(api, "set weight", `set weight ${name}/${server.name} ${weight}`);
  }

  async #drain(api: ApiConnection, { name }: StormBackend, among: StormServer[]): Promise<void> {
    if (among.filter(({ isReady }) => isReady).length < 3) return;
    const path = `${name}/${this.#choices.pick(among).name}`;
    await this.#do(api, "drain", `set server ${path} state drain`);
    await this.#do(api, "ready", `set server ${path} state ready`);
  }

  async #shutdown(api: ApiConnection, backend: StormBackend, among: StormServer[]): Promise<void> {
    const { name } = backend;
    if (this.#choices.chance(0.3)) {
      const names = backend.servers.map((server) => server.name);
      await this.#kill([...names, ""], () =>
        this.#do(api, "shutdown backend", `shutdown sessions backend ${name}`),
      );
      return;
    }
    const server = this.#choices.pick(among);
    await this.#kill([server.name], () =>
      this.#do(api, "shutdown sessions", `shutdown sessions server ${name}/${server.name}`),
    );
  }

  async #kill(names: readonly string[], run: () => Promise<unknown>): Promise<void> {
    const from = Date.now();
    await run();
    for (const name of names) {
      // A stream that was still connecting dies before anybody has greeted it.
      for (const one of [name, ""]) {
        this.#kills.set(one, [...(this.#kills.get(one) ?? []), [from, Date.now()]]);
      }
    }
  }

  async #readdress(
    api: ApiConnection,
    { name }: StormBackend,
    among: StormServer[],
  ): Promise<void> {
    const server = this.#choices.pick(among);
    const command = `set server ${name}/${server.name} addr 127.0.0.1 port ${server.port}`;
    await this.#do(api, "set addr", command);
  }

  async #look(api: ApiConnection, { name }: StormBackend, among: StormServer[]): Promise<void> {
    await this.#do(api, "why backend", `why backend ${name}`);
    await this.#do(api, "why server", `why server ${name}/${this.#choices.pick(among).name}`);
  }

  async #removeBackend(api: ApiConnection, backend: StormBackend, isLast: boolean): Promise<void> {
    const { name } = backend;
    if (!isLast && this.#choices.chance(0.5)) {
      // Out of traffic and back: rules that name it fall through meanwhile.
      await this.#do(api, "unpublish", `unpublish backend ${name}`);
      await this.#do(api, "publish", `publish backend ${name}`);
      return;
    }
    await this.#do(api, "unpublish", `unpublish backend ${name}`);
    backend.isPublished = false;
    for (const server of backend.servers) {
      if (server.isBusy) await this.#removeServer(api, backend, [server]);
    }
    await this.#do(api, "wait backend", `wait 5s be-removable ${name}`);
    await this.#do(api, "del backend", `del backend ${name}`);
    backend.isThere = false;
  }
}
