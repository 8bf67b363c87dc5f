/**
 * The servers of one backend that one name is about: what a round of questions means for them, as
 * steps that are taken a few a turn. Each step looks again at what the turns between have changed.
 * Main thread.
 */
import type { ProxyObject, ServerObject } from "../model.ts";
import { assignServices } from "./assign-services.ts";
import type { Slot } from "./assign-services.ts";
import { chooseAddresses } from "./choose-addresses.ts";
import type { NamedAddress, ServiceRecord } from "./message.ts";
import { plainName, serviceKey } from "./message.ts";
import type { NameStatus } from "./resolution.ts";
import type { NameEntry } from "./section.ts";
import {
  BY_RECORD,
  emptyServer,
  fillServer,
  giveAddress,
  hostOfServer,
  isUnresolved,
  takeAddress,
  weighServer,
} from "./server-names.ts";
import type { NamesWork } from "./server-names.ts";

/** Whom a change is from: the name server for the first one, what is known already for the rest. */
export type Source = { take(): string };

/** Something to do for one server. */
export type Step = () => void;

/** Why servers are in maintenance, in HAProxy's words. */
const WHY: Readonly<Record<NameStatus, string>> = {
  none: "",
  valid: "",
  nx: "DNS NX status",
  refused: "DNS refused status",
  timeout: "DNS timeout status",
  other: "unspecified DNS error",
};
/** No address is left for it: others have them all. As HAProxy says it. */
const NO_ADDRESS = "No IP for server ";

/** Servers of a name, or of a service. */
export type Group = {
  readonly entry: NameEntry;
  readonly backend: ProxyObject;
  readonly servers: Set<ServerObject>;
  /** What the last round means; the steps are to be taken before the next look. */
  steps(control: NamesWork, nowMs: number, source: Source): Step[];
};

/** Servers whose addresses are those of a name. */
export class AddressGroup implements Group {
  readonly entry: NameEntry;
  readonly backend: ProxyObject;
  readonly servers = new Set<ServerObject>();

  constructor(entry: NameEntry, backend: ProxyObject) {
    this.entry = entry;
    this.backend = backend;
  }

  steps(control: NamesWork, nowMs: number, source: Source): Step[] {
    const { resolution } = this.entry;
    if (!resolution.isHeld(nowMs)) return this.#lost(control, WHY[resolution.status]);
    if (resolution.status !== "valid") return [];
    // Those that an operator has put elsewhere are none of the group.
    const servers = [...this.servers];
    const seats = servers.map((server) => {
      return { host: hostOfServer(server), naming: server.spec.resolution! };
    });
    const chosen = chooseAddresses(seats, resolution.addresses);
    return servers.flatMap((server, index) => {
      const address = chosen[index];
      const { host } = seats[index]!;
      const isFine = address !== undefined && address.host === host;
      if (isFine || (address === undefined && isLost(control, server))) return [];
      return [() => this.#settle(control, server, host, address, source)];
    });
  }

  #settle(
    control: NamesWork,
    server: ServerObject,
    host: string | undefined,
    address: NamedAddress | undefined,
    source: Source,
  ): void {
    if (!this.servers.has(server) || hostOfServer(server) !== host) return;
    if (address === undefined) takeAddress(control, server, NO_ADDRESS);
    else giveAddress(control, server, address, source.take());
  }

  #lost(control: NamesWork, why: string): Step[] {
    return [...this.servers].flatMap((server) => {
      if (isLost(control, server)) return [];
      return [
        () => {
          const isStill = this.servers.has(server) && !this.entry.resolution.isHeld(Infinity);
          if (isStill) takeAddress(control, server, why);
        },
      ];
    });
  }
}

function isLost(control: NamesWork, server: ServerObject): boolean {
  return server.spec.address === undefined && isUnresolved(control, server);
}

/** Servers that are filled from the records of a service. */
export class ServiceGroup implements Group {
  readonly entry: NameEntry;
  readonly backend: ProxyObject;
  readonly servers = new Set<ServerObject>();
  /** Servers whose address is from the answer about the service. */
  readonly withAddress = new Set<ServerObject>();
  /** Told when a server's address is to be asked for, or not any more. */
  readonly #follow: (server: ServerObject) => void;

  constructor(entry: NameEntry, backend: ProxyObject, follow: (server: ServerObject) => void) {
    this.entry = entry;
    this.backend = backend;
    this.#follow = follow;
  }

  steps(control: NamesWork, nowMs: number): Step[] {
    const { resolution } = this.entry;
    const servers = [...this.servers];
    if (!resolution.isHeld(nowMs)) {
      const filled = servers.filter((server) => isFilled(server) && !isPinned(server));
      return filled.map((server) => () => this.#empty(control, server));
    }
    if (resolution.status !== "valid") return [];
    const slots = servers.map(slotOf);
    const { emptied, filled, kept } = assignServices(slots, resolution.services);
    return [
      ...emptied.map((place) => () => this.#empty(control, servers[place]!)),
      ...filled.map(
        ({ place, record }) =>
          () =>
            this.#fill(control, servers[place]!, record),
      ),
      ...kept.flatMap(({ place, record }) => this.#keep(control, servers[place]!, record)),
    ];
  }

  #empty(control: NamesWork, server: ServerObject): void {
    if (!this.servers.has(server) || !isFilled(server) || isPinned(server)) return;
    this.withAddress.delete(server);
    emptyServer(control, server);
  }

  #fill(control: NamesWork, server: ServerObject, record: ServiceRecord): void {
    if (!this.servers.has(server) || isFilled(server) || isPinned(server)) return;
    if (record.address !== undefined) this.withAddress.add(server);
    fillServer(control, server, record);
  }

  #keep(control: NamesWork, server: ServerObject, record: ServiceRecord): Step[] {
    const { address } = record;
    const had = this.withAddress.has(server);
    const step = (): void => {
      const isSame = slotOf(server).key === serviceKey(record);
      if (!this.servers.has(server) || !isSame || isPinned(server)) return;
      weighServer(control, server, record);
      if (address !== undefined) {
        this.withAddress.add(server);
        giveAddress(control, server, address, BY_RECORD);
      } else {
        this.withAddress.delete(server);
      }
      if (had !== (address !== undefined)) this.#follow(server);
    };
    return [step];
  }
}

function isFilled({ spec }: ServerObject): boolean {
  return spec.hostName !== undefined;
}

/** An operator has said where it is. */
function isPinned({ spec }: ServerObject): boolean {
  return spec.resolution === undefined;
}

function slotOf(server: ServerObject): Slot {
  const { hostName, namePort = 0 } = server.spec;
  const key =
    hostName === undefined
      ? undefined
      : serviceKey({ target: plainName(hostName), port: namePort });
  return { key, isPinned: isPinned(server) };
}
