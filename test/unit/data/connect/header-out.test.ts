/** The PROXY header that a server gets about a QUIC client, and about a plain one. */
import { describe, expect, test } from "bun:test";

import { parseIp } from "../../../../src/base/address.ts";
import type { ConnectionFacts } from "../../../../src/conduit/conduit.ts";
import { Endpoint } from "../../../../src/conduit/sockaddr.ts";
import { proxyHeaderFor } from "../../../../src/data/connect/header-out.ts";
import type { Stream } from "../../../../src/data/stream.ts";
import type { ProxyProtocolOut } from "../../../../src/tables/spec.ts";
import { ProxyHeader } from "../../../../src/wire/proxy-header.ts";
import { parseProxyV2 } from "../../../../src/wire/proxy-v2.ts";

const FACTS: ConnectionFacts = {
  transport: "quic",
  sni: "dns.example.com",
  alpn: "doq",
  cipher: "TLS_AES_128_GCM_SHA256",
  subject: "/CN=client one",
  commonName: "client one",
  hasCertificate: true,
  isVerified: true,
  isResumed: false,
  isEarly: false,
  isComplete: true,
  key: "EC256",
  signature: "ecdsa-with-SHA256",
};

type Options = ProxyProtocolOut["options"];

function endpoint(text: string, port: number): Endpoint {
  const made = new Endpoint();
  parseIp(text, made.ip);
  made.family = made.ip.family as 4;
  made.port = port;
  return made;
}

/** What the server understands of the header. @param facts null = a TCP client */
function headerOf(facts: ConnectionFacts | null, options: Options): ProxyHeader {
  const stream = {
    client: endpoint("192.0.2.7", 4711),
    destination: endpoint("198.51.100.1", 853),
    front: { facts: () => facts },
    header: null,
    tls: null,
    listener: { spec: facts === null ? {} : { quic: {} } },
    server: { spec: { sendProxy: { version: 2, options } } },
  } as unknown as Stream;
  const bytes = proxyHeaderFor(stream);
  const header = new ProxyHeader();
  expect(parseProxyV2(bytes, header, 1024)).toBe(bytes.length);
  return header;
}

describe("a QUIC client", () => {
  test("has its addresses, as of a stream, and its protocol", () => {
    const header = headerOf(FACTS, []);
    expect(header).toMatchObject({
      command: "proxy",
      family: 4,
      transport: "stream",
      sourcePort: 4711,
      destinationPort: 853,
      alpn: "doq",
    });
    expect([header.authority, header.tls]).toEqual([undefined, undefined]);
  });
  test("the name that it asked for goes along on request", () => {
    expect(headerOf(FACTS, ["authority"]).authority).toBe("dns.example.com");
    expect(headerOf({ ...FACTS, sni: "" }, ["authority"]).authority).toBeUndefined();
  });
  test("its TLS, as much of it as the options ask for", () => {
    const base = { client: 7, verify: 0, version: "TLSv1.3" };
    expect(headerOf(FACTS, ["ssl"]).tls).toEqual(base);
    expect(headerOf(FACTS, ["cert-cn"]).tls).toEqual({ ...base, commonName: "client one" });
    const all: Options = ["crc32c", "ssl", "cert-cn", "ssl-cipher", "cert-sig", "cert-key"];
    expect(headerOf(FACTS, all).tls).toEqual({
      ...base,
      commonName: "client one",
      cipher: "TLS_AES_128_GCM_SHA256",
      signatureAlgorithm: "ecdsa-with-SHA256",
      keyAlgorithm: "EC256",
    });
  });
  test("says whether it showed a certificate, now or when its session began", () => {
    const bits = (facts: Partial<ConnectionFacts>): unknown =>
      headerOf({ ...FACTS, ...facts }, ["ssl"]).tls;
    const version = "TLSv1.3";
    expect(bits({ hasCertificate: false })).toEqual({ client: 1, verify: 0, version });
    expect(bits({ isResumed: true })).toEqual({ client: 5, verify: 0, version });
    expect(bits({ isVerified: false })).toEqual({ client: 7, verify: 1, version });
  });
});

test("a plain client is announced as one", () => {
  const header = headerOf(null, ["ssl", "authority"]);
  expect(header.tls).toEqual({ client: 0, verify: 0 });
  expect([header.alpn, header.authority]).toEqual([undefined, undefined]);
});
