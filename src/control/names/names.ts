/**
 * Servers that are kept up to date by DNS (HAProxy manual 5.3): who wants to know which name, what
 * the answers mean for them, a few milliseconds a turn. One a process, on control's thread.
 *
 * ```
 *   servers of the model ─▶ follow ─▶ Section ─▶ Resolution ─▶ Nameserver ─▶ UDP, TCP
 *        ▲                                │ a round has ended
 *        └── server-names.ts ◀─ steps ◀─ Group (servers of a name and backend)
 * ```
 */
import { assert, describeError } from "../../base/assert.ts";
import { onNextTurn, startTimer, systemClock } from "../../base/clock.ts";
import { DNS_TURN_MS } from "../../base/limits.ts";
import type { StartTimer } from "../../check/due.ts";
import type { Plan } from "../../tables/spec.ts";
import type { Control } from "../control.ts";
import type { ProxyObject, ServerObject } from "../model.ts";
import { newCounters } from "./counters.ts";
import { AddressGroup, ServiceGroup } from "./groups.ts";
import type { Group, Source, Step } from "./groups.ts";
import type { QuestionType } from "./message.ts";
import { plainName } from "./message.ts";
import type { Asked } from "./nameserver.ts";
import type { AskedServer } from "./resolution.ts";
import { Section } from "./section.ts";
import type { NameEntry } from "./section.ts";
import type { NamesControl, NamesWork } from "./server-names.ts";
import { systemTransport } from "./sockets.ts";
import type { Transport } from "./transport.ts";

/** The machine, or what a test puts in its place. */
export type NamesMachine = {
  transport: Transport;
  /** 32 bits that nobody can guess. */
  random32: () => number;
  nowMs: () => number;
  startTimer: StartTimer;
  /** Runs something in another turn. */
  nextTurn(run: () => void): void;
};

/** What a server takes part in. */
type Membership = { service: ServiceGroup | undefined; address: AddressGroup | undefined };

/** This machine. */
const systemMachine: NamesMachine = {
  transport: systemTransport,
  random32: () => crypto.getRandomValues(new Uint32Array(1))[0]!,
  nowMs: systemClock.nowMs,
  startTimer,
  nextTurn: onNextTurn,
};

export class Names {
  /** All sections, in their order. */
  readonly sections: readonly Section[];
  /** Rounds that brought no good answer (`FailedResolutions`). */
  failed = 0;
  readonly #control: NamesWork;
  readonly #machine: NamesMachine;
  readonly #byName = new Map<string, Section>();
  readonly #groups = new Map<NameEntry, Map<ProxyObject, Group>>();
  readonly #members = new Map<ServerObject, Membership>();
  /** Groups to look at, and whom what they learn is from. */
  readonly #changed = new Map<Group, Source>();
  /** What is to be done next, the last one first. */
  #steps: Step[] = [];
  #soon: (() => void)[] = [];
  #isPumping = false;
  #isStopped = false;

  constructor(
    control: NamesControl & { readonly plan: Pick<Plan, "resolvers"> },
    machine: NamesMachine,
  ) {
    this.#control = { ...control, later: (run) => this.#runSoon(run) };
    this.#machine = machine;
    const { transport, random32, nowMs } = machine;
    this.sections = control.plan.resolvers.map((spec) => {
      return new Section(spec, {
        transport,
        random32,
        nowMs,
        startTimer: machine.startTimer,
        soon: (run) => this.#runSoon(run),
        finished: (entry, server) => this.#finished(entry, server),
      });
    });
    for (const section of this.sections) this.#byName.set(section.spec.name, section);
  }

  /** Begins with the servers that there are, and follows those that come and go. */
  async start(): Promise<void> {
    const { model, events } = this.#control;
    events.listen(({ kind, server }) => {
      if (server === undefined) return;
      if (kind === "server-removed") this.#leaveAll(server);
      else if (kind === "server-added" || kind === "server-changed") this.follow(server);
    });
    const isWanted = model.plan.proxies.some(({ servers }) =>
      servers.some((one) => one.resolution),
    );
    if (isWanted) await Promise.all(this.sections.map((section) => section.lookForIpv6()));
    for (const server of model.serverByRow.values()) this.follow(server);
  }

  /** Ends it all: what servers have stays. */
  stop(): void {
    this.#isStopped = true;
    for (const section of this.sections) section.stop();
    this.#steps = [];
    this.#soon = [];
    this.#changed.clear();
  }

  /** A check could not reach the server: its address may be another one now (manual 5.3.1). */
  wake(server: ServerObject): void {
    const { address } = this.#members.get(server) ?? {};
    if (address !== undefined) address.entry.section.askSoon(address.entry);
  }

  /** `clear counters all`. */
  clearCounters(): void {
    for (const { nameservers } of this.sections) {
      for (const server of nameservers) server.counters = newCounters();
    }
  }

  /** Takes account of what a server's spec says of names now. */
  follow(server: ServerObject): void {
    if (this.#isStopped) return;
    const now = this.#members.get(server) ?? { service: undefined, address: undefined };
    const service = this.#serviceOf(server, now.service);
    const address = this.#addressOf(server, service, now.address);
    if (service === undefined && address === undefined) this.#members.delete(server);
    else this.#members.set(server, { service, address });
  }

  /** The group of the server's service. */
  #serviceOf(server: ServerObject, now: ServiceGroup | undefined): ServiceGroup | undefined {
    const { spec, configured } = server;
    const naming = spec.resolution ?? configured.resolution;
    const section = naming && this.#byName.get(naming.resolvers);
    const name = section && spec.serviceName;
    if (now !== undefined && (name === undefined || !isOf(now, section, name, "SRV"))) {
      this.#leave(server, now);
    }
    if (section === undefined || name === undefined) return undefined;
    return this.#join(server, section, name, "SRV", (entry, backend) => {
      return new ServiceGroup(entry, backend, (one) => this.follow(one));
    });
  }

  /** The group of the name that its address is from. */
  #addressOf(
    server: ServerObject,
    service: ServiceGroup | undefined,
    now: AddressGroup | undefined,
  ): AddressGroup | undefined {
    const { resolution: naming, hostName } = server.spec;
    const section = naming && this.#byName.get(naming.resolvers);
    const isKnown = service?.withAddress.has(server) === true;
    const name = section === undefined || isKnown ? undefined : hostName;
    const first = naming?.prefer === "ipv4" ? "A" : "AAAA";
    if (now !== undefined && (name === undefined || !isOf(now, section, name, first))) {
      this.#leave(server, now);
    }
    if (section === undefined || name === undefined) return undefined;
    return this.#join(server, section, name, first, (entry, backend) => {
      return new AddressGroup(entry, backend);
    });
  }

  #join<G extends Group>(
    server: ServerObject,
    section: Section,
    name: string,
    first: QuestionType,
    make: (entry: NameEntry, backend: ProxyObject) => G,
  ): G {
    const entry = section.join(name, first);
    const groups = this.#groups.get(entry) ?? new Map<ProxyObject, Group>();
    this.#groups.set(entry, groups);
    // The type of question says which kind of group it is.
    const known = groups.get(server.backend) as G | undefined;
    const group = known ?? make(entry, server.backend);
    groups.set(server.backend, group);
    if (group.servers.has(server)) {
      section.leave(entry);
      return group;
    }
    group.servers.add(server);
    section.askSoon(entry);
    return group;
  }

  #leave(server: ServerObject, group: Group): void {
    if (!group.servers.delete(server)) return;
    if (group instanceof ServiceGroup) group.withAddress.delete(server);
    const { entry, backend } = group;
    if (group.servers.size === 0) {
      const groups = this.#groups.get(entry);
      assert(groups !== undefined, "leave: the group is known");
      groups.delete(backend);
      this.#changed.delete(group);
      if (groups.size === 0) this.#groups.delete(entry);
    }
    entry.section.leave(entry);
  }

  #leaveAll(server: ServerObject): void {
    const { service, address } = this.#members.get(server) ?? {};
    if (service !== undefined) this.#leave(server, service);
    if (address !== undefined) this.#leave(server, address);
    this.#members.delete(server);
  }

  #finished(entry: NameEntry, server: AskedServer<Asked> | undefined): void {
    if (server === undefined) this.failed++;
    const source = sourceOf(entry, server);
    for (const group of this.#groups.get(entry)?.values() ?? []) this.#changed.set(group, source);
    this.#pump();
  }

  #runSoon(run: () => void): void {
    this.#soon.push(run);
    this.#pump();
  }

  /** Works in another turn, and in as many as it takes. */
  #pump(): void {
    if (this.#isPumping || this.#isStopped) return;
    this.#isPumping = true;
    this.#machine.nextTurn(() => {
      this.#isPumping = false;
      if (!this.#isStopped) this.#work();
    });
  }

  #work(): void {
    const { nowMs } = this.#machine;
    const endMs = nowMs() + DNS_TURN_MS;
    const due = this.#soon;
    this.#soon = [];
    let at = 0;
    try {
      while (at < due.length && nowMs() < endMs) due[at++]!();
      while (nowMs() < endMs) {
        const step = this.#nextStep();
        if (step === undefined) break;
        step();
      }
    } finally {
      if (at < due.length) this.#soon = [...due.slice(at), ...this.#soon];
      const isMore = this.#soon.length > 0 || this.#steps.length > 0 || this.#changed.size > 0;
      if (isMore) this.#pump();
    }
  }

  #nextStep(): Step | undefined {
    while (this.#steps.length === 0) {
      const [next] = this.#changed;
      if (next === undefined) return undefined;
      const [group, source] = next;
      this.#changed.delete(group);
      this.#steps = group.steps(this.#control, this.#machine.nowMs(), source).reverse();
    }
    return this.#steps.pop();
  }
}

/** Is the group about this name, from this section? */
function isOf(
  { entry }: Group,
  section: Section | undefined,
  name: string,
  first: QuestionType,
): boolean {
  const isSame = entry.section === section && entry.first === first;
  return isSame && entry.resolution.name === plainName(name);
}

/** The name server for the first change, which it counts; `DNS cache` for those that follow. */
function sourceOf({ section }: NameEntry, server: AskedServer<Asked> | undefined): Source {
  let isFirst = server !== undefined;
  return {
    take: () => {
      if (!isFirst || server === undefined) return "DNS cache";
      isFirst = false;
      server.counters.update++;
      return `${section.spec.name}/${server.name}`;
    },
  };
}

/** Begins to keep servers up to date. */
export function startNames(control: Control): Names {
  const names = controlNames(control);
  control.checks.onNews((server, _kind, { result }) => {
    if (result.code === "L4TOUT") names.wake(server);
  });
  names.start().catch((error: unknown) => {
    control.say("alert", `Names of servers are not followed: ${describeError(error)}.`);
  });
  return names;
}

const made = new WeakMap<object, Names>();

/**
 * The names of a control that has none yet.
 * @param machine left out: this one
 */
export function makeNames(
  control: Pick<Control, "plan"> & NamesControl,
  machine: NamesMachine = systemMachine,
): Names {
  assert(!made.has(control), "makeNames: a control has one");
  const names = new Names(control, machine);
  made.set(control, names);
  return names;
}

/** The names of a control, made when they are asked for first. */
export function controlNames(control: Pick<Control, "plan"> & NamesControl): Names {
  return made.get(control) ?? makeNames(control);
}
