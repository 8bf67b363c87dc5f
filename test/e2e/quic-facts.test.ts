/**
 * What rules, logs and servers learn of a QUIC client: its name, protocol, cipher and certificate
 * choose the backend, stand in the log line, and go along in the PROXY header. The QUIC clients are
 * TCP listeners of the same sluice, whose servers are its own QUIC frontend.
 */
import { expect, test } from "bun:test";

import { ProxyHeader } from "../../src/wire/proxy-header.ts";
import type { ProxyTls } from "../../src/wire/proxy-header.ts";
import { parseProxyV2 } from "../../src/wire/proxy-v2.ts";
import { findSluice } from "../support/haproxy.ts";
import { freePort } from "../support/ports.ts";
import { until } from "../support/procs.ts";
import { certificates, SERVER_NAME } from "../support/quic-certificates.ts";
import { freeUdpPort } from "../support/quic-programs.ts";
import { startQuicSluice } from "../support/quic-sluice.ts";

const FORMAT =
  "seen %ft %b %sslv %sslc sni=%[ssl_fc_sni] alpn=%[ssl_fc_alpn] cn=%[ssl_c_s_dn(CN)] " +
  "used=%[ssl_c_used] verify=%[ssl_c_verify] fc=%[ssl_fc] quic=%[quic_enabled]";
const CIPHER = "TLS_AES_128_GCM_SHA256";
const SIGNATURE = "ecdsa-with-SHA256";

/** What the server was told. */
type Told = { alpn?: string; authority?: string; tls?: ProxyTls };

/** A server that answers each connection with the header that it was sent. */
function startTeller(): { port: number; stop: () => void } {
  const listener = Bun.listen<Buffer>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => void (socket.data = Buffer.alloc(0)),
      data: (socket, piece) => {
        const bytes = Buffer.concat([socket.data, piece]);
        socket.data = bytes;
        // A close with something unread would be a reset.
        if (!bytes.toString("latin1").endsWith("hello")) return;
        const header = new ProxyHeader();
        if (parseProxyV2(new Uint8Array(bytes), header, bytes.length) < 0) socket.end("no header");
        const { alpn, authority, tls } = header;
        socket.end(JSON.stringify({ alpn, authority, tls }));
      },
    },
  });
  return { port: listener.port, stop: () => listener.stop(true) };
}

/** Sends a few bytes and reads to the end. */
async function ask(port: number): Promise<Told> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let text = "";
  await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: (socket) => void socket.write("hello"),
      data: (_, bytes) => void (text += bytes.toString()),
      end: (socket) => void socket.end(),
      close: () => resolve(text),
    },
  });
  return JSON.parse(await promise) as Told;
}

function sections(quicPort: number, serverPort: number, ports: readonly number[]): string {
  const { authority, server, second, client } = certificates();
  const options = "send-proxy-v2 proxy-v2-options";
  const back = `server s 127.0.0.1:${serverPort}`;
  const words = `ssl verify required ca-file ${authority}`;
  const own = (index: number, more: string): string =>
    `listen own${index}\n  no log\n  bind 127.0.0.1:${ports[index]}\n` +
    `  server s quic4@127.0.0.1:${quicPort} ${words} ${more}\n`;
  return `
frontend quic
  log stdout format raw local0
  log-format "${FORMAT}"
  bind quic4@127.0.0.1:${quicPort} ssl crt ${server.both} crt ${second.both} alpn one,two verify optional ca-file ${authority}
  use_backend second if { ssl_fc_sni second.test }
  use_backend known if { ssl_c_used } { ssl_c_s_dn(CN) "client one" }
  default_backend plain
backend plain
  ${back} ${options} ssl,ssl-cipher,cert-sig,cert-key,authority
backend second
  ${back} send-proxy-v2-ssl-cn
backend known
  ${back} ${options} cert-cn,authority
${own(0, `sni str(${SERVER_NAME}) alpn two`)}
${own(1, "sni str(second.test) alpn one")}
${own(2, `verifyhost ${SERVER_NAME} alpn one crt ${client.both}`)}`;
}

const isReady = findSluice() !== undefined && Bun.which("openssl") !== null;

test.skipIf(!isReady)("rules, logs and PROXY headers", async () => {
  const teller = startTeller();
  const quicPort = freeUdpPort();
  const ports = [freePort(), freePort(), freePort()];
  await using sluice = await startQuicSluice(sections(quicPort, teller.port, ports), {
    tcpPorts: ports,
    udpPorts: [quicPort],
  });
  const plain = { client: 1, verify: 0, version: "TLSv1.3" };
  expect(await ask(ports[0]!)).toEqual({
    alpn: "two",
    authority: SERVER_NAME,
    tls: { ...plain, cipher: CIPHER, keyAlgorithm: "EC256", signatureAlgorithm: SIGNATURE },
  });
  expect(await ask(ports[1]!)).toEqual({ alpn: "one", tls: plain });
  expect(await ask(ports[2]!)).toEqual({
    alpn: "one",
    tls: { ...plain, client: 7, commonName: "client one" },
  });
  const lines = [
    `seen quic~ plain TLSv1.3 ${CIPHER} sni=${SERVER_NAME} alpn=two cn=- used=0 verify=0`,
    `seen quic~ second TLSv1.3 ${CIPHER} sni=second.test alpn=one cn=- used=0 verify=0`,
    `seen quic~ known TLSv1.3 ${CIPHER} sni=- alpn=one cn=client one used=1 verify=0`,
  ];
  await until("the log to tell of all three", () =>
    lines.every((l) => sluice.output().includes(l)),
  );
  for (const line of lines) expect(sluice.output()).toContain(`${line} fc=1 quic=1`);
  teller.stop();
});
