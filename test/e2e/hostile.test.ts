/** Bad peers and scarce resources: each costs its own stream only, and the rest recovers. */
import { describe, expect } from "bun:test";

import type { Balancer } from "../support/haproxy.ts";
import { startEcho, startNamed, startPeer, startSyslog } from "../support/peers.ts";
import { cpuSeconds, descriptorCount, until } from "../support/procs.ts";
import { playClient } from "../support/tcp-script.ts";
import { askName, openWarm, type WarmConnection } from "../support/traffic.ts";
import { e2e, listenOver, startSluice } from "./sluice.ts";

const HEADER = "PROXY TCP4 10.1.2.3 10.4.5.6 1111 2222\r\n";
const V2 = "\r\n\r\n\0\r\nQUIT\n";

/** What is no PROXY header, whichever way one looks at it. */
const BAD_HEADERS: Record<string, string> = {
  "another protocol": "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
  "binary noise": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
  "a line that never ends": `PROXY TCP4 ${"1".repeat(200)}`,
  "an unknown family": "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
  "a bad address": "PROXY TCP4 300.1.2.3 10.4.5.6 1111 2222\r\n",
  "a bad port": "PROXY TCP4 10.1.2.3 10.4.5.6 70000 2222\r\n",
  "an IPv6 address in TCP4": "PROXY TCP4 ::1 10.4.5.6 1111 2222\r\n",
  "missing ports": "PROXY TCP4 10.1.2.3 10.4.5.6\r\n",
  "a later version": `${V2}\x31\x11\0\0`,
  "an unknown command": `${V2}\x2f\x11\0\0`,
  "an address too short": `${V2}\x21\x11\0\x04abcd`,
  "a length that lies": `${V2}\x21\x11\xff\xffabcd`,
};

describe("PROXY headers", () => {
  for (const [what, header] of Object.entries(BAD_HEADERS)) {
    e2e(`${what} closes that connection, never reaches the server, and is logged`, async () => {
      await using server = startNamed("s1");
      await using syslog = await startSyslog();
      await using sluice = await startSluice(
        (port) => `frontend fe
  bind 127.0.0.1:${port} accept-proxy
  log 127.0.0.1:${syslog.port} local0
  option tcplog
  default_backend be
backend be
  server s1 127.0.0.1:${server.port}`,
        { timeouts: "  timeout connect 5s\n  timeout client 1s\n  timeout server 5s" },
      );
      const where = { port: sluice.port };
      const seen = await playClient(`send ${JSON.stringify(header)}; read-end`, where);
      expect(seen[1]).toMatch(/^(end|reset)$/);
      expect(server.accepted).toBe(0);
      await syslog.matching(/fe/, 1);
      expect(await askName(where, HEADER)).toBe("s1");
    });
  }

  e2e("half a header and then silence holds nobody else up", async () => {
    await using server = startNamed("s1");
    await using sluice = await startSluice(
      (port) =>
        `listen fe\n  bind 127.0.0.1:${port} accept-proxy\n  server s1 127.0.0.1:${server.port}`,
    );
    const where = { port: sluice.port };
    const silent = Array.from({ length: 20 }, () => playClient(`send "PROXY TC"; read-end`, where));
    expect(await askName(where, HEADER)).toBe("s1");
    void silent;
  });
});

e2e("clients that come and reset at once cost nothing lasting", async () => {
  await using server = startNamed("s1");
  await using sluice = await startSluice(listenOver([server.port]), { workers: 2 });
  for (let i = 0; i < 300; i++) await playClient("reset", { port: sluice.port });
  expect(await askName({ port: sluice.port })).toBe("s1");
  await until("the server to be rid of them", () => server.open === 0);
});

e2e("clients that finish at once cost nothing lasting, though the server talks on", async () => {
  const chunk = Buffer.alloc(65_536, "s");
  const talk = (socket: Bun.Socket): void => {
    while (socket.write(chunk, 0, chunk.length) === chunk.length);
  };
  // It takes no notice of the end of those it talks to.
  await using source = startPeer({ open: talk, drain: talk, end: () => {} });
  await using sluice = await startSluice(listenOver([source.port]));
  for (let i = 0; i < 40; i++) await comeAndGo(sluice.port);
  await until("the server to be rid of them", () => source.open === 0);
});

/** Connects and closes in order before the server's first byte can have come. */
function comeAndGo(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = {
      open: (one: Bun.Socket) => void one.end(),
      data() {},
      close: () => resolve(),
    };
    Bun.connect({ hostname: "127.0.0.1", port, socket }).catch(reject);
  });
}

/**
 * Opens more connections than there are descriptors for; what must hold whatever the limit: no
 * spinning, no end of the process, no flood of messages.
 */
async function crowd(sluice: Balancer & { port: number }, clients: number) {
  const warm: WarmConnection[] = [];
  const waiting = Array.from({ length: clients }, () =>
    openWarm(sluice.port).then((one) => void warm.push(one)),
  );
  const settled = Promise.allSettled(waiting);
  await until("as many to be served as there is room for", () => warm.length >= 20);
  await untilQuiet(() => warm.length);
  expect(warm.length).toBeLessThan(clients);
  const before = cpuSeconds(sluice.pid);
  await Bun.sleep(1_000);
  expect(cpuSeconds(sluice.pid) - before).toBeLessThan(0.5);
  expect(sluice.hasExited()).toBe(false);
  expect((sluice.output().match(/\[ALERT\]/g) ?? []).length).toBeLessThanOrEqual(2);
  return { warm, settled };
}

/** Room for some dozens beside what the process keeps for itself. */
const FEW = "ulimit -n 250";

e2e("few descriptors: accepting pauses, and everybody has a turn in the end", async () => {
  await using server = startEcho();
  await using sluice = await startSluice(listenOver([server.port]), { shellBefore: FEW });
  const clients = 150;
  const { warm, settled } = await crowd(sluice, clients);
  // Each who leaves makes room for another.
  let served = 0;
  await until("everybody's turn", () => {
    served += warm.length;
    for (const one of warm.splice(0)) one.close();
    return served === clients;
  });
  for (const one of await settled) expect(one.status).toBe("fulfilled");
});

e2e("a maxconn that the descriptors cannot hold: no spinning, and it recovers", async () => {
  await using server = startEcho();
  await using sluice = await startSluice(listenOver([server.port]), {
    shellBefore: FEW,
    global: "  maxconn 1000\n  no strict-limits",
  });
  const { warm, settled } = await crowd(sluice, 300);
  let isOver = false;
  void settled.then(() => (isOver = true));
  await until("everybody to be served or turned away", () => {
    for (const one of warm.splice(0)) one.close();
    return isOver;
  });
  for (let i = 0; i < 10; i++) (await openWarm(sluice.port)).close();
});

e2e("a limit lowered behind its back: accepting fails, does not spin, and recovers", async () => {
  await using server = startEcho();
  await using sluice = await startSluice(listenOver([server.port]));
  const setLimit = (count: number): void => {
    const soft = `--nofile=${count}:`;
    expect(Bun.spawnSync(["prlimit", "--pid", String(sluice.pid), soft]).success).toBe(true);
  };
  (await openWarm(sluice.port)).close();
  setLimit(descriptorCount(sluice.pid) + 60);
  const { warm, settled } = await crowd(sluice, 200);
  setLimit(4_096);
  let isOver = false;
  void settled.then(() => (isOver = true));
  await until("everybody to be served or turned away", () => {
    for (const one of warm.splice(0)) one.close();
    return isOver;
  });
  for (let i = 0; i < 10; i++) (await openWarm(sluice.port)).close();
});

/** Waits until a number has stood still for a while. */
async function untilQuiet(read: () => number): Promise<void> {
  let last = -1;
  let since = performance.now();
  await until("quiet", () => {
    if (read() !== last) since = performance.now();
    last = read();
    return performance.now() - since > 300;
  });
}
