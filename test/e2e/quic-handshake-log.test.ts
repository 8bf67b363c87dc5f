/** What the process's log says of QUIC handshakes that failed, with servers and with clients. */
import { describe, expect, test } from "bun:test";

import { type Balancer, findSluice } from "../support/haproxy.ts";
import { freePort } from "../support/ports.ts";
import { until, within } from "../support/procs.ts";
import { certificates, SERVER_NAME } from "../support/quic-certificates.ts";
import { freeUdpPort } from "../support/quic-programs.ts";
import { findQuiche } from "../support/quic-quiche-native.ts";
import { type PeerOptions, QuicEndpoint } from "../support/quic-quiche.ts";
import { quicBind, startQuicSluice } from "../support/quic-sluice.ts";
import { playClient } from "../support/tcp-script.ts";

const isReady = findSluice() !== undefined && findQuiche() !== undefined;
const quic = test.skipIf(!isReady);

/** Offset of the connection IDs in a long header, and bytes of the version before them. */
const IDS_AT = 5;
const UNKNOWN_VERSION = Buffer.from([0xfa, 0xce, 0xb0, 0x0c]);

/** Lines of the log about handshakes. */
function lines(sluice: Balancer): string[] {
  return sluice
    .output()
    .split("\n")
    .filter((line) => line.includes("QUIC handshake"));
}

async function lineOf(sluice: Balancer, who: string): Promise<string> {
  const find = (): string | undefined => lines(sluice).find((line) => line.includes(who));
  await until(`a line about ${who}; there are\n${sluice.output()}`, () => find() !== undefined);
  return find()!;
}

/** A peer that answers each Initial as RFC 9000 section 17.2.1 says, with versions of its own. */
async function startOfOtherVersion(): Promise<{ port: number; close(): void }> {
  const socket = await Bun.udpSocket({
    hostname: "127.0.0.1",
    socket: {
      data(own, bytes, port, host) {
        const dcidEnd = IDS_AT + 1 + bytes[IDS_AT]!;
        const scidEnd = dcidEnd + 1 + bytes[dcidEnd]!;
        const head = Buffer.from([0x80, 0, 0, 0, 0]);
        const ids = [bytes.subarray(dcidEnd, scidEnd), bytes.subarray(IDS_AT, dcidEnd)];
        own.send(Buffer.concat([head, ...ids, UNKNOWN_VERSION]), port, host);
      },
    },
  });
  return { port: socket.port, close: () => socket.close() };
}

/** Starts a TCP frontend over one QUIC server with these words, and lets a client try it. */
async function tryServer(port: number, words: string): Promise<string> {
  const front = freePort();
  const section = `listen l
  bind 127.0.0.1:${front}
  retries 0
  timeout connect 2s
  server s1 quic4@127.0.0.1:${port} ssl ${words}`;
  await using sluice = await startQuicSluice(section, { tcpPorts: [front] });
  const [client, line] = await Promise.all([
    playClient("send x; read-end", { port: front }),
    lineOf(sluice, "server l/s1: "),
  ]);
  expect(client.length).toBeGreaterThan(0);
  expect(line).toContain(`server l/s1: the QUIC handshake with 127.0.0.1:${port} failed: `);
  return line.slice(line.indexOf("failed: ") + "failed: ".length);
}

describe("with a server", () => {
  type Server = Partial<PeerOptions>;
  const { server, expired, stranger, second, authority, otherAuthority } = isReady
    ? certificates()
    : ({} as ReturnType<typeof certificates>);
  const verified = (file: string): string =>
    `verify required ca-file ${file} sni str(${SERVER_NAME}) alpn test`;
  const CASES: [name: string, server: Server, words: string, says: RegExp][] = [
    [
      "self-signed",
      { certificate: stranger },
      verified(authority),
      /^TLS alert 4[28]: .*self.?signed/iu,
    ],
    ["expired", { certificate: expired }, verified(authority), /^TLS alert 45: .*expired/u],
    [
      "another name",
      { certificate: second },
      verified(authority),
      /^TLS alert 42: .*(name|owner)/iu,
    ],
    ["unknown authority", { certificate: server }, verified(otherAuthority), /^TLS alert 48: .*/u],
    [
      "another protocol",
      { certificate: server, alpn: ["other"] },
      verified(authority),
      /^the other side ended it with TLS alert 120: no application protocol/u,
    ],
  ];
  for (const [name, peer, words, says] of CASES) {
    quic(`that is ${name}`, async () => {
      await using endpoint = await QuicEndpoint.open({ ...peer, onConnection: () => {} });
      expect(await tryServer(endpoint.port, words)).toMatch(says);
    });
  }

  quic("where nobody listens", async () => {
    const says = await tryServer(freeUdpPort(), "verify none alpn test");
    expect(says).toStartWith("connection refused, nobody listens there");
  });

  quic("that does not answer", async () => {
    // Given up by the client's stream, not by the transport.
    const silent = await Bun.udpSocket({ hostname: "127.0.0.1", socket: { data: () => {} } });
    expect(await tryServer(silent.port, "verify none alpn test")).toStartWith("no answer");
    silent.close();
  });

  quic("that speaks other versions", async () => {
    const other = await startOfOtherVersion();
    const says = await tryServer(other.port, "verify none alpn test");
    expect(says).toStartWith("no version of QUIC in common");
    other.close();
  });

  quic("that wants a certificate", async () => {
    // sluice itself asks for one.
    const port = freeUdpPort();
    const wants = `verify required ca-file ${authority}`;
    const section = `listen l\n  bind ${quicBind(port, wants)}\n  server s 127.0.0.1:1`;
    await using asking = await startQuicSluice(section, { udpPorts: [port] });
    expect(await tryServer(port, "verify none alpn test")).toMatch(
      /^the other side ended it with TLS alert (?:116: certificate required|40: handshake failure)/u,
    );
    expect(await lineOf(asking, "frontend l ")).toMatch(
      /TLS alert (?:116: certificate required|40)/u,
    );
  });
});

quic("of a client: the listener is named, and a flood is a line a second", async () => {
  const port = freeUdpPort();
  const section = `frontend fe\n  bind ${quicBind(port)}\n  default_backend b
backend b\n  server s 127.0.0.1:1`;
  await using sluice = await startQuicSluice(section, { udpPorts: [port] });
  await using other = await QuicEndpoint.open({ alpn: ["other"] });
  const clients = Array.from({ length: 50 }, () => other.connect(port, SERVER_NAME));
  await within("all to end", Promise.all(clients.map(({ ended }) => ended.promise)));
  const first = await lineOf(sluice, "frontend fe ");
  expect(first).toContain(
    `frontend fe (127.0.0.1:${port}): the QUIC handshake of client 127.0.0.1:${other.port} failed: ` +
      "TLS alert 120: no application protocol",
  );
  // Each is told, or counted in a line that is.
  const count = (): number =>
    lines(sluice).reduce(
      (sum, line) => sum + 1 + Number(/and (\d+) more/u.exec(line)?.[1] ?? 0),
      0,
    );
  await until("all to be accounted for", () => count() === 50);
  expect(lines(sluice).length).toBeLessThan(10);
});
