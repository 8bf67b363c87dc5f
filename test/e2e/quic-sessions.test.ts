/**
 * What a QUIC connection carries besides bidirectional bytes: by session, streams of both kinds
 * from both sides with their identifiers, and datagrams; towards TCP servers and in logs, the facts
 * of the client's connection.
 */
import { expect, test } from "bun:test";

import { ProxyHeader } from "../../src/wire/proxy-header.ts";
import { parseProxyHeader } from "../../src/wire/proxy-reader.ts";
import { findSluice } from "../support/haproxy.ts";
import { startRecorder, startSyslog } from "../support/peers.ts";
import { until } from "../support/procs.ts";
import { certificates, SERVER_NAME } from "../support/quic-certificates.ts";
import { findQuiche } from "../support/quic-quiche-native.ts";
import type { QuicStream } from "../support/quic-quiche-stream.ts";
import { QuicEndpoint } from "../support/quic-quiche.ts";
import { playQuicStream } from "../support/quic-script.ts";
import { ALPN, BRIDGES, startBridge } from "../support/quic-sluice.ts";

const QUIC_TO_TCP = BRIDGES[1]!;
const BY_SESSION = BRIDGES[3]!;
const isReady = findSluice() !== undefined && findQuiche() !== undefined;
const quic = test.skipIf(!isReady);

/** Whole streams that came, as `identifier text`, in order of their end. */
class Heard {
  readonly streams: string[] = [];
  readonly datagrams: string[] = [];

  listen(stream: QuicStream): void {
    let text = "";
    stream.handlers = {
      data: (bytes) => void (text += new TextDecoder().decode(bytes)),
      end: () => void this.streams.push(`${stream.id} ${text}`),
      reset: (code) => void this.streams.push(`${stream.id} reset ${code}`),
    };
  }
}

function say(stream: QuicStream, text: string): void {
  stream.write(Buffer.from(text));
  stream.finish();
}

quic(
  "a session passes both kinds of streams both ways, by their identifiers, and datagrams",
  async () => {
    const { server: certificate, authority } = certificates();
    const atServer = new Heard();
    const atClient = new Heard();
    await using server = await QuicEndpoint.open({
      certificate,
      hasDatagrams: true,
      onConnection: (connection) => void (connection.onStream = (one) => atServer.listen(one)),
    });
    await using sluice = await startBridge(BY_SESSION, server.port);
    await using client = await QuicEndpoint.open({ authority, hasDatagrams: true });
    const near = await client.connect(sluice.port, SERVER_NAME).ready();
    near.onStream = (one) => atClient.listen(one);

    say(near.openStream(true), "uni up");
    const far = await until("the server's connection", () => server.connections[0]);
    await until("its handshake", () => far.hasHandshake);
    say(far.openStream(true), "uni down");
    say(far.openStream(false), "bidi down");
    const back = new Heard();
    const asked = near.openStream();
    back.listen(asked);
    asked.write(Buffer.from("bidi up"));
    asked.finish();
    const broken = near.openStream(true);
    broken.write(Buffer.from("x"));
    await until("all of the server's", () => atServer.streams.length === 2);
    broken.reset(6);
    await until("all of the client's", () => atClient.streams.length === 2);
    await until("the reset", () => atServer.streams.length === 3);
    // 0, 4, … bidirectional of clients; 1 of servers; 2, 6, … and 3 unidirectional.
    expect(atServer.streams.sort()).toEqual(["0 bidi up", "2 uni up", "6 reset 6"]);
    expect(atClient.streams.sort()).toEqual(["1 bidi down", "3 uni down"]);

    for (let i = 0; i < 20; i++) {
      near.sendDatagram(Buffer.from(`up ${i}`));
      far.sendDatagram(Buffer.from(`down ${i}`));
    }
    // Datagrams may be lost, but not all, and never changed or doubled.
    await until("datagrams at the server", () => far.datagrams.length > 10);
    await until("datagrams at the client", () => near.datagrams.length > 10);
    const texts = (list: readonly Uint8Array[]): string[] =>
      list.map((one) => new TextDecoder().decode(one));
    expect(texts(far.datagrams).every((text) => /^up \d+$/.test(text))).toBe(true);
    expect(new Set(texts(near.datagrams)).size).toBe(near.datagrams.length);
    expect(sluice.hasExited()).toBe(false);
  },
);

quic("a TCP server and the log are told of the client's QUIC connection", async () => {
  const { authority, client } = certificates();
  await using recorder = startRecorder("hello");
  await using syslog = await startSyslog();
  const format =
    "%ci:%cp sni=%[ssl_fc_sni] alpn=%[ssl_fc_alpn] cipher=%[ssl_fc_cipher] quic=%[quic_enabled] cn=%[ssl_c_s_dn(CN)]";
  const lines = `  log 127.0.0.1:${syslog.port} local0\n  log-format "${format}"`;
  const words = {
    bind: `verify optional ca-file ${authority}`,
    server: "send-proxy-v2-ssl-cn proxy-v2-options ssl,cert-cn,ssl-cipher,authority",
    lines,
  };
  const env = { SLUICE_LOG_FORMAT: "tcplog" };
  await using sluice = await startBridge(QUIC_TO_TCP, recorder.port, words, { env });
  await using endpoint = await QuicEndpoint.open({ authority, certificate: client });
  const connection = await endpoint.connect(sluice.port, SERVER_NAME).ready();
  expect(await playQuicStream("send hello; read 2; shut", connection)).toEqual(['read "ok"']);
  const header = new ProxyHeader();
  const bytes = recorder.records[0] ?? Buffer.alloc(0);
  const length = parseProxyHeader(bytes, header);
  expect(bytes.subarray(length).toString()).toBe("hello");
  expect(header.sourcePort).toBe(endpoint.port);
  expect(header.authority).toBe(SERVER_NAME);
  expect(header.alpn).toBe(ALPN);
  expect(header.tls).toMatchObject({ version: "TLSv1.3", commonName: "client one" });
  const [line = ""] = await syslog.matching(/sni=/, 1);
  expect(line).toContain(`127.0.0.1:${endpoint.port} sni=${SERVER_NAME} alpn=${ALPN} cipher=TLS_`);
  expect(line).toContain("cn=client one");
});
