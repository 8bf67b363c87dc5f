/**
 * The QUIC files of examples/: each loads as it is but for the folder of its certificates, which
 * its own script makes, and carries the traffic that it is for.
 */
import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { type Balancer, balancerBinary, findSluice } from "../support/haproxy.ts";
import { freePort, isListening } from "../support/ports.ts";
import { runProcess, startProcess, temporaryFolder, until } from "../support/procs.ts";
import type { Certificate } from "../support/quic-certificates.ts";
import {
  askDns,
  DNS_ADDRESS,
  fetchFiles,
  freeUdpPort,
  startCaddy,
  startKnot,
  udpSockets,
} from "../support/quic-programs.ts";

const EXAMPLES = join(import.meta.dir, "../../examples");
const CERTIFICATES = "/etc/sluice/certs";
const DNS = "dns.example.com";
const WEB = "www.example.com";

const missing = ["openssl", "kdig", "knotd", "caddy", "gtlsclient"].filter(
  (name) => Bun.which(name) === null,
);
const without = missing.length > 0 ? ` (without ${missing.join(", ")})` : "";

/** Certificates as the script of the examples makes them. */
async function makeCertificates(folder: string): Promise<(name: string) => Certificate> {
  const { code } = await runProcess([join(EXAMPLES, "make-certificates"), folder, DNS, WEB]);
  expect(code).toBe(0);
  return (name) => {
    const at = join(folder, name);
    return { chain: `${at}.crt`, key: `${at}.key`, both: `${at}.pem` };
  };
}

/** An example with other folders, addresses and ports; what it says else is what is tested. */
async function runExample(
  file: string,
  certificates: string,
  moves: Record<string, string>,
  ports: { tcp?: number[]; udp?: number[] },
): Promise<Balancer> {
  using folder = temporaryFolder();
  const original = readFileSync(join(EXAMPLES, file), "utf8").replaceAll(
    CERTIFICATES,
    certificates,
  );
  const path = folder.file(file);
  writeFileSync(path, original);
  const checked = await runProcess([balancerBinary("sluice"), "-c", "-V", "-f", path]);
  expect(checked).toMatchObject({ code: 0 });
  expect(checked.output).toContain("Configuration file is valid");
  expect(checked.output).not.toContain("[WARNING]");

  let text = original;
  for (const [from, to] of Object.entries(moves)) {
    expect(text).toContain(from);
    text = text.replaceAll(from, to);
  }
  const kept = temporaryFolder();
  writeFileSync(kept.file(file), text);
  const sluice = startProcess([balancerBinary("sluice"), "-db", "-f", kept.file(file)]);
  await until(`${file} to listen`, () => {
    if (sluice.hasExited()) throw new Error(sluice.output());
    const { tcp = [], udp = [] } = ports;
    return tcp.every(isListening) && udp.every((port) => udpSockets(port) > 0);
  });
  return {
    ...sluice,
    name: "sluice",
    folder: kept.path,
    async [Symbol.asyncDispose]() {
      await sluice[Symbol.asyncDispose]();
      kept[Symbol.dispose]();
    },
  };
}

const loopback = (port: number): string => `127.0.0.1:${port}`;

test.skipIf(findSluice() === undefined || missing.length > 0)(
  `the three examples of DNS over QUIC answer${without}`,
  async () => {
    using folder = temporaryFolder();
    await makeCertificates(folder.path);
    await using knot = await startKnot();
    const doq = freeUdpPort();
    await using front = await runExample(
      "doq-in-front-of-tcp-dns.cfg",
      folder.path,
      {
        "127.0.0.1:8853 ssl": `${loopback(doq)} ssl`,
        "[::1]:8853 ssl": `[::1]:${freeUdpPort()} ssl`,
        "10.0.6.1:53": loopback(knot.port),
        "10.0.6.2:53": loopback(knot.port),
      },
      { udp: [doq] },
    );
    const authority = folder.file("authority.pem");
    const question = { how: "quic", authority, hostname: DNS } as const;
    expect(await askDns({ ...question, port: doq })).toBe(`${DNS_ADDRESS}\n`);

    const dns = freePort();
    await using back = await runExample(
      "tcp-dns-to-doq.cfg",
      folder.path,
      {
        "127.0.0.1:5353\n": `${loopback(dns)}\n`,
        "10.0.7.1:8853": loopback(doq),
        "10.0.7.2:8853": loopback(doq),
      },
      { tcp: [dns] },
    );
    expect(await askDns({ how: "tcp", port: dns })).toBe(`${DNS_ADDRESS}\n`);

    const session = freeUdpPort();
    await using whole = await runExample(
      "doq-by-session.cfg",
      folder.path,
      {
        "127.0.0.1:8853 ssl": `${loopback(session)} ssl`,
        "10.0.6.1:853": loopback(doq),
        "10.0.6.2:853": loopback(doq),
      },
      { udp: [session] },
    );
    expect(await askDns({ ...question, port: session })).toBe(`${DNS_ADDRESS}\n`);
    for (const sluice of [front, back, whole]) expect(sluice.hasExited()).toBe(false);
  },
);

test.skipIf(findSluice() === undefined || missing.length > 0)(
  `HTTP/3 by session, and TLS over TCP beside it${without}`,
  async () => {
    using folder = temporaryFolder();
    const certificateOf = await makeCertificates(folder.path);
    await using caddy = await startCaddy(certificateOf(WEB), WEB);
    writeFileSync(join(caddy.root, "file"), "x".repeat(100_000));
    const port = freeUdpPort();
    await using sluice = await runExample(
      "h3-by-session.cfg",
      folder.path,
      {
        "127.0.0.1:8443": loopback(port),
        "10.0.8.1:8443": loopback(caddy.port),
        "10.0.8.2:8443": loopback(caddy.port),
      },
      { tcp: [port], udp: [port] },
    );
    using downloads = temporaryFolder();
    const fetched = await fetchFiles({ port, name: WEB, files: ["file"], folder: downloads.path });
    expect(fetched.code).toBe(0);
    expect(readFileSync(downloads.file("file"), "utf8").length).toBe(100_000);
    const curl = ["curl", "-sS", "--cacert", folder.file("authority.pem")];
    const over = [...curl, "--resolve", `${WEB}:${port}:127.0.0.1`, `https://${WEB}:${port}/file`];
    const plain = await runProcess(over);
    expect([plain.code, plain.output.length]).toEqual([0, 100_000]);
    expect(sluice.hasExited()).toBe(false);
  },
);
