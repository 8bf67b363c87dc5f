/**
 * QUIC at run time, with the binary and real peers: what the runtime API shows of connections and
 * streams, servers that come, go and change their transport, and the backend that stays.
 */
import { expect, test } from "bun:test";

import { askApi } from "../support/api.ts";
import { type Balancer, findSluice } from "../support/haproxy.ts";
import { freePort } from "../support/ports.ts";
import { temporaryFolder, until, within } from "../support/procs.ts";
import { closeAll, runClients, startCensusServer } from "../support/quic-census.ts";
import { certificates, SERVER_NAME } from "../support/quic-certificates.ts";
import { findQuiche } from "../support/quic-quiche-native.ts";
import { QuicEndpoint } from "../support/quic-quiche.ts";
import { BRIDGES, quicServer, startBridge, startQuicSluice } from "../support/quic-sluice.ts";

const isReady = findSluice() !== undefined && findQuiche() !== undefined;
const quic = test.skipIf(!isReady);
const SENTENCE = "Cannot remove a backend in which a QUIC server is or was used.";

/** A client with `count` streams that have been answered. */
async function openStreams(port: number, count: number): Promise<QuicEndpoint> {
  const client = await QuicEndpoint.open({ authority: certificates().authority });
  const connection = await client.connect(port, SERVER_NAME).ready();
  for (let i = 0; i < count; i++) {
    const stream = connection.openStream();
    const heard = Promise.withResolvers<void>();
    stream.handlers = { data: () => heard.resolve() };
    stream.write(Buffer.from("a"));
    await within("an answer", heard.promise);
  }
  return client;
}

/** One exchange over TCP: sends a byte, resolves with what comes first. */
async function exchange(port: number): Promise<string> {
  const answer = Promise.withResolvers<string>();
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data: (_socket, bytes) => answer.resolve(bytes.toString()),
      close: () => answer.resolve("closed"),
    },
  });
  socket.write("a");
  const text = await within("an answer", answer.promise);
  socket.terminate();
  return text;
}

for (const bridge of [BRIDGES[2]!, BRIDGES[3]!]) {
  quic(`${bridge.name}: connections and streams are shown while they last`, async () => {
    using folder = temporaryFolder();
    const api = folder.file("api.sock");
    await using server = await startCensusServer();
    const global = `  stats socket ${api} level admin`;
    await using sluice = await startBridge(bridge, server.port, {}, { workers: 2, global });
    await using client = await openStreams(sluice.port, 3);
    const ask = (line: string): Promise<string> => askApi(api, line);

    const [, line = ""] = (await ask("show quic")).split("\n");
    const [id = ""] = /^0x[0-9a-f]+/.exec(line) ?? [];
    expect(line).toMatch(/^0x\d00100[0-9a-f]{3}\[0\d\]\/fe +ESTAB +\d+ +- +\d+ +127\.0\.0\.1:\d+ /);
    expect(await ask("show quic be")).toMatch(/\n0x[0-9a-f]+\[0\d\]\(B\)\/s1 +ESTAB /);
    expect(await ask(`show quic full ${id}`)).toContain(`\n  tls: sni=${SERVER_NAME} alpn=test `);
    const streams = (await ask(`show quic stream ${id}`)).trimEnd().split("\n").toSorted();
    expect(streams.map((one) => one.split(" ").slice(0, 2).join(" "))).toEqual(
      [0, 4, 8].map((one) => `${id}.000${one}: client/bidi`),
    );
    expect(streams.every((one) => one.includes(bridge.isSession ? "mapped" : " rx=1 tx=1 "))).toBe(
      true,
    );
    const sessions = (await ask("show sess")).trimEnd().split("\n");
    expect(sessions).toHaveLength(bridge.isSession ? 1 : 3);
    expect(sessions.every((one) => one.includes(` proto=quic4 `))).toBe(true);
    expect(sessions.every((one) => one.includes(` fquic=${id}.`))).toBe(true);
    expect(await ask("show fd f")).toMatch(/type=front owner=fe=fe,worker=\d,quic=1 file=socket:/);
    const { result } = JSON.parse(await ask("json show quic all")) as {
      result: { connections: { side: string; now: { streamsNow: number } }[] };
    };
    expect(result.connections.map(({ side }) => side).toSorted()).toEqual(["back", "front"]);
    expect(result.connections.map(({ now }) => now.streamsNow)).toEqual([3, 3]);
    await closeAll([client], 0);
    await until("the connection to be closed", async () => {
      return (await ask("show quic")).split("\n").length === 1;
    });
    expect(sluice.hasExited()).toBe(false);
  });
}

/**
 * A frontend over TCP, a backend without servers, another one that never sees QUIC. No rule names
 * them: that would keep them from being removed too.
 */
function sections(port: number): string {
  return `frontend fe
  bind 127.0.0.1:${port}
  use_backend %[str(be)]
backend be
  balance roundrobin
backend spare
  balance roundrobin
  server t 127.0.0.1:1`;
}

async function start(folder: string, api: string, port: number): Promise<Balancer> {
  const global = `  stats socket ${api} level admin`;
  const env = { SLUICE_STATE_FILE: `${folder}/state` };
  return await startQuicSluice(sections(port), { workers: 2, global, tcpPorts: [port], env });
}

quic("a server comes as QUIC, is moved to TCP and back, and goes; traffic follows it", async () => {
  using folder = temporaryFolder();
  const api = folder.file("api.sock");
  await using server = await startCensusServer();
  const tcp = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: (socket) => void socket.write("t") },
  });
  const port = freePort();
  await using sluice = await start(folder.path, api, port);
  const ask = (line: string): Promise<string> => askApi(api, line);
  expect(await ask(`add server be/s ${quicServer(server.port)}`)).toContain(
    "New server registered",
  );
  expect(await ask("set server be/s state ready")).toBe("");
  expect(await exchange(port)).toBe("w");
  const place = (address: string, at: number): string =>
    `set server be/s addr ${address} port ${at}`;
  expect(await ask(place("tcp4@127.0.0.1", tcp.port))).toContain("from 'quic' to 'tcp'");
  await until("the workers to follow", async () => (await exchange(port)) === "t");
  expect(await ask(place("quic4@127.0.0.1", server.port))).toContain("from 'tcp' to 'quic'");
  await until("the workers to follow", async () => (await exchange(port)) === "w");
  // Nothing says how to speak QUIC with this one.
  expect(await ask("set server spare/t addr quic4@127.0.0.1")).toContain("write 'default-server");
  expect(await ask("set server be/s state maint")).toBe("");
  await ask("wait 10s srv-removable be/s");
  expect(await ask("del server be/s")).toContain("Server deleted");
  await until("its connections to be released", async () => {
    return (await ask("show quic all")).trimEnd().split("\n").length === 1;
  });
  expect(sluice.hasExited()).toBe(false);
  tcp.stop(true);
});

quic("a backend that used QUIC stays, whoever tries and however; others go", async () => {
  using folder = temporaryFolder();
  const api = folder.file("api.sock");
  await using server = await startCensusServer();
  const port = freePort();
  const lines: readonly string[] = [
    "unpublish backend be",
    "del backend be",
    "wait 1h be-removable be",
    "disable server be/s",
    "wait 5s srv-removable be/s",
    "del server be/s",
    "del backend be",
  ];
  {
    await using sluice = await start(folder.path, api, port);
    const ask = (line: string): Promise<string> => askApi(api, line);
    await ask(`add server be/s ${quicServer(server.port)}`);
    await ask("set server be/s state ready");
    expect(await exchange(port)).toBe("w");
    const clients = Array.from({ length: 4 }, async (_, number) => {
      const answers: string[] = [];
      for (let i = 0; i < lines.length; i++) {
        answers.push(await ask(lines[(i + number) % lines.length]!));
      }
      return answers;
    });
    const answers = (await Promise.all(clients)).flat();
    expect(answers.filter((text) => text.includes("Server deleted"))).toHaveLength(1);
    expect(answers.filter((text) => text.includes("Backend deleted"))).toEqual([]);
    expect(answers.some((text) => text.startsWith(`Failed. ${SENTENCE}`))).toBe(true);
    const said = await ask("del backend be");
    expect(said).toStartWith(`${SENTENCE} Held by: QUIC since `);
    expect(said).toMatch(/first by server s \(gone\); \d QUIC connections? now/);
    expect(await ask("show backend")).toMatch(/\nbe # QUIC since /);
    await ask("save state");
    sluice.kill("SIGTERM");
    await sluice.exited;
  }
  await using again = await start(folder.path, api, port);
  const ask = (line: string): Promise<string> => askApi(api, line);
  expect(await ask("show backend")).toMatch(/\nbe # QUIC since /);
  expect(await ask("wait 1h be-removable be")).toContain(SENTENCE);
  expect(await ask("del backend be")).toContain("first by server s (gone); 0 QUIC connections now");
  for (const line of ["disable server spare/t", "del server spare/t", "unpublish backend spare"]) {
    await ask(line);
  }
  expect(await ask("wait 10s be-removable spare")).toContain("Done.");
  expect(await ask("del backend spare")).toContain("Backend deleted.");
  expect(again.hasExited()).toBe(false);
});

quic("a QUIC listener that goes takes no new streams, and gives its rows back", async () => {
  using folder = temporaryFolder();
  const api = folder.file("api.sock");
  const global = `  stats socket ${api} level admin`;
  const bridge = BRIDGES[1]!;
  const tcp = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: (socket) => void socket.write("t") },
  });
  await using sluice = await startBridge(bridge, tcp.port, {}, { workers: 2, global });
  const clients = await runClients(sluice.port, 2, (done) => done >= 0);
  await using client = await openStreams(sluice.port, 2);
  const ask = (line: string): Promise<string> => askApi(api, line);
  expect(await ask("del bind fe/#1")).toContain("Listener deleted");
  await client[Symbol.asyncDispose]();
  await closeAll(clients, 0);
  await until("the row of the listener to be freed", async () => {
    return (await ask("show objects")).includes("listeners: 0 objects, 0 rows");
  });
  for (const one of clients) await one[Symbol.asyncDispose]();
  expect(sluice.hasExited()).toBe(false);
  tcp.stop(true);
});
