/** Numbers of proxies and servers in rules: each follows a change at once, as in haproxy. */
import { askApiPort } from "../support/api.ts";
import { startNamed } from "../support/peers.ts";
import { until } from "../support/procs.ts";
import { askName, visit } from "../support/traffic.ts";
import { behaviour, conformance, type Lab } from "./harness.ts";

/** Conditions, each the rule of a frontend of its own. */
const CONDITIONS = [
  "nbsrv(b) eq 2",
  "nbsrv(b) eq 1",
  "nbsrv(b) eq 0",
  "srv_is_up(b/s1)",
  "srv_is_up(b/s2)",
  "srv_weight(b/s1) eq 10",
  "srv_weight(b/s1) eq 4",
  "srv_uweight(b/s1) eq 4",
  "srv_iweight(b/s1) eq 10",
  "srv_conn(b/s1) eq 0",
  "srv_conn(b/s1) eq 1",
  "srv_conn(b/s1) eq 2",
  "srv_conn_free(b/s1) eq 2",
  "srv_conn_free(b/s1) eq 0",
  "srv_queue(b/s1) eq 0",
  "srv_queue(b/s1) eq 1",
  "queue(b) eq 0",
  "queue(b) eq 1",
  "avg_queue(b) eq 0",
  "avg_queue(b) eq 1",
  "be_conn(b) eq 0",
  "be_conn(b) eq 3",
  "be_conn_free(b) eq 4",
  "be_conn_free(b) eq 2",
  "be_conn_free(b) eq 0",
  "connslots(b) eq 10",
  "connslots(b) eq 5",
  "connslots(b) eq 3",
  "be_sess_rate(b) gt 0",
  "srv_sess_rate(b/s1) gt 0",
  "srv_sess_rate(b/s2) gt 0",
  "fe_sess_rate(held) gt 0",
  "fe_conn(held) eq 3",
  "str(b),nbsrv eq 1",
];

const config = (lab: Lab): string => `global
  stats socket 127.0.0.1:${lab.port("api")} level admin
${CONDITIONS.map(
  (condition, i) => `frontend f${i}
  ${lab.bind(`f${i}`)}
  use_backend yes if { ${condition} }
  default_backend no`,
).join("\n")}
frontend held
  ${lab.bind("held")}
  default_backend b
backend yes
  ${lab.line("yes")}
backend no
  ${lab.line("no")}
backend b
  balance first
  ${lab.line("s1")} weight 10 maxconn 2 maxqueue 3
  ${lab.line("s2")} weight 10 maxconn 2 maxqueue 3 ${CHECK}
backend tracker
  server t1 127.0.0.1:1 track b/s2`;

/** Nobody asks in the time of a test. */
const CHECK = "check inter 600s";

/** Which conditions hold. */
async function holding(lab: Lab): Promise<string[]> {
  const answers = await Promise.all(CONDITIONS.map((_, i) => askName({ port: lab.port(`f${i}`) })));
  return CONDITIONS.filter((_, i) => answers[i] === "yes");
}

conformance("counts in rules", [
  behaviour({
    name: "states and weights",
    servers: { yes: () => startNamed("yes"), no: () => startNamed("no"), ...two() },
    config,
    async traffic(lab) {
      const seen: unknown[] = [["start", await holding(lab)]];
      for (const command of [
        "set weight b/s1 4",
        "set weight b/s1 0",
        "set weight b/s1 100%",
        "set server b/s1 state drain",
        "set server b/s1 state maint",
        "set server b/s2 health down",
        "set server b/s1 state ready",
        "set server b/s2 health stopping",
        "set server b/s2 health up",
        "set maxconn server b/s1 1",
        "disable health b/s2",
      ]) {
        await askApiPort(lab.port("api"), command);
        seen.push([command, await holding(lab)]);
      }
      return seen;
    },
  }),
  behaviour({
    name: "streams and queues",
    servers: { yes: () => startNamed("yes"), no: () => startNamed("no"), ...two() },
    config,
    async traffic(lab) {
      const at = { port: lab.port("held") };
      const held = [await visit(at), await visit(at), await visit(at)];
      const seen: unknown[] = [["three streams", held.map(({ name }) => name)]];
      // Rates are of the last second.
      seen.push(await holding(lab));
      await askApiPort(lab.port("api"), "set server b/s2 state maint");
      const waiting = visit(at);
      await until("one to wait", async () => (await holding(lab)).includes("queue(b) eq 1"));
      seen.push(["one waits", (await holding(lab)).filter((text) => !text.includes("rate"))]);
      held[0]!.leave();
      seen.push((await waiting).name);
      await until("nobody to wait", async () => (await holding(lab)).includes("queue(b) eq 0"));
      for (const one of [...held, await waiting]) one.leave();
      await until("all to leave", async () => (await holding(lab)).includes("be_conn(b) eq 0"));
      seen.push(["none", (await holding(lab)).filter((text) => !text.includes("rate"))]);
      return seen;
    },
  }),
]);

function two(): Record<string, () => ReturnType<typeof startNamed>> {
  return { s1: () => startNamed("s1"), s2: () => startNamed("s2") };
}
