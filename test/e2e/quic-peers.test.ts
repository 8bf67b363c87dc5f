/**
 * QUIC with programs of other people's making on both sides of sluice: kdig and knot, ngtcp2's own
 * client and Caddy (quic-go), node:quic (lsquic) and quiche.
 */
import { expect, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { RedisClient } from "bun";

import { findSluice } from "../support/haproxy.ts";
import { startEcho } from "../support/peers.ts";
import { freePort, isListening } from "../support/ports.ts";
import { startProcess, temporaryFolder, until } from "../support/procs.ts";
import { certificates, SERVER_NAME } from "../support/quic-certificates.ts";
import { askReset, connectNode, echoNode, startNodeEcho } from "../support/quic-node.ts";
import {
  askDns,
  DNS_ADDRESS,
  fetchFiles,
  freeUdpPort,
  startCaddy,
  startKnot,
} from "../support/quic-programs.ts";
import { findQuiche } from "../support/quic-quiche-native.ts";
import { QuicEndpoint } from "../support/quic-quiche.ts";
import { playQuicStream, startQuicScriptServer } from "../support/quic-script.ts";
import {
  ALPN,
  BRIDGES,
  bridgeSection,
  quicBind,
  quicServer,
  startBridge,
  startQuicSluice,
} from "../support/quic-sluice.ts";
import { playClient } from "../support/tcp-script.ts";

const [TCP_TO_QUIC, QUIC_TO_TCP, BY_STREAM, BY_SESSION] = BRIDGES as Required<typeof BRIDGES>;

/** A test that needs these programs; skipped by name without them. */
function withPrograms(programs: readonly string[], title: string, run: () => Promise<void>): void {
  const missing = ["openssl", ...programs].filter((name) => Bun.which(name) === null);
  const name = missing.length > 0 ? `${title} (without ${missing.join(", ")})` : title;
  test.skipIf(findSluice() === undefined || missing.length > 0)(name, run);
}

/** A test with quiche as a peer. */
function withQuiche(title: string, run: () => Promise<void>): void {
  const skip = findSluice() === undefined || findQuiche() === undefined;
  test.skipIf(skip)(findQuiche() === undefined ? `${title} (without quiche)` : title, run);
}

for (const retry of ["", "quic-force-retry"]) {
  withPrograms(
    ["kdig", "knotd"],
    `kdig +quic to knot over TCP, ${retry || "no Retry"}`,
    async () => {
      await using knot = await startKnot();
      const alpn = "doq";
      await using sluice = await startBridge(QUIC_TO_TCP!, knot.port, { alpn, bind: retry });
      const question = {
        port: sluice.port,
        how: "quic",
        authority: certificates().authority,
      } as const;
      const hostname = SERVER_NAME;
      expect(await askDns({ ...question, hostname })).toBe(`${DNS_ADDRESS}\n`);
      const long = await askDns({ ...question, hostname, name: "long.example.test", type: "TXT" });
      expect(long.length).toBeGreaterThan(3_000);
      // Another name, and another authority: the client is right to refuse.
      expect(await askDns({ ...question, hostname: "other.test" })).not.toContain(DNS_ADDRESS);
      const stranger = { ...question, authority: certificates().otherAuthority, hostname };
      expect(await askDns(stranger)).not.toContain(DNS_ADDRESS);
      expect(sluice.hasExited()).toBe(false);
    },
  );
}

withPrograms(["kdig", "knotd"], "kdig +tcp, a QUIC leg between two sluices, knot", async () => {
  await using knot = await startKnot();
  await using far = await startBridge(QUIC_TO_TCP!, knot.port, { alpn: "doq" });
  const words = { alpn: "doq", server: "check inter 200ms" };
  await using near = await startBridge(TCP_TO_QUIC!, far.port, words);
  for (let i = 0; i < 20; i++) {
    expect(await askDns({ port: near.port, how: "tcp" })).toBe(`${DNS_ADDRESS}\n`);
  }
  const long = { port: near.port, how: "tcp", name: "long.example.test", type: "TXT" } as const;
  expect((await askDns(long)).length).toBeGreaterThan(3_000);
});

withPrograms(["kdig", "knotd"], "kdig +quic to a DoQ server by session", async () => {
  await using knot = await startKnot();
  await using far = await startBridge(QUIC_TO_TCP!, knot.port, { alpn: "doq" });
  await using near = await startBridge(BY_SESSION!, far.port, { alpn: "doq" });
  const authority = certificates().authority;
  const question = { port: near.port, how: "quic", authority, hostname: SERVER_NAME } as const;
  for (let i = 0; i < 5; i++) expect(await askDns(question)).toBe(`${DNS_ADDRESS}\n`);
});

withPrograms(
  ["redis-server"],
  "Redis through a pair of sluices with QUIC between them",
  async () => {
    using folder = temporaryFolder();
    const port = freePort();
    const options = ["--port", String(port), "--bind", "127.0.0.1", "--save", ""];
    await using server = startProcess(["redis-server", ...options, "--dir", folder.path]);
    await until("redis to listen", () => isListening(port));
    await using far = await startBridge(QUIC_TO_TCP!, port, {}, { workers: 2 });
    await using near = await startBridge(TCP_TO_QUIC!, far.port, {}, { workers: 2 });
    const client = new RedisClient(`redis://127.0.0.1:${near.port}`);
    const value = "v".repeat(3_000_000);
    await client.set("large", value);
    expect((await client.get("large")) === value).toBe(true);
    const numbers = Array.from({ length: 1_000 }, () => client.incr("counter"));
    expect((await Promise.all(numbers)).at(-1)).toBe(1_000);
    const subscriber = new RedisClient(`redis://127.0.0.1:${near.port}`);
    const heard: string[] = [];
    await subscriber.subscribe("news", (message: string) => void heard.push(message));
    await client.publish("news", "hello");
    await until("the message", () => heard.length === 1);
    subscriber.close();
    client.close();
    expect(server.hasExited()).toBe(false);
  },
);

/** Names and sizes of what is fetched. */
const FILES = [1, 100, 1_200, 16_384, 65_537, 1_000_000, 100_000_000].map((bytes) => {
  return { name: `f${bytes}`, bytes };
});

for (const workers of [1, 2]) {
  const title = `1 byte to 100 MB over HTTP/3 from Caddy by session, ${workers} workers`;
  withPrograms(["gtlsclient", "caddy"], title, async () => {
    await using caddy = await startCaddy(certificates().server, SERVER_NAME);
    for (const { name, bytes } of FILES) writeFileSync(join(caddy.root, name), randomBytes(bytes));
    await using sluice = await startBridge(BY_SESSION!, caddy.port, { alpn: "h3" }, { workers });
    using folder = temporaryFolder();
    const files = FILES.map((file) => file.name);
    const where = { port: sluice.port, name: SERVER_NAME, folder: folder.path };
    const { output } = await fetchFiles({ ...where, files });
    const hashOf = (path: string): string =>
      createHash("sha1").update(readFileSync(path)).digest("hex");
    for (const file of files) {
      expect([file, output, hashOf(folder.file(file))]).toEqual([
        file,
        output,
        hashOf(join(caddy.root, file)),
      ]);
    }
  });
}

test.skipIf(findSluice() === undefined)(
  "node:quic on both sides, with codes of 62 bits",
  async () => {
    const { server, authority } = certificates();
    await using echo = await startNodeEcho(server, ALPN);
    const bytes = randomBytes(3_000_000);
    for (const bridge of [BY_STREAM!, BY_SESSION!]) {
      await using sluice = await startBridge(bridge, echo.port);
      const session = await connectNode(sluice.port, SERVER_NAME, ALPN, authority);
      const echoes = await Promise.all([1, 2, 3].map(() => echoNode(session, bytes)));
      for (const one of echoes) expect(one.equals(bytes)).toBe(true);
      for (const code of [0n, 77n, 2n ** 32n + 1n, 2n ** 62n - 1n]) {
        expect(await askReset(session, code)).toBe(code);
      }
      await session.close();
    }
    await using toQuic = await startBridge(TCP_TO_QUIC!, echo.port);
    expect(await playClient("send hello; shut; read-end", { port: toQuic.port })).toEqual([
      "open",
      'end "hello"',
    ]);
    await using tcpEcho = startEcho();
    await using toTcp = await startBridge(QUIC_TO_TCP!, tcpEcho.port);
    const session = await connectNode(toTcp.port, SERVER_NAME, ALPN, authority);
    expect((await echoNode(session, bytes)).equals(bytes)).toBe(true);
    await session.close();
  },
);

withQuiche("quiche on both sides, by stream and by session, with names and protocols", async () => {
  const { server, second, authority } = certificates();
  await using origin = await startQuicScriptServer("read-end; send answer; shut", {
    certificate: server,
    alpn: ["two", "one"],
  });
  const port = freeUdpPort();
  const crt = `crt ${server.both} crt ${second.both}`;
  const sections = `listen fe
  bind quic4@127.0.0.1:${port} ssl ${crt} alpn two,one quic-map session
  server s1 ${quicServer(origin.port, "", "")}`;
  await using sluice = await startQuicSluice(sections, { udpPorts: [port] });
  for (const name of [SERVER_NAME, "second.test"]) {
    await using client = await QuicEndpoint.open({ authority, alpn: ["one"] });
    // The name chooses the certificate: quiche verifies it.
    const connection = await client.connect(port, name).ready();
    expect(connection.alpn).toBe("one");
    const played = await playQuicStream("send question; shut; read-end", connection);
    expect(played).toEqual(['end "answer"']);
  }
  expect(origin.endpoint.connections.map((one) => one.alpn)).toEqual(["one", "one"]);
  expect(sluice.hasExited()).toBe(false);
});

withQuiche("sections side by side: TCP and QUIC frontends over one QUIC server", async () => {
  const { server, authority } = certificates();
  await using origin = await startQuicScriptServer("read-end; send answer; shut", {
    certificate: server,
  });
  const ports = [freePort(), freeUdpPort()] as const;
  const sections = `frontend tcp
  bind 127.0.0.1:${ports[0]}
  default_backend be
frontend quic
  bind ${quicBind(ports[1])}
  default_backend be
backend be
  server s1 ${quicServer(origin.port)}
${bridgeSection(BY_SESSION!, freeUdpPort(), origin.port).replace("listen fe", "listen other")}`;
  const bound = { tcpPorts: [ports[0]], udpPorts: [ports[1]] };
  await using sluice = await startQuicSluice(sections, { ...bound, workers: 2 });
  expect(await playClient("send x; shut; read-end", { port: ports[0] })).toEqual([
    "open",
    'end "answer"',
  ]);
  await using client = await QuicEndpoint.open({ authority });
  const connection = await client.connect(ports[1], SERVER_NAME).ready();
  expect(await playQuicStream("send x; shut; read-end", connection)).toEqual(['end "answer"']);
  expect(sluice.hasExited()).toBe(false);
});
