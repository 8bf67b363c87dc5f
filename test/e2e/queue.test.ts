/** maxconn is strict and the queue is fair, whatever worker a client came to. */
import { expect } from "bun:test";

import { startEcho, startPeer } from "../support/peers.ts";
import { isAccepted } from "../support/ports.ts";
import { until } from "../support/procs.ts";
import { askName, openWarm, type WarmConnection } from "../support/traffic.ts";
import { e2e, listenOver, startSluice } from "./sluice.ts";

const CLIENTS = 200;

e2e(
  "200 clients, one server with maxconn 1, 4 workers: one at a time, in order of arrival",
  async () => {
    const gate = Promise.withResolvers<void>();
    const order: string[] = [];
    await using server = startPeer({
      async data(socket, bytes) {
        order.push(bytes.toString().trim());
        await gate.promise;
        socket.end();
      },
    });
    await using sluice = await startSluice(listenOver([`${server.port} maxconn 1`]), {
      workers: 4,
      defaults: "  timeout queue 60s",
    });
    let left = 0;
    for (let i = 0; i < CLIENTS; i++) {
      const socket = await Bun.connect({
        hostname: "127.0.0.1",
        port: sluice.port,
        socket: {
          open: (s) => void s.write(`${i}\n`),
          data() {},
          close: () => void left++,
        },
      });
      // Whoever connects next arrives later only if this one has been accepted.
      await until("sluice to accept", () => isAccepted(sluice.port, socket.localPort));
    }
    expect(server.accepted).toBe(1);
    gate.resolve();
    await until("all to be served", () => left === CLIENTS);
    expect(order).toEqual(Array.from({ length: CLIENTS }, (_, i) => String(i)));
    expect(server.openMax).toBe(1);
  },
  60_000,
);

e2e("maxconn 3 over 4 workers under a storm of clients is never exceeded", async () => {
  await using server = startPeer({
    open: (socket) => void setTimeout(() => socket.end(Buffer.from("s1\n")), 2),
  });
  await using sluice = await startSluice(listenOver([`${server.port} maxconn 3`]), { workers: 4 });
  const names = await Promise.all(
    Array.from({ length: 300 }, () => askName({ port: sluice.port })),
  );
  expect(names.every((name) => name === "s1")).toBe(true);
  expect(server.openMax).toBeLessThanOrEqual(3);
});

e2e("a frontend's maxconn stops accepting and goes on when someone leaves", async () => {
  await using server = startEcho();
  await using sluice = await startSluice(listenOver([server.port], "  maxconn 5"), { workers: 2 });
  const waiting: Promise<WarmConnection>[] = Array.from({ length: 12 }, () =>
    openWarm(sluice.port),
  );
  await until("five to be served", () => server.open === 5);
  // Whoever has been served leaves, and makes room for one more.
  await Promise.all(waiting.map((one) => one.then((warm) => warm.close())));
  expect(server.accepted).toBe(12);
  expect(server.openMax).toBe(5);
});

e2e("one after the other, clients visit equal servers in strict turn over 4 workers", async () => {
  await using stack = new AsyncDisposableStack();
  const servers = Array.from({ length: 5 }, (_, i) =>
    stack.use(startPeer({ open: (socket) => void socket.end(Buffer.from(`${i}\n`)) })),
  );
  await using sluice = await startSluice(listenOver(servers.map((server) => server.port)), {
    workers: 4,
  });
  const names: string[] = [];
  for (let i = 0; i < 50; i++) names.push(await askName({ port: sluice.port }));
  for (let i = 0; i < 50; i += 5) {
    expect(new Set(names.slice(i, i + 5)).size).toBe(5);
  }
});
