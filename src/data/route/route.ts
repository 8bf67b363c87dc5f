/**
 * Which backend a session goes to: `use_backend` rules in file order, then `default_backend`, then
 * the proxy itself if it is a `listen`. Compiled once, at the first session after a change.
 */
import { assert } from "../../base/assert.ts";
import type { LogContext, SampleContext } from "../../expr/context.ts";
import { compileCondition, compileLogFormat } from "../../expr/evaluate.ts";
import type { Condition } from "../../tables/expression.ts";
import {
  GUID_KIND_PROXY,
  PROXY_FLAG_PUBLISHED,
  PROXY_STATE_DISABLED,
} from "../../tables/generated/enums.ts";
import {
  PROXY_BACK_CURRENT,
  PROXY_BACK_CURRENT_MAX,
  PROXY_FLAGS,
  PROXY_STATE,
} from "../../tables/generated/proxy.ts";
import { CAUSE_SERVER, PHASE_CONNECT } from "../account/causes.ts";
import { countBackend, countBackendCurrent } from "../account/counters.ts";
import { endStream } from "../account/end.ts";
import { chooseFor } from "../connect/choose.ts";
import type { Engine } from "../engine.ts";
import type { Stream } from "../stream.ts";
import type { ProxyView } from "../views.ts";
import { StreamContext } from "./stream-context.ts";

/** Before a GUID where a name is expected. */
const GUID_PREFIX = "@guid:";

/** A compiled condition. */
export type Test = (context: SampleContext) => boolean;

type Rule = {
  test: Test | null;
  /** Null: the name is made at run time. */
  backend: ProxyView | null;
  name: ((context: LogContext) => string) | null;
};

/** The compiled choice of one frontend. */
export type Route = { rules: Rule[]; fallback: ProxyView | null };

/** A condition as a function; null = always. */
export function compileTest(condition: Condition | undefined): Test | null {
  return condition === undefined ? null : compileCondition(condition);
}

/** Chooses the backend of a session and goes on to the choice of a server. */
export function routeStream(stream: Stream): void {
  const backend = chooseBackend(stream);
  if (backend === null) {
    endStream(stream, CAUSE_SERVER, PHASE_CONNECT, false);
    return;
  }
  enterBackend(stream, backend);
  chooseFor(stream, 0);
}

function chooseBackend(stream: Stream): ProxyView | null {
  const { frontend } = stream;
  const route = frontend.route ?? compileRoute(stream.engine, frontend);
  const { rules } = route;
  if (rules.length === 0) return fallbackOf(stream.engine, route);
  const context = StreamContext.of(stream);
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i]!;
    if (rule.test !== null && !rule.test(context)) continue;
    // A backend that takes no traffic: manual 4.2 `use_backend`, the next rules are tried.
    if (rule.backend !== null) {
      if (isOpen(stream.engine, rule.backend)) return rule.backend;
      continue;
    }
    assert(rule.name !== null, "route: a rule has a backend or a way to name one");
    // A name that no backend has: manual 4.2 `use_backend`, the default backend is used.
    const named = backendNamed(stream.engine, rule.name(context));
    if (named === undefined) return fallbackOf(stream.engine, route);
    if (isOpen(stream.engine, named)) return named;
  }
  return fallbackOf(stream.engine, route);
}

/** A backend by its name, or by `@guid:` and its GUID. */
function backendNamed(engine: Engine, name: string): ProxyView | undefined {
  if (!name.startsWith(GUID_PREFIX)) return engine.backendsByName.get(name);
  const { guids } = engine;
  if (!guids.find(name.slice(GUID_PREFIX.length)) || guids.kind !== GUID_KIND_PROXY) {
    return undefined;
  }
  const view = engine.proxies.get(guids.row);
  // The index is changed before this worker is told: it may not know the backend yet.
  return view?.generation === guids.generation && view.spec.hasBack ? view : undefined;
}

/** Takes the backend traffic? Disabled and unpublished ones do not. */
function isOpen(engine: Engine, { row }: ProxyView): boolean {
  const words = engine.tables.proxies.words;
  if ((words[row + PROXY_FLAGS]! & PROXY_FLAG_PUBLISHED) === 0) return false;
  return words[row + PROXY_STATE] !== PROXY_STATE_DISABLED;
}

function fallbackOf(engine: Engine, { fallback }: Route): ProxyView | null {
  return fallback !== null && isOpen(engine, fallback) ? fallback : null;
}

function compileRoute(engine: Engine, frontend: ProxyView): Route {
  const { spec } = frontend;
  const rules = spec.useBackends.map((rule): Rule => {
    const test = compileTest(rule.condition);
    if (rule.backend.kind === "dynamic") {
      return { test, backend: null, name: compileLogFormat(rule.backend.format) };
    }
    return { test, backend: engine.backendsByName.get(rule.backend.name) ?? null, name: null };
  });
  const name = spec.defaultBackend?.name;
  const named = name === undefined ? undefined : engine.backendsByName.get(name);
  frontend.route = { rules, fallback: named ?? (spec.hasBack ? frontend : null) };
  engine.routed.push(frontend);
  return frontend.route;
}

function enterBackend(stream: Stream, backend: ProxyView): void {
  stream.backend = backend;
  stream.retriesLeft = backend.spec.retries;
  const words = stream.engine.tables.proxies.words;
  const now = Atomics.add(words, backend.row + PROXY_BACK_CURRENT, 1) + 1;
  if (words[backend.row + PROXY_BACK_CURRENT_MAX]! < now) {
    words[backend.row + PROXY_BACK_CURRENT_MAX] = now;
  }
  countBackend(stream);
  countBackendCurrent(stream.engine, backend, 1);
}
