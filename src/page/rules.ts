/**
 * `http-request` and `stats http-request` rules and the conditions of a page, compiled, and a
 * request as the samples of expressions see it.
 */
import { type IpAddress, parseIp } from "../base/address.ts";
import type { Clock } from "../base/clock.ts";
import type { LiveNumbers } from "../control/logs/record-context.ts";
import type { Model } from "../control/model.ts";
import type { HttpRequest, SampleContext } from "../expr/evaluate.ts";
import { compileCondition } from "../expr/evaluate.ts";
import type {
  AddressField,
  IntegerField,
  ProxyField,
  ServerField,
  TextField,
} from "../expr/keyword.ts";
import type { Condition } from "../tables/expression.ts";
import type { PageRuleSpec, PageSpec } from "../tables/spec.ts";
import type { PageRequest } from "./request.ts";

/** What conditions may ask besides the request itself. */
export type RuleWorld = {
  readonly model: Model;
  readonly clock: Clock;
  readonly random32: () => number;
  readonly live: LiveNumbers;
  readonly environment: ReadonlyMap<string, string>;
};

/** Whether a request fits. */
export type PageTest = (context: SampleContext) => boolean;

/** A rule that is ready to be asked. */
export type PageRule = { readonly action: PageRuleSpec["action"]; readonly test: PageTest };

/** Compiles rules in their order. */
export function compileRules(specs: readonly PageRuleSpec[]): PageRule[] {
  return specs.map(({ action, condition }) => ({
    action,
    test: condition === undefined ? () => true : compileCondition(condition),
  }));
}

/** True if one of the conditions holds. */
export function compileAny(conditions: readonly Condition[]): PageTest {
  const tests = conditions.map(compileCondition);
  return (context) => tests.some((test) => test(context));
}

/** The first rule that fits; undefined = none. */
export function firstRule(
  rules: readonly PageRule[],
  context: SampleContext,
): PageRule | undefined {
  return rules.find(({ test }) => test(context));
}

/** One request as an evaluation sees it. */
export class RequestContext implements SampleContext {
  readonly request: HttpRequest;
  readonly #asked: PageRequest;
  readonly #world: RuleWorld;
  readonly #page: PageSpec;

  constructor(asked: PageRequest, page: PageSpec, world: RuleWorld) {
    this.#asked = asked;
    this.#page = page;
    this.#world = world;
    const { method, target } = asked;
    this.request = { method, url: target, version: "1.1", header: (name) => asked.header(name) };
  }

  address(field: AddressField, out: IpAddress): boolean {
    const { address, localAddress } = this.#asked.visitor;
    if (field === "client" || field === "frontClient") return fill(address, out);
    if (field === "destination" || field === "frontDestination") return fill(localAddress, out);
    return false;
  }

  port(field: AddressField): number {
    const { address, port, localPort } = this.#asked.visitor;
    if (address === "") return -1;
    if (field === "client" || field === "frontClient") return port;
    return field === "destination" || field === "frontDestination" ? localPort : -1;
  }

  text(field: TextField): string | undefined {
    return field === "fe_name" ? this.#page.name : undefined;
  }

  integer(field: IntegerField): number | undefined {
    const { live } = this.#world;
    if (field === "fe_id") return this.#page.id;
    if (field === "uptime") return live.uptimeSeconds();
    if (field === "stopping") return live.isStopping() ? 1 : 0;
    if (field === "quic_enabled") return this.#world.model.plan.global.isQuicEnabled ? 1 : 0;
    return field === "pid" ? process.pid : undefined;
  }

  proxyInteger(field: ProxyField, name: string): number | undefined {
    const { model, live } = this.#world;
    const isFront = field === "fe_conn" || field === "fe_sess_rate";
    const proxy = (isFront ? model.frontends : model.backends).get(name);
    return proxy === undefined ? undefined : live.proxyInteger(field, proxy);
  }

  serverInteger(field: ServerField, backend: string, server: string): number | undefined {
    const { model, live } = this.#world;
    const found = model.backends.get(backend)?.serversByName.get(server);
    return found === undefined ? undefined : live.serverInteger(field, found);
  }

  environment(name: string): string | undefined {
    return this.#world.environment.get(name);
  }

  epochMicros(): number {
    return this.#world.clock.epochMicros();
  }

  acceptedMicros(): number {
    return 0;
  }

  random32(): number {
    return this.#world.random32();
  }
}

function fill(text: string, out: IpAddress): boolean {
  // A zone is no part of an address that is compared.
  const bare = text.replace(/%.*$/, "");
  return bare !== "" && parseIp(bare, out);
}
