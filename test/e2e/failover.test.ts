/** A server that dies under load: its own streams end, nobody else notices. */
import { expect } from "bun:test";

import { startNamed } from "../support/peers.ts";
import { until } from "../support/procs.ts";
import { askName, countEach } from "../support/traffic.ts";
import { e2e, listenOver, startSluice } from "./sluice.ts";

const CLIENTS = 30;

e2e("killing a server under load with retries and redispatch loses no client", async () => {
  await using a = startNamed("a");
  await using b = startNamed("b");
  await using sluice = await startSluice(
    listenOver(
      [`${a.port} check inter 200ms fall 2`, `${b.port} check inter 200ms`],
      "  retries 3\n  option redispatch 1",
    ),
    { workers: 2 },
  );
  const answers: string[] = [];
  let isOver = false;
  const loops = Array.from({ length: CLIENTS }, async () => {
    while (!isOver) answers.push(await askName({ port: sluice.port }));
  });
  await until("load on both servers", () => a.accepted > 50 && b.accepted > 50);
  const openAtDeath = a.open;
  a.kill();
  const before = answers.length;
  await until("load after the death", () => answers.length > before + 500);
  isOver = true;
  await Promise.all(loops);
  const counts = countEach(answers);
  const lost = (counts["closed"] ?? 0) + (counts["reset"] ?? 0) + (counts["refused"] ?? 0);
  // Who was on the dead server at that moment may have had no answer yet: nothing can save that.
  expect(lost).toBeLessThanOrEqual(openAtDeath);
});

e2e("a server that comes back is used again", async () => {
  await using b = startNamed("b");
  const { port } = b;
  await using a = startNamed("a");
  await using sluice = await startSluice(
    listenOver(
      [`${a.port} check inter 50ms rise 2 fall 2`, `${port} check inter 50ms rise 2 fall 2`],
      "  retries 2\n  option redispatch 1",
    ),
    { workers: 2 },
  );
  b.kill();
  await until("only a to answer", async () => {
    const names = [];
    for (let i = 0; i < 6; i++) names.push(await askName({ port: sluice.port }));
    return names.every((name) => name === "a");
  });
  await using again = startNamed("b2", port);
  await until("b to answer again", async () => (await askName({ port: sluice.port })) === "b2");
  expect(again.accepted).toBeGreaterThan(0);
});
