/** Half-closes, aborts and slow readers through the binary: what one end does reaches the other. */
import { describe, expect } from "bun:test";

import { startEcho, startSink, startSource } from "../support/peers.ts";
import { residentBytes, until } from "../support/procs.ts";
import { Flags, playClient, startScriptServer } from "../support/tcp-script.ts";
import { e2e, listenOver, startSluice } from "./sluice.ts";

/** How long a stopped reader stays stopped. */
const STOPPED_MS = Number(process.env["SLUICE_TEST_STOPPED_MS"] ?? 10_000);
const MEGABYTE = 2 ** 20;
const STREAMS = 16;
/** What one read may pin per stream, and what the runtime keeps beside it. */
const STOPPED_BYTES_MAX = STREAMS * 2 * MEGABYTE + 64 * MEGABYTE;

interface Case {
  name: string;
  client: string;
  server: string;
  clientSees: string[];
  serverSees: string[];
}

const CASES: readonly Case[] = [
  {
    name: "the client's half-close arrives, and the answer comes back through the open side",
    client: "send hello; shut; read-end",
    server: "read-end; send answer; close",
    clientSees: ["open", 'end "answer"'],
    serverSees: ["open", 'end "hello"'],
  },
  {
    name: "the server's half-close arrives, and the rest goes through the open side",
    client: "read-end; send rest; close",
    server: "send first; shut; read-end",
    clientSees: ["open", 'end "first"'],
    serverSees: ["open", 'end "rest"'],
  },
  {
    name: "the client's reset arrives as a reset",
    client: "send hello; read 5; reset",
    server: "read 5; send world; read-end",
    clientSees: ["open", 'read "world"'],
    serverSees: ["open", 'read "hello"', "reset"],
  },
  {
    name: "the server's reset arrives as a reset",
    client: "send hello; read 5; tell go; read-end",
    server: "read 5; send world; hear go; reset",
    clientSees: ["open", 'read "world"', "reset"],
    serverSees: ["open", 'read "hello"'],
  },
  {
    name: "a reset after a half-close arrives as a reset",
    client: "send hello; shut; read 5; tell go; read-end",
    server: "read-end; send world; hear go; reset",
    clientSees: ["open", 'read "world"', "reset"],
    serverSees: ["open", 'end "hello"'],
  },
  {
    name: "data is delivered before the close behind it",
    client: "fill 5000000; close",
    server: "read-end",
    clientSees: ["open"],
    serverSees: ["open", "end 5000000 bytes"],
  },
];

/** Every way in which a worker can have its sockets. */
const WAYS: readonly { name: string; workers: number; env: Record<string, string> }[] = [
  { name: "1 worker", workers: 1, env: {} },
  { name: "2 workers", workers: 2, env: {} },
  { name: "Bun's sockets", workers: 2, env: { SLUICE_LOOP: "bun" } },
  { name: "no native part", workers: 2, env: { SLUICE_NATIVE: "off" } },
];

for (const { name, workers, env } of WAYS) {
  describe(`streams, ${name}`, () => {
    for (const one of CASES) {
      e2e(one.name, async () => {
        const flags = new Flags();
        await using server = startScriptServer(one.server, { flags });
        await using sluice = await startSluice(listenOver([server.port]), { workers, env });
        const client = await playClient(one.client, { port: sluice.port, flags });
        expect(client).toEqual(one.clientSees);
        expect(await server.finished(1)).toEqual([one.serverSees]);
      });
    }
  });
}

e2e("a client that sends one byte at a time is served, and others beside it", async () => {
  await using server = startEcho();
  await using sluice = await startSluice(listenOver([server.port]));
  const slow = playClient(Array.from({ length: 20 }, () => "send x; read 1; wait 20").join(";"), {
    port: sluice.port,
  });
  for (let i = 0; i < 20; i++) {
    expect(await playClient("send quick; read 5; close", { port: sluice.port })).toEqual([
      "open",
      'read "quick"',
    ]);
  }
  expect((await slow).filter((word) => word === 'read "x"').length).toBe(20);
});

e2e(
  "a reader that stops makes its sender stop, with bounded memory; then all of it arrives",
  async () => {
    await using server = startSink();
    await using sluice = await startSluice(listenOver([server.port]), {
      timeouts: "  timeout connect 5s\n  timeout client 10m\n  timeout server 10m",
    });
    const before = residentBytes(sluice.pid);
    server.pause();
    let sent = 0;
    const chunk = Buffer.alloc(256 * 1024, "x");
    const push = (socket: Bun.Socket): void => {
      for (;;) {
        const count = socket.write(chunk, 0, chunk.length);
        if (count > 0) sent += count;
        if (count < chunk.length) return;
      }
    };
    const clients = [];
    for (let i = 0; i < STREAMS; i++) {
      const socket = { open: push, drain: push, data() {} };
      clients.push(await Bun.connect({ hostname: "127.0.0.1", port: sluice.port, socket }));
    }
    await until("every stream to reach its server", () => server.open === STREAMS);
    await untilStill("the senders to stop", () => sent);
    const stopped = sent;
    await Bun.sleep(STOPPED_MS);
    expect(sent).toBe(stopped);
    expect(residentBytes(sluice.pid) - before).toBeLessThan(STOPPED_BYTES_MAX);
    server.resume();
    await until("the senders to go on", () => sent > 2 * stopped);
    for (const client of clients) client.end();
    await until("all of it to arrive", () => server.bytes() === sent);
  },
  STOPPED_MS + 60_000,
);

e2e("a client that never reads costs its own stream only", async () => {
  await using source = startSource();
  await using echo = startEcho();
  await using sluice = await startSluice(
    (port) => `frontend fe
  bind 127.0.0.1:${port}
  use_backend flood if { src 127.0.0.9 }
  default_backend echo
backend flood
  server s1 127.0.0.1:${source.port}
backend echo
  server s1 127.0.0.1:${echo.port}`,
  );
  const deaf = playClient("pause; hear never", { port: sluice.port, from: "127.0.0.9" });
  await until("the flood to begin", () => source.open === 1);
  const before = residentBytes(sluice.pid);
  for (let i = 0; i < 50; i++) {
    expect(await playClient("send ping; read 4; close", { port: sluice.port })).toContain(
      'read "ping"',
    );
  }
  expect(residentBytes(sluice.pid) - before).toBeLessThan(32 * MEGABYTE);
  void deaf;
});

/** Waits until a number has stopped changing for a while. */
async function untilStill(what: string, read: () => number): Promise<void> {
  let last = -1;
  let since = performance.now();
  await until(what, () => {
    if (read() !== last) {
      last = read();
      since = performance.now();
    }
    return performance.now() - since > 500;
  });
}
