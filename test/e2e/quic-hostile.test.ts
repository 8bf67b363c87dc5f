/**
 * What a QUIC listener and a QUIC server's other side may meet: garbage, unknown versions, floods
 * of first packets, handshakes that never end, streams opened and reset in a loop, misers of
 * credit, certificates and protocols that do not fit. Each is counted under its name, memory stays
 * bounded, and a client that behaves is served all the while.
 */
import { expect, test } from "bun:test";

import { askApi } from "../support/api.ts";
import { type Balancer, findSluice } from "../support/haproxy.ts";
import { startEcho, startSyslog } from "../support/peers.ts";
import { residentBytes, temporaryFolder, until } from "../support/procs.ts";
import { quicRows, startCensusServer } from "../support/quic-census.ts";
import { certificates, SERVER_NAME } from "../support/quic-certificates.ts";
import { connectNode } from "../support/quic-node.ts";
import { findQuiche } from "../support/quic-quiche-native.ts";
import { type PeerOptions, type QuicConnection, QuicEndpoint } from "../support/quic-quiche.ts";
import { playQuicStream } from "../support/quic-script.ts";
import { ALPN, BRIDGES, startBridge } from "../support/quic-sluice.ts";
import { playClient } from "../support/tcp-script.ts";

const TCP_TO_QUIC = BRIDGES[0]!;
const QUIC_TO_TCP = BRIDGES[1]!;
const MEGABYTE = 2 ** 20;
const isReady = findSluice() !== undefined && findQuiche() !== undefined;
const quic = test.skipIf(!isReady);

interface Guarded extends AsyncDisposable {
  readonly sluice: Balancer & { port: number };
  /** A column of the frontend's row. */
  column(name: string): Promise<number>;
  /** Asks the well-behaved client's stream for an echo. */
  echo(): Promise<void>;
  connect(options?: PeerOptions): Promise<QuicConnection>;
}

/** sluice before an echo server, with a client of good manners that is connected. */
async function startGuarded(bind = "", workers = 2, global = ""): Promise<Guarded> {
  const folder = temporaryFolder();
  const api = folder.file("api.sock");
  const server = startEcho();
  const settings = `  stats socket ${api} level admin\n${global}`;
  const options = { workers, global: settings };
  const sluice = await startBridge(QUIC_TO_TCP, server.port, { bind }, options);
  const endpoints: QuicEndpoint[] = [];
  const connect = async (more: PeerOptions = {}): Promise<QuicConnection> => {
    const endpoint = await QuicEndpoint.open({ authority: certificates().authority, ...more });
    endpoints.push(endpoint);
    return endpoint.connect(sluice.port, SERVER_NAME);
  };
  const good = await (await connect()).ready();
  const stream = good.openStream();
  let echoed = 0;
  let asked = 0;
  stream.handlers = { data: (bytes) => void (echoed += bytes.length) };
  return {
    sluice,
    connect,
    column: async (name) => {
      const rows = quicRows(await askApi(api, "show stat"));
      return Number(rows.get("fe/FRONTEND")?.get(name));
    },
    async echo() {
      stream.write(Buffer.alloc(100, "g"));
      asked += 100;
      await until("the well-behaved client's echo", () => echoed === asked);
    },
    async [Symbol.asyncDispose]() {
      for (const endpoint of endpoints) endpoint.kill();
      await sluice[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

/** A bare UDP socket towards this port, and what comes back. */
async function openUdp(port: number): Promise<{
  send(bytes: Uint8Array): void;
  readonly answers: Buffer[];
  close(): void;
}> {
  const answers: Buffer[] = [];
  const socket = await Bun.udpSocket({
    hostname: "127.0.0.1",
    connect: { hostname: "127.0.0.1", port },
    socket: { data: (_socket, bytes) => void answers.push(Buffer.from(bytes)) },
  });
  return { send: (bytes) => void socket.send(bytes), answers, close: () => socket.close() };
}

/** First bytes of a long header with this version, padded to the length of an Initial. */
function longHeader(version: number): Buffer {
  const bytes = Buffer.alloc(1_200);
  crypto.getRandomValues(bytes);
  bytes[0] = 0xc0;
  bytes.writeUInt32BE(version, 1);
  bytes[5] = 8;
  bytes[14] = 8;
  return bytes;
}

quic("garbage and truncated datagrams", async () => {
  await using guarded = await startGuarded();
  const udp = await openUdp(guarded.sluice.port);
  const before = residentBytes(guarded.sluice.pid);
  for (let i = 0; i < 4_000; i++) {
    const bytes = Buffer.alloc(1 + ((i * 37) % 1_400));
    crypto.getRandomValues(bytes);
    // Half of them look like QUIC of version 1 for some bytes.
    if (i % 2 === 0) longHeader(1).copy(bytes, 0, 0, Math.min(bytes.length, 23));
    udp.send(bytes);
    if (i % 200 === 0) await guarded.echo();
  }
  await guarded.echo();
  await until("garbage to be counted", async () => {
    const counted = await guarded.column("quic_dropped_parsing_pkt");
    return counted + (await guarded.column("quic_dropped_pkt")) > 100;
  });
  expect(residentBytes(guarded.sluice.pid) - before).toBeLessThan(48 * MEGABYTE);
  expect(await guarded.column("quic_hdshk_done")).toBe(1);
  udp.close();
});

quic("a version that nobody knows is answered with those that are known", async () => {
  await using guarded = await startGuarded();
  const udp = await openUdp(guarded.sluice.port);
  udp.send(longHeader(0x1a2a3a4a));
  await until("an answer", () => udp.answers.length > 0);
  const [answer] = udp.answers;
  expect(answer?.readUInt32BE(1)).toBe(0);
  const offered = answer?.subarray(answer.length - 8).toString("hex") ?? "";
  expect(offered).toContain("00000001");
  await until("it to be counted", async () => (await guarded.column("quic_vers_nego_sent")) === 1);
  await guarded.echo();
  udp.close();
});

const FLOOD = 600;

quic("a flood of first packets: from a threshold on everybody must prove its address", async () => {
  await using guarded = await startGuarded();
  await using flooder = await QuicEndpoint.open({ authority: certificates().authority });
  const before = residentBytes(guarded.sluice.pid);
  flooder.isDeaf = true;
  for (let i = 0; i < FLOOD; i++) {
    flooder.connect(guarded.sluice.port, SERVER_NAME);
    if (i % 100 === 0) await guarded.echo();
  }
  // Nothing of theirs follows, whatever the answers are.
  flooder.freeze();
  await until("Retry to be asked", async () => (await guarded.column("quic_retry_sent")) > 0);
  await until("them to be shown as half open", async () => {
    return (await guarded.column("quic_half_open_conn")) >= 100;
  });
  expect(await guarded.column("quic_conn_cur")).toBeLessThan(FLOOD);
  expect(residentBytes(guarded.sluice.pid) - before).toBeLessThan(160 * MEGABYTE);
  // Who answers is let in meanwhile.
  const other = await (await guarded.connect()).ready();
  expect(await playQuicStream("send hello; shut; read-end", other)).toEqual(['end "hello"']);
  await guarded.echo();
  // They are given up after a while, and counted as what they are.
  await until("the handshakes to be given up", async () => {
    const failed = await guarded.column("quic_hdshk_fail");
    return failed > 0 && failed === (await guarded.column("quic_end_hdshk"));
  });
  await until("all to be gone", async () => (await guarded.column("quic_conn_cur")) === 2);
  await guarded.echo();
});

quic("a flood with quic-force-retry costs no connection", async () => {
  await using guarded = await startGuarded("quic-force-retry");
  await using flooder = await QuicEndpoint.open({ authority: certificates().authority });
  flooder.isDeaf = true;
  for (let i = 0; i < FLOOD; i++) flooder.connect(guarded.sluice.port, SERVER_NAME);
  flooder.freeze();
  await until("Retry", async () => (await guarded.column("quic_retry_sent")) > FLOOD / 2);
  expect(await guarded.column("quic_conn_open")).toBe(1);
  expect(await guarded.column("quic_retry_validated")).toBe(1);
  await guarded.echo();
});

quic("streams opened and reset in a loop", async () => {
  await using guarded = await startGuarded();
  const connection = await (await guarded.connect()).ready();
  const before = residentBytes(guarded.sluice.pid);
  let opened = 0;
  await until(
    "3,000 streams to come and go",
    async () => {
      while (connection.streamsLeft() > 1 && opened < 3_000) {
        const stream = connection.openStream();
        stream.write(Buffer.from("x"));
        stream.reset(1);
        stream.stop(2);
        opened++;
      }
      if (opened % 500 < 100) await guarded.echo();
      return opened === 3_000;
    },
    60_000,
  );
  await guarded.echo();
  expect(residentBytes(guarded.sluice.pid) - before).toBeLessThan(64 * MEGABYTE);
});

quic("a client that opens all the streams it may and says no more on them", async () => {
  await using guarded = await startGuarded();
  await guarded.echo();
  const connection = await (await guarded.connect()).ready();
  while (connection.streamsLeft() > 0) connection.openStream().write(Buffer.from("x"));
  await until("its streams to be there", async () => {
    const stat = await guarded.column("quic_strm_bidi_remote");
    return stat === 101;
  });
  await guarded.echo();
  const other = await (await guarded.connect()).ready();
  expect(await playQuicStream("send hello; shut; read-end", other)).toEqual(['end "hello"']);
});

quic("a miser of credit gets every byte, few at a time", async () => {
  await using guarded = await startGuarded();
  const stingy = { streamWindow: 64, connectionWindow: 128 };
  const connection = await (await guarded.connect(stingy)).ready();
  const played = await playQuicStream("fill 20000; shut; read-end", connection);
  expect(played).toEqual(["end 20000 bytes"]);
  await guarded.echo();
});

quic("clients whose protocol or authority does not fit", async () => {
  await using guarded = await startGuarded();
  const alpn = await guarded.connect({ alpn: ["other"] });
  expect(await alpn.ended.promise).toMatchObject({ how: "transport", code: 376 });
  const stranger = await guarded.connect({ authority: certificates().otherAuthority });
  expect(await stranger.ended.promise).toMatchObject({ how: "transport", code: 304 });
  await until("both to be counted", async () => (await guarded.column("quic_hdshk_fail")) === 2);
  await until("the first to be told in words", () =>
    /frontend fe \(.*client 127\.0\.0\.1:\d+ failed: .*no application protocol/u.test(
      guarded.sluice.output(),
    ),
  );
  // One alert was ours, the other theirs.
  expect(await guarded.column("quic_end_proto")).toBe(1);
  expect(await guarded.column("quic_transp_err_crypto_error")).toBe(1);
  await guarded.echo();
});

quic("clients must show a certificate where it is asked for", async () => {
  const { authority, client, server, stranger } = certificates();
  using folder = temporaryFolder();
  const api = folder.file("api.sock");
  await using echo = startEcho();
  const bind = `verify required ca-file ${authority}`;
  const global = `  stats socket ${api} level admin`;
  await using sluice = await startBridge(QUIC_TO_TCP, echo.port, { bind }, { global });
  const failed = async (): Promise<number> => {
    const row = quicRows(await askApi(api, "show stat")).get("fe/FRONTEND");
    return Number(row?.get("quic_hdshk_fail"));
  };
  const refused = connectNode(sluice.port, SERVER_NAME, ALPN, authority);
  // TLS: certificate_required.
  expect(String(await refused.then(() => "let in", String))).toContain("372");
  await until("it to be counted", async () => (await failed()) === 1);
  for (const certificate of [client, server]) {
    await using endpoint = await QuicEndpoint.open({ authority, certificate });
    const connection = await endpoint.connect(sluice.port, SERVER_NAME).ready();
    expect(await playQuicStream("send x; shut; read-end", connection)).toEqual(['end "x"']);
  }
  await using endpoint = await QuicEndpoint.open({ authority, certificate: stranger });
  endpoint.connect(sluice.port, SERVER_NAME);
  await until("another authority's to be counted", async () => (await failed()) === 2);
});

/** Servers that must not be trusted or spoken with, and what the log says of them. */
const UNFIT: readonly { name: string; peer(): PeerOptions; info: string }[] = [
  {
    name: "expired",
    peer: () => ({ certificate: certificates().expired }),
    info: "certificate expired",
  },
  {
    name: "self-signed",
    peer: () => ({ certificate: certificates().stranger }),
    info: "self-signed",
  },
  {
    name: "of another name",
    peer: () => ({ certificate: certificates().second }),
    info: "mismatch",
  },
  {
    name: "of another protocol",
    peer: () => ({ alpn: ["other"] }),
    info: "no application protocol",
  },
];

for (const { name, peer, info } of UNFIT) {
  quic(`a server's certificate or protocol is ${name}: refused, counted, and told`, async () => {
    using folder = temporaryFolder();
    const api = folder.file("api.sock");
    await using server = await startCensusServer(peer());
    await using syslog = await startSyslog();
    const global = `  stats socket ${api} level admin`;
    const lines = `  log 127.0.0.1:${syslog.port} local0\n  option tcplog\n  retries 0\n  timeout check 10s`;
    // A check has as long as one follows the other: a slow machine must not run out of it.
    const words = { server: "check inter 20s fall 1", lines };
    const env = { SLUICE_LOG_FORMAT: "tcplog" };
    await using sluice = await startBridge(TCP_TO_QUIC, server.port, words, { global, env });
    const [line = ""] = await syslog.matching(/Server fe\/s1 is DOWN/, 1);
    expect(line).toContain(info);
    expect(await playClient("send a; read-end", { port: sluice.port })).toEqual(["open", "end"]);
    await askApi(api, "disable health fe/s1");
    await askApi(api, "set server fe/s1 health up");
    expect(await playClient("send a; read-end", { port: sluice.port })).toEqual(["open", "end"]);
    const rows = quicRows(await askApi(api, "show stat"));
    const back = await until("it to be counted", async () => {
      const row = quicRows(await askApi(api, "show stat")).get("fe/BACKEND");
      return Number(row?.get("quic_hdshk_fail")) > 0 ? row : undefined;
    });
    expect(back.get("quic_hdshk_done")).toBe("0");
    // Without checks, too, the reason is told.
    const told = new RegExp(`server fe/s1: the QUIC handshake with .* failed: .*${info}`, "u");
    await until("the worker to tell why", () => told.test(sluice.output()));
    expect(Number(rows.get("fe/s1")?.get("econ"))).toBeGreaterThan(0);
    expect(server.counts.streamsAccepted).toBe(0);
  });
}

quic(
  "0-RTT is refused unless it is allowed; what was sent early arrives all the same",
  async () => {
    for (const [bind, isTaken] of [
      ["", false],
      ["allow-0rtt", true],
    ] as const) {
      await using guarded = await startGuarded(bind);
      const first = await (await guarded.connect({ isEarly: true })).ready();
      const session = await until("a session ticket", () => first.native.session() ?? undefined);
      const { authority } = certificates();
      await using endpoint = await QuicEndpoint.open({ authority, isEarly: true });
      const second = endpoint.connect(guarded.sluice.port, SERVER_NAME, session);
      expect(await playQuicStream("send early; shut; read-end", second)).toEqual(['end "early"']);
      await until("resumption", async () => (await guarded.column("quic_resumed")) === 1);
      expect(await guarded.column("quic_0rtt_used")).toBe(isTaken ? 1 : 0);
    }
  },
);

quic("clients change their port, with several workers: each stream goes on", async () => {
  const workers = 4;
  await using guarded = await startGuarded("", workers);
  const movers = await Promise.all(Array.from({ length: 12 }, () => guarded.connect()));
  const streams = await Promise.all(
    movers.map(async (connection) => {
      const stream = (await connection.ready()).openStream();
      const state = { stream, heard: 0 };
      stream.handlers = { data: (bytes) => void (state.heard += bytes.length) };
      return state;
    }),
  );
  for (let round = 1; round <= 3; round++) {
    for (const { stream } of streams) stream.write(Buffer.alloc(1_000, "m"));
    await until("all echoes", () => streams.every(({ heard }) => heard === round * 1_000));
    for (const connection of movers) await connection.endpoint.move();
  }
  for (const { stream } of streams) stream.write(Buffer.alloc(1_000, "m"));
  await until("all echoes", () => streams.every(({ heard }) => heard === 4_000));
  await until("the changes to be counted", async () => {
    return (await guarded.column("quic_conn_migration_done")) >= movers.length;
  });
  expect(await guarded.column("quic_conn_open")).toBe(1 + movers.length);
});
