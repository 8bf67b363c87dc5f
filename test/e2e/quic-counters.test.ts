/**
 * sluice's counters of QUIC against the counts of both ends themselves, exactly: connections,
 * handshakes, streams, resets and refusals; through the deletion of a server under load, the loss
 * of a worker, and a soft stop.
 */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { askApi } from "../support/api.ts";
import { findSluice } from "../support/haproxy.ts";
import { startProcess, temporaryFolder, until } from "../support/procs.ts";
import {
  closeAll,
  expected,
  quicRows,
  runClients,
  settled,
  shown,
  startCensusServer,
} from "../support/quic-census.ts";
import { certificates, SERVER_NAME } from "../support/quic-certificates.ts";
import { freeUdpPort, udpSockets } from "../support/quic-programs.ts";
import { findQuiche } from "../support/quic-quiche-native.ts";
import { type PeerCounts, QuicEndpoint } from "../support/quic-quiche.ts";
import {
  BRIDGES,
  quicBind,
  quicServer,
  startBridge,
  startQuicSluice,
} from "../support/quic-sluice.ts";

const BY_STREAM = BRIDGES[2]!;
const BY_SESSION = BRIDGES[3]!;
const isReady = findSluice() !== undefined && findQuiche() !== undefined;
const quic = test.skipIf(!isReady);

const countsOf = (endpoints: readonly QuicEndpoint[]): PeerCounts[] =>
  endpoints.map((one) => one.counts);

for (const bridge of [BY_STREAM, BY_SESSION]) {
  quic(`${bridge.name}: connections, streams, handshakes and resets, to the last one`, async () => {
    using folder = temporaryFolder();
    const api = folder.file("api.sock");
    await using server = await startCensusServer();
    const global = `  stats socket ${api} level admin`;
    await using sluice = await startBridge(bridge, server.port, {}, { workers: 2, global });
    const clients = await runClients(sluice.port, 6, (done) => done >= 40);
    await closeAll(clients, 5);
    if (!bridge.isSession) {
      // Its pool keeps the connections: they are over when the server is.
      await askApi(api, "set server fe/s1 state maint");
    }
    const stat = (): Promise<string> => askApi(api, "show stat");
    const rows = await settled(stat, ["fe/FRONTEND", "fe/BACKEND"]);
    const front = expected(countsOf(clients), true);
    expect(shown(rows.get("fe/FRONTEND"), front)).toEqual(front);
    const back = expected([server.counts], false);
    expect(shown(rows.get("fe/BACKEND"), back)).toEqual(back);
    expect(front["quic_strm_bidi_remote"]).toBe(240);
    expect(rows.get("fe/FRONTEND")?.get("quic_app_err_codes")).toBe("0x5=6");
    expect(server.counts.streamsAccepted).toBe(240);
    for (const client of clients) await client[Symbol.asyncDispose]();
  });
}

quic("a server is deleted under load: what it had stays counted on its backend", async () => {
  using folder = temporaryFolder();
  const api = folder.file("api.sock");
  await using a = await startCensusServer();
  await using b = await startCensusServer();
  const port = freeUdpPort();
  const sections = `frontend fe
  bind ${quicBind(port)}
  default_backend be
backend be
  balance roundrobin
  server a ${quicServer(a.port)}
  server b ${quicServer(b.port)}`;
  const global = `  stats socket ${api} level admin`;
  const options = { workers: 2, global, udpPorts: [port] };
  await using sluice = await startQuicSluice(sections, options);
  let isOver = false;
  const running = runClients(port, 4, () => isOver);
  await until(
    "both to be used",
    () => Math.min(...countsOf([a, b]).map((c) => c.streamsAccepted)) > 50,
  );
  expect(await askApi(api, "set server be/a state maint")).toBe("");
  await askApi(api, "wait 10s srv-removable be/a");
  expect(await askApi(api, "del server be/a")).toContain("Server deleted");
  const before = b.counts.streamsAccepted;
  await until("the other to go on", () => b.counts.streamsAccepted > before + 100);
  isOver = true;
  const clients = await running;
  await closeAll(clients, 0);
  await askApi(api, "set server be/b state maint");
  const stat = (): Promise<string> => askApi(api, "show stat");
  const rows = await settled(stat, ["fe/FRONTEND", "be/BACKEND"]);
  const front = expected(countsOf(clients), true);
  expect(shown(rows.get("fe/FRONTEND"), front)).toEqual(front);
  const back = expected(countsOf([a, b]), false);
  expect(shown(rows.get("be/BACKEND"), back)).toEqual(back);
  expect(sluice.hasExited()).toBe(false);
  for (const client of clients) await client[Symbol.asyncDispose]();
});

quic("soft stop: connections that end meanwhile are counted", async () => {
  using folder = temporaryFolder();
  const api = folder.file("api.sock");
  await using server = await startCensusServer();
  const global = `  stats socket ${api} level admin`;
  await using sluice = await startBridge(BY_STREAM, server.port, {}, { workers: 2, global });
  const clients = await runClients(sluice.port, 3, (done) => done >= 10);
  // One stream stays, and with it the process.
  const staying = await QuicEndpoint.open({ authority: certificates().authority });
  const connection = await staying.connect(sluice.port, SERVER_NAME).ready();
  const stream = connection.openStream();
  const heard = Promise.withResolvers<void>();
  stream.handlers = { data: () => heard.resolve() };
  stream.write(Buffer.from("a"));
  await heard.promise;
  sluice.kill("SIGUSR1");
  await closeAll(clients, 3);
  const front = expected(countsOf([...clients, staying]), true);
  const rows = await until("the closed ones to be released", async () => {
    const found = quicRows(await askApi(api, "show stat"));
    const row = found.get("fe/FRONTEND");
    const isOver = row?.get("quic_conn_cur") === "1" && row.get("quic_conn_released") === "3";
    // What the living one has done is added about once a second.
    const streams = String(front["quic_strm_bidi_remote"]);
    return isOver && row.get("quic_strm_bidi_remote") === streams ? found : undefined;
  });
  const now = { ...front, quic_conn_cur: 1, quic_conn_released: 3 };
  expect(shown(rows.get("fe/FRONTEND"), now)).toEqual(now);
  expect(sluice.hasExited()).toBe(false);
  stream.finish();
  expect(await sluice.exited).toBe(0);
  for (const client of [...clients, staying]) await client[Symbol.asyncDispose]();
});

quic("a lost worker's connections are counted, and counted once", async () => {
  using folder = temporaryFolder();
  const api = folder.file("api.sock");
  await using server = await startCensusServer({ idleMs: 3_000 });
  const port = freeUdpPort();
  const path = folder.file("haproxy.cfg");
  writeFileSync(
    path,
    `global
  nbthread 2
  stats socket ${api} level admin
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen fe
  bind ${quicBind(port)}
  server s1 ${quicServer(server.port)}
`,
  );
  const main = join(import.meta.dir, "../../src/main.ts");
  const preload = join(import.meta.dir, "lose-worker.ts");
  const command = [process.execPath, "--preload", preload, main, "-db", "-f", path];
  await using sluice = startProcess(command, { env: { SLUICE_LOG_FORMAT: "off" } });
  await until("sluice to bind", () => {
    if (sluice.hasExited()) throw new Error(sluice.output());
    return udpSockets(port) > 0;
  });
  // The last stream is an echo: what was sent before it has arrived.
  const clients = await runClients(port, 8, (done) => done >= 11);
  for (let losses = 1; losses <= 2; losses++) {
    sluice.kill("SIGWINCH");
    const said = (): number => (sluice.output().match(/Worker \d+ is gone/g) ?? []).length;
    await until(`loss ${losses} to be noticed`, () => said() >= losses);
  }
  const after = await runClients(port, 4, (done) => done >= 10);
  await closeAll(after, 0);
  await askApi(api, "set server fe/s1 state maint");
  const stat = (): Promise<string> => askApi(api, "show stat");
  const rows = await settled(stat, ["fe/FRONTEND", "fe/BACKEND"]);
  const front = expected(countsOf([...clients, ...after]), true);
  expect(shown(rows.get("fe/FRONTEND"), front)).toEqual(front);
  const back = expected([server.counts], false);
  expect(shown(rows.get("fe/BACKEND"), back)).toEqual(back);
  expect(sluice.hasExited()).toBe(false);
  for (const client of [...clients, ...after]) client.kill();
});
