/**
 * Statistics pages as a service of the process: addresses are bound with the others, before
 * privileges drop; answers begin when there is a `Control` to tell of, and taking visitors ends
 * when the process stops. Main thread.
 */
import { randomBytes } from "node:crypto";

import { startTimer, systemClock } from "../base/clock.ts";
import type { Clock, Ticker } from "../base/clock.ts";
import { SluiceError } from "../base/errors.ts";
import { PAGE_CONNECTIONS_MAX } from "../base/limits.ts";
import { random32 } from "../base/prng.ts";
import { systemLibc } from "../base/system-libc.ts";
import type { Native } from "../conduit/native.ts";
import { nativeModule } from "../conduit/native.ts";
import type { Control } from "../control/control.ts";
import { bindListener } from "../control/listen.ts";
import type { OpenService, Service } from "../control/process/start.ts";
import { liveNumbers } from "../control/stats/live-numbers.ts";
import { PROCESS_STOPPING } from "../tables/generated/process.ts";
import type { BindSpec, PageSpec, Plan } from "../tables/spec.ts";
import type { CrossingLimits } from "./crossing.ts";
import type { PageDesk } from "./desk.ts";
import { ControlDesk } from "./desk.ts";
import { Gate, Visitors } from "./gate.ts";
import type { GateDoor } from "./gate.ts";
import { startPageServer } from "./http.ts";
import type { PageServer } from "./http.ts";
import type { Page } from "./route.ts";
import { answerRequest, makePage } from "./route.ts";
import type { RuleWorld } from "./rules.ts";
import { Tokens } from "./token.ts";

/** How often it is looked whether the process stops, or is out of descriptors, ms. */
const LOOK_MS = 200;
/** What a visitor may take to ask, where the configuration leaves it open, ms. */
const REQUEST_MS = 10_000;
/** What a visitor may be silent for, where the configuration leaves it open, ms. */
const IDLE_MS = 60_000;

/** Statistics pages, to be started with the process. */
export const statisticsPages: Service = {
  open(plan) {
    const pages = new Pages(plan, nativeModule(), systemClock);
    try {
      pages.open();
    } catch (error) {
      pages.close();
      throw error;
    }
    return pages;
  },
};

/** Least that a visitor may be silent for between two requests: answers come in pieces, ms. */
const KEEP_ALIVE_MS = 2_000;

/** How long visitors of a page may take; what is unset is as the next longer wait (manual 4.2). */
function waitsOf({ client, httpRequest, httpKeepAlive }: PageSpec["timeouts"]): CrossingLimits {
  const idleMs = client > 0 ? client : IDLE_MS;
  const keptMs = [httpKeepAlive, httpRequest].find((ms) => ms > 0) ?? idleMs;
  return {
    idleMs,
    keepAliveMs: Math.max(KEEP_ALIVE_MS, keptMs),
    requestMs: httpRequest > 0 ? httpRequest : REQUEST_MS,
  };
}

/** All pages of a process. */
export class Pages implements OpenService {
  readonly #plan: Plan;
  readonly #native: Native | null;
  readonly #clock: Clock;
  readonly #visitors = new Visitors();
  readonly #gates: Gate[] = [];
  #server: PageServer | undefined;
  #world: RuleWorld | undefined;
  #desk: PageDesk | undefined;
  #fault: (text: string) => void = () => undefined;
  #look: Ticker | undefined;

  constructor(plan: Plan, native: Native | null, clock: Clock) {
    this.#plan = plan;
    this.#native = native;
    this.#clock = clock;
  }

  /** Binds all addresses. @throws SluiceError SLC_PAGE_SOCKET for the first that cannot be had */
  open(): void {
    const specs = this.#plan.pages.filter(({ disabled, binds }) => !disabled && binds.length > 0);
    if (specs.length === 0) return;
    this.#server = startPageServer(
      this.#visitors,
      (page, request) => answerRequest(page as Page, request, this.#world, this.#desk),
      (text) => this.#fault(text),
    );
    for (const spec of specs) {
      const page = makePage(spec);
      for (const bind of spec.binds) this.#openGate(page, bind);
    }
  }

  serve(control: Control): void {
    if (this.#server === undefined) return;
    const { model, environment, clock, say, tables } = control;
    const live = liveNumbers(control);
    this.#fault = (text) => say("alert", `A statistics page could not answer: ${text}`);
    this.#world = { model, clock, random32, live, environment };
    this.#desk = new ControlDesk(control, new Tokens(clock), randomBytes(6).toString("hex"));
    for (const gate of this.#gates) gate.begin();
    const look = (): void => {
      if (tables.process.words[PROCESS_STOPPING] === 1) {
        for (const gate of this.#gates) gate.close();
        return;
      }
      this.#lookForDescriptors();
      this.#look = startTimer(LOOK_MS, look);
    };
    look();
  }

  close(): void {
    this.#look?.stop();
    for (const gate of this.#gates) gate.stop();
    this.#desk?.close();
    this.#server?.stop();
    this.#server = undefined;
  }

  /** Addresses that it listens on, as bound: `port` of each, 0 of a unix socket. */
  ports(): number[] {
    return this.#gates.map(({ port }) => port);
  }

  /** A process without any would accept in vain, and spin. */
  #lookForDescriptors(): void {
    if (this.#native === null) return;
    const copy = this.#native.dup(0);
    if (copy >= 0) this.#native.close(copy);
    for (const gate of this.#gates) gate.starve(copy < 0);
  }

  #openGate(page: Page, bind: BindSpec): void {
    const { spec } = page;
    const most = Math.min(spec.maxconn || PAGE_CONNECTIONS_MAX, PAGE_CONNECTIONS_MAX);
    const gate = new Gate({
      bind: bind.address,
      owner: page,
      visitors: this.#visitors,
      limits: {
        connections: Math.min(bind.maxconn || most, most),
        ...waitsOf(spec.timeouts),
      },
      clock: this.#clock,
      innerPort: () => this.#server?.port ?? 0,
    });
    try {
      gate.open(this.#doorOf(spec, bind));
    } catch (error) {
      throw bindError(spec, bind, reasonOf(error));
    }
    this.#gates.push(gate);
  }

  #doorOf(page: PageSpec, bind: BindSpec): GateDoor {
    const native = this.#native;
    const { noreuseport } = this.#plan.global;
    if (native === null) return doorOfBun(bind, !noreuseport);
    const keepalive = { enabled: false, idleSeconds: 0, intervalSeconds: 0, count: 0 };
    const front = { clientKeepalive: keepalive, backlog: page.backlog, maxconn: page.maxconn };
    const { workers: _, ...everyone } = bind;
    const bound = bindListener(native, this.#plan.global, front, everyone, 1);
    if ("errno" in bound) throw Object.assign(new Error(bound.step), { errno: bound.errno });
    const [fd = -1] = bound.fds;
    return { native, fd, isOurs: bind.address.family !== "fd" };
  }
}

/** Without the native part: what Bun can bind by itself. */
function doorOfBun({ address, v6only }: BindSpec, reusePort: boolean): GateDoor {
  switch (address.family) {
    case "unix":
      return { unix: address.path };
    case "abns":
      return { unix: `\0${address.name}` };
    case "fd":
      throw new Error("needs the native part");
    default:
      return { hostname: address.host, port: address.port, ipv6Only: v6only, reusePort };
  }
}

function bindError({ name, section }: PageSpec, bind: BindSpec, reason: string): SluiceError {
  const { file, line } = bind.origin;
  const kind = section === "listen" ? "proxy" : section;
  return new SluiceError("SLC_PAGE_SOCKET", { file, line, kind, name, reason, address: bind.text });
}

function reasonOf(error: unknown): string {
  const errno = error instanceof Error && "errno" in error ? Math.abs(Number(error.errno)) : 0;
  if (errno > 0) return systemLibc().strerror(errno);
  return error instanceof Error ? error.message : String(error);
}
