/** Connections of checks, over the loopback: what a check reports, and what a server notices. */
import { afterEach, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import type { TlsOptions, TLSSocket } from "node:tls";

import { inItsWords } from "../../../src/check/result.ts";
import { nativeModule, OPT_BACKLOG, OPT_COUNT } from "../../../src/conduit/native.ts";
import { encodeSocketAddress } from "../../../src/conduit/sockaddr.ts";
import type { Address, CheckTlsSpec } from "../../../src/tables/spec.ts";
import { check, countDescriptors, jobAt, startCheck } from "../../support/check-probe.ts";
import { freePort } from "../../support/ports.ts";
import { temporaryFolder, until } from "../../support/procs.ts";
import { certificates, SERVER_NAME } from "../../support/quic-certificates.ts";
import { startStepServer } from "../../support/step-servers.ts";
import type { StepAct } from "../../support/step-servers.ts";

/** What only the native module can: true errors, source addresses, a handshake held back. */
const native = test.skipIf(nativeModule() === null);
const CONNECT = { kind: "connect" } as const;
const LIMIT_MS = 10_000;
const SHORT_MS = 300;
const ORIGIN = { file: "t.cfg", line: 1 };

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

async function serve(script: StepAct[]) {
  const server = await startStepServer(script);
  stops.push(() => server.stop());
  return server;
}

test("nobody listens", async () => {
  const { result, heard } = await check(jobAt(freePort(), CONNECT), LIMIT_MS);
  expect(result).toEqual({ code: "L4CON", info: "Connection refused" });
  expect(heard).toEqual(["connecting", "done"]);
});

native("no such unix socket", async () => {
  const address: Address = { family: "unix", path: "/nonexistent/socket" };
  const { result } = await check(jobAt(0, CONNECT, { address }), LIMIT_MS);
  expect(result).toEqual({
    code: "SOCKERR",
    info: "General socket error (No such file or directory)",
  });
});

native("a source address that is not ours", async () => {
  const source = { address: { family: "ipv4", host: "192.0.2.1", port: 0 } as const, portMax: 0 };
  const { result } = await check(jobAt(freePort(), CONNECT, { source }), LIMIT_MS);
  expect(result.code).toBe("L4CON");
  expect(result.info).toContain("Can't bind to source address");
});

native("a plain check passes, and the server never accepts it", async () => {
  const server = await serve([["hang"]]);
  const { result, heard } = await check(jobAt(server.port, CONNECT), LIMIT_MS);
  expect(result).toEqual({ code: "L4OK" });
  expect(heard).toEqual(["connecting", "connected", "done"]);
  // A connection of our own comes after it: when that is accepted, the check was not.
  const hostname = "127.0.0.1";
  const own = { hostname, port: server.port, socket: { data() {} } };
  const after = await Bun.connect(own);
  await until("our connection to be accepted", () => server.clients() > 0);
  expect(server.clients()).toBe(1);
  after.end();
});

native("unix sockets and abstract names", async () => {
  using folder = temporaryFolder();
  const addresses: Address[] = [
    { family: "unix", path: folder.file("s") },
    { family: "abns", name: `sluice-test-${process.pid}` },
  ];
  for (const address of addresses) {
    const { bytes } = encodeSocketAddress(address);
    const options = new Int32Array(OPT_COUNT);
    options[OPT_BACKLOG] = 8;
    const fd = nativeModule()!.listen(bytes, bytes.length, options, null);
    expect(fd).toBeGreaterThan(0);
    const { result } = await check(jobAt(0, CONNECT, { address }), LIMIT_MS);
    nativeModule()!.close(fd);
    expect(result).toEqual({ code: "L4OK" });
  }
});

native("PROXY header: version 1 with the check's own addresses, version 2 says LOCAL", async () => {
  const first = await serve([["hang"]]);
  await check(jobAt(first.port, CONNECT, { proxyHeader: 1 }), LIMIT_MS);
  await until("the header", () => first.heard().endsWith("\r\n"));
  const line = /^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ (\d+)\r\n$/.exec(first.heard());
  expect(line?.[1]).toBe(String(first.port));
  const second = await serve([["hang"]]);
  await check(jobAt(second.port, CONNECT, { proxyHeader: 2 }), LIMIT_MS);
  await until("the header", () => second.heard().length >= 16);
  expect(second.heard()).toBe("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
});

test("a cancelled check tells nothing, and leaves nothing open", async () => {
  const server = await serve([["hang"]]);
  const before = countDescriptors();
  let told = 0;
  const ears = {
    connecting: () => undefined,
    connected: () => undefined,
    done: () => void told++,
  };
  const redis = { kind: "redis" } as const;
  for (let i = 0; i < 50; i++) startCheck(jobAt(server.port, redis), ears).cancel();
  const open = Array.from({ length: 50 }, () => startCheck(jobAt(server.port, redis), ears));
  await until("all to be there", () => server.clients() >= 50);
  for (const probe of open) probe.cancel();
  await until("all to be gone", () => server.clients() === 0);
  await until("all to be closed", () => countDescriptors() <= before);
  expect(told).toBe(0);
});

describe("TLS", () => {
  const { server, client, authority, otherAuthority, expired } = certificates();
  const read = (path: string): string => readFileSync(path, "utf8");
  const TLS: CheckTlsSpec = { verify: "none", alpn: [] };
  const TRUSTED: CheckTlsSpec = {
    verify: "required",
    alpn: [],
    authorities: read(authority),
  };

  /** A TLS server that greets, and keeps what it learnt of its client. */
  async function serveTls(options: TlsOptions = {}) {
    const seen: { name?: string; protocol?: string; subject?: string; text: string } = { text: "" };
    const listener = createTlsServer(
      { cert: read(server.chain), key: read(server.key), ...options },
      (socket: TLSSocket) => {
        const peer = socket.getPeerCertificate();
        seen.name = String(socket.servername);
        seen.protocol = String(socket.alpnProtocol);
        if (peer?.subject !== undefined) seen.subject = String(peer.subject.CN);
        socket.on("error", () => undefined);
        socket.on("data", (bytes: Buffer) => void (seen.text += bytes.toString("latin1")));
        socket.write("hello\r\n");
      },
    );
    listener.on("tlsClientError", () => undefined);
    await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", () => resolve()));
    stops.push(() => listener.close());
    return { port: (listener.address() as AddressInfo).port, seen };
  }

  const hello = {
    kind: "tcp" as const,
    steps: [
      {
        kind: "expect" as const,
        match: { kind: "string" as const, pattern: "hello" },
        isNegated: false,
        minRecv: -1,
        origin: ORIGIN,
      },
    ],
  };

  const VERDICTS: readonly [string, CheckTlsSpec, string][] = [
    ["trusts everybody", TLS, "L6OK"],
    ["trusts the authority, whatever the name", TRUSTED, "L6OK"],
    ["the name that is asked for", { ...TRUSTED, sni: SERVER_NAME }, "L6OK"],
    ["the name that is wanted", { ...TRUSTED, verifyHost: SERVER_NAME }, "L6OK"],
    [
      "another name than asked for",
      { ...TRUSTED, sni: "other.test", verifyHost: SERVER_NAME },
      "Server presented an SSL certificate different from the expected one",
    ],
    [
      "another name than wanted",
      { ...TRUSTED, verifyHost: "other.test" },
      "Server presented an SSL certificate different from the configured one",
    ],
    [
      "an authority that signed nothing of it",
      { ...TRUSTED, authorities: read(otherAuthority) },
      "SSL handshake failure",
    ],
    ["none but the system's", { verify: "required", alpn: [] }, "SSL handshake failure"],
  ];
  test.each([...VERDICTS])("%s", async (_name, tls, verdict) => {
    const { port } = await serveTls();
    const { result } = await check(jobAt(port, CONNECT, { tls }), LIMIT_MS);
    const failed = { code: "L6RSP", info: verdict } as const;
    expect(result).toEqual(verdict === "L6OK" ? { code: "L6OK" } : failed);
  });

  test("a certificate whose time is over", async () => {
    const { port } = await serveTls({ cert: read(expired.chain), key: read(expired.key) });
    const strict = await check(jobAt(port, CONNECT, { tls: TRUSTED }), LIMIT_MS);
    expect(strict.result).toEqual({ code: "L6RSP", info: "SSL handshake failure" });
    const lax = await check(jobAt(port, CONNECT, { tls: TLS }), LIMIT_MS);
    expect(lax.result.code).toBe("L6OK");
  });

  test("name, protocols and our own certificate are shown to the server", async () => {
    const { port, seen } = await serveTls({
      ALPNProtocols: ["h2", "http/1.1"],
      requestCert: true,
      ca: read(authority),
    });
    const tls: CheckTlsSpec = {
      ...TRUSTED,
      sni: SERVER_NAME,
      alpn: ["x", "http/1.1"],
      certificate: { file: "c", chain: read(client.chain), key: read(client.key) },
    };
    const { result } = await check(jobAt(port, hello, { tls }), LIMIT_MS);
    expect(result.code).toBe("L7OK");
    expect(seen).toMatchObject({
      name: SERVER_NAME,
      protocol: "http/1.1",
      subject: "client one",
    });
  });

  test("nobody's name is shown where none is to be asked for", async () => {
    const { port, seen } = await serveTls();
    const { result } = await check(jobAt(port, hello, { tls: TLS }), LIMIT_MS);
    expect(result).toMatchObject({ code: "L7OK" });
    expect(seen.name).toBe("false");
  });

  native("the PROXY header stands before it, once", async () => {
    const heard: Buffer[] = [];
    const plain = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.on("data", (bytes) => void heard.push(Buffer.from(bytes)));
    });
    await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", () => resolve()));
    stops.push(() => plain.close());
    const { port } = plain.address() as AddressInfo;
    const more = { tls: TLS, proxyHeader: 1 } as const;
    const { result, heard: ears } = await check(jobAt(port, CONNECT, more), SHORT_MS);
    expect(result).toEqual({ code: "L6TOUT" });
    expect(ears).toEqual(["connecting"]);
    const text = Buffer.concat(heard).toString("latin1");
    // A record of a handshake follows.
    expect(text).toMatch(/^PROXY TCP4 [0-9. ]+\r\n\x16\x03/);
    expect(text.split("PROXY").length).toBe(2);
  });

  test("handshakes that fail or are given up leave nothing open", async () => {
    const silent = await serve([["hang"]]);
    const rude = await serve([["wait"], ["send", "no TLS here\r\n"]]);
    const good = await serveTls();
    const before = countDescriptors();
    const ears = { connecting: () => undefined, connected: () => undefined, done: () => undefined };
    const waiting = Array.from({ length: 20 }, () =>
      startCheck(jobAt(silent.port, CONNECT, { tls: TLS }), ears),
    );
    for (let i = 0; i < 20; i++) {
      await check(jobAt(rude.port, CONNECT, { tls: TLS }), LIMIT_MS);
      await check(jobAt(good.port, CONNECT, { tls: TLS }), LIMIT_MS);
    }
    for (const probe of waiting) probe.cancel();
    await until("all to be closed", () => countDescriptors() <= before + 2);
  });

  test("a server that never closes: what was closed in order is gone all the same", async () => {
    // Bun's, half open: it hears our end and says nothing.
    const heard: unknown[] = [];
    const deaf = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      allowHalfOpen: true,
      tls: { cert: read(server.chain), key: read(server.key) },
      socket: { open: (socket) => void heard.push(socket), data() {}, end() {} },
    });
    stops.push(() => deaf.stop(true));
    const connect = { kind: "connect", isTls: true, linger: true, usesDefaults: false } as const;
    const program = {
      kind: "tcp" as const,
      steps: [{ ...connect, sendProxy: false, alpn: [], origin: ORIGIN }],
    };
    const before = countDescriptors();
    const all = Array.from({ length: 20 }, () =>
      check(jobAt(deaf.port, program, { tls: TLS }), LIMIT_MS),
    );
    for (const { result } of await Promise.all(all)) expect(result.code).toBe("L6OK");
    await until("all to be accepted", () => heard.length === 20);
    // Those of the server are ours too, and stay.
    const areClosed = (): boolean => countDescriptors() <= before + 20 + 2;
    await until("ours to be closed", areClosed, LIMIT_MS / 2);
  });
});

describe("how much is kept", () => {
  const wanted = (pattern: string) => ({
    kind: "tcp" as const,
    steps: [
      {
        kind: "expect" as const,
        match: { kind: "string" as const, pattern },
        isNegated: false,
        minRecv: -1,
        origin: ORIGIN,
      },
    ],
  });

  test("a server that floods: a verdict at once, and no memory", async () => {
    const server = await serve([["flood", "hay"]]);
    Bun.gc(true);
    const before = process.memoryUsage.rss();
    for (let i = 0; i < 30; i++) {
      const { result } = await check(jobAt(server.port, wanted("NEEDLE")), LIMIT_MS);
      expect(result).toEqual({
        code: "L7RSP",
        info: "TCPCHK did not match content 'NEEDLE' at step 1",
      });
    }
    Bun.gc(true);
    expect(process.memoryUsage.rss() - before).toBeLessThan(100_000_000);
  });

  test("what was read beyond it waits, and comes when room is made", async () => {
    // 40,000 bytes, then a question is asked, then the answer to that.
    const server = await serve([
      ["big", 40_000, "END"],
      ["waitfor", "go on"],
      ["send", "finally"],
    ]);
    const steps = [
      ...wanted("xxxx").steps,
      {
        kind: "send" as const,
        data: { kind: "bytes" as const, hex: "676f206f6e" },
        origin: ORIGIN,
      },
      ...wanted("finally").steps,
    ];
    const { result } = await check(jobAt(server.port, { kind: "tcp", steps }), LIMIT_MS);
    // Where the rest of the first answer still fills what is kept, it is judged as it stands.
    expect(["L7OK", "L7RSP"]).toContain(result.code);
  });
});

// A server's reason for closing stood in the log as it came.
test("what a server says stays on one line", () => {
  expect(inItsWords("L6RSP", "no\nHealth check for server b/s succeeded\u001b[2J")).toEqual({
    code: "L6RSP",
    info: "no#0AHealth check for server b/s succeeded#1B[2J",
  });
});
