/** Settings of simulated checks, drawn from a seed. */
import type { Plan, ServerSpec } from "../../src/tables/spec.ts";
import type { Choices } from "../support/sim-random.ts";

const INIT_STATES = ["up", "up", "fully-up", "down", "fully-down"] as const;
const ON_ERRORS = ["fastinter", "fail-check", "sudden-death", "mark-down"] as const;

/** A copy of `base` whose servers are checked otherwise. */
export function drawPlan(base: Plan, choices: Choices): Plan {
  const plan = structuredClone(base);
  for (const proxy of plan.proxies) {
    if (choices.chance(0.5)) {
      proxy.timeouts.connect = choices.between(50, 2000);
      proxy.timeouts.check = choices.between(50, 2000);
    } else if (choices.chance(0.3)) {
      proxy.timeouts.check = choices.between(50, 2000);
    }
    proxy.servers = proxy.servers.map((server) => drawServer(server, choices));
  }
  return plan;
}

function drawServer(server: ServerSpec, choices: Choices): ServerSpec {
  const intervalMs = choices.between(200, 4000);
  const hasAgent = choices.chance(0.4);
  return {
    ...server,
    initState: choices.pick(INIT_STATES),
    onError: choices.pick(ON_ERRORS),
    check: {
      ...server.check,
      enabled: !hasAgent || choices.chance(0.7),
      rise: choices.between(1, 5),
      fall: choices.between(1, 5),
      intervalMs,
      fastIntervalMs: choices.chance(0.5) ? intervalMs : choices.between(50, intervalMs),
      downIntervalMs: choices.chance(0.5) ? intervalMs : choices.between(100, 6000),
    },
    agent: { ...server.agent, enabled: hasAgent, port: 1, intervalMs: choices.between(200, 3000) },
  };
}
