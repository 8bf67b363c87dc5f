/**
 * Shares of two servers while one of them comes back slowly, tenth by tenth: as the formula says,
 * and as haproxy gives them at the same time. Prints the table of docs/coming-back.md.
 */
import { expect } from "bun:test";

import { askApiPort } from "../support/api.ts";
import { type BalancerName, findBalancer, startBalancer } from "../support/haproxy.ts";
import { startNamed } from "../support/peers.ts";
import { freePort } from "../support/ports.ts";
import { TEST_TIMEOUT_MS } from "../support/procs.ts";
import { statOf } from "../support/server-stat.ts";
import { askName } from "../support/traffic.ts";
import { e2e } from "./sluice.ts";

/** Length of the slow start. haproxy counts in whole seconds. */
const SECONDS = Number(process.env["SLUICE_TEST_SLOWSTART_SECONDS"] ?? 10);
const TENTHS = 10;

/** What was counted in a tenth. */
type Tenth = { requests: number; slow: number; throttle: string };

/** Share of the slow server: w sixteenths against a whole of the other, averaged over a tenth. */
function expectedShare(tenth: number): number {
  let sum = 0;
  const points = 1000;
  for (let i = 0; i < points; i++) {
    const passed = (tenth + (i + 0.5) / points) / TENTHS;
    const step = 1 + Math.floor(16 * passed);
    sum += step / (16 + step);
  }
  return sum / points;
}

async function measure(name: BalancerName): Promise<Tenth[]> {
  await using slow = startNamed("slow");
  await using full = startNamed("full");
  const [port, api] = [freePort(), freePort()];
  const config = `global
  nbthread 2
  stats socket 127.0.0.1:${api} level admin
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
listen be
  bind 127.0.0.1:${port}
  balance roundrobin
  server slow 127.0.0.1:${slow.port} weight 10 check inter 600s slowstart ${SECONDS}s
  server full 127.0.0.1:${full.port} weight 10 check inter 600s
`;
  const env = { SLUICE_LOG_FORMAT: "off" };
  await using _balancer = await startBalancer(name, { config, ports: [port], env });
  await askApiPort(api, "set server be/slow health down");
  // haproxy's clock of servers has whole seconds: both begin at the turn of one.
  await Bun.sleep(1000 - (Date.now() % 1000));
  await askApiPort(api, "set server be/slow health up");
  const startMs = performance.now();
  const tenths: Tenth[] = Array.from({ length: TENTHS }, () => {
    return { requests: 0, slow: 0, throttle: "" };
  });
  for (;;) {
    const at = Math.floor(((performance.now() - startMs) / (SECONDS * 1000)) * TENTHS);
    const tenth = tenths[at];
    if (tenth === undefined) return tenths;
    if (tenth.throttle === "") {
      tenth.throttle = (await statOf(api, "be", "slow", ["throttle"]))["throttle"] ?? "";
    }
    tenth.requests++;
    if ((await askName({ port })) === "slow") tenth.slow++;
    // Nobody is to be pressed: the load is only there to be counted.
    await Bun.sleep(1);
  }
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`.padStart(7);

e2e(
  `slowstart: shares over ${SECONDS} seconds follow the formula`,
  async () => {
    const hasReference = findBalancer("haproxy") !== undefined;
    const [own, reference] = await Promise.all([
      measure("sluice"),
      hasReference ? measure("haproxy") : undefined,
    ]);
    const share = (one: Tenth | undefined): number =>
      one === undefined ? 0 : one.slow / one.requests;
    const rows = own.map((tenth, i) => {
      const other = reference?.[i];
      const cells = [`${i}0 %`.padStart(5), percent(expectedShare(i)), percent(share(tenth))];
      cells.push(tenth.throttle.padStart(3), percent(share(other)), other?.throttle ?? "");
      return cells.join(" | ");
    });
    console.log(["from | formula | sluice | throttle | haproxy | throttle", ...rows].join("\n"));
    own.forEach((tenth, i) => {
      expect(tenth.requests).toBeGreaterThan(50);
      // Half a step of sixteen, and what so many requests leave to chance.
      expect(Math.abs(share(tenth) - expectedShare(i))).toBeLessThan(0.05);
    });
  },
  SECONDS * 1000 + 4 * TEST_TIMEOUT_MS,
);
