/** Real connections on the loopback: what a probe reports, and what the server notices of it. */
import { expect, test } from "bun:test";

import { probeTargetOf, startProbe } from "../../../src/check/connect.ts";
import type { ProbeTarget } from "../../../src/check/connect.ts";
import { infoOf, inItsWords } from "../../../src/check/result.ts";
import type { CheckResult } from "../../../src/check/result.ts";
import { nativeModule } from "../../../src/conduit/native.ts";
import type { Address, CheckSpec, ServerSpec } from "../../../src/tables/spec.ts";
import { freePort } from "../../support/ports.ts";
import { until } from "../../support/procs.ts";

/** What only the native module can: true errors, source addresses, a handshake held back. */
const native = test.skipIf(nativeModule() === null);

function target(port: number, rest: Partial<ProbeTarget> = {}): ProbeTarget {
  const address: Address = { family: "ipv4", host: "127.0.0.1", port };
  return { address, proxyHeader: 0, mark: 0, tos: 0, ...rest };
}

function probe(where: ProbeTarget): Promise<CheckResult> {
  return new Promise((resolve) => void startProbe(where, resolve));
}

test("nobody listens", async () => {
  const result = await probe(target(freePort()));
  expect(result).toEqual({ code: "L4CON", info: "Connection refused" });
});

native("no such unix socket", async () => {
  const address: Address = { family: "unix", path: "/nonexistent/socket" };
  const result = await probe({ ...target(0), address });
  expect(result.code).toBe("SOCKERR");
  expect(result.info).toContain("No such file or directory");
});

native("a source address that is not ours", async () => {
  const source = { address: { family: "ipv4", host: "192.0.2.1", port: 0 } as const, portMax: 0 };
  const result = await probe(target(freePort(), { source }));
  expect(result.code).toBe("L4CON");
  expect(result.info).toContain("Can't bind to source address");
});

/** A server that keeps what it was sent. */
function listen(): {
  port: number;
  accepted: () => number;
  received: () => string;
  stop: () => void;
} {
  let accepted = 0;
  let text = "";
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: () => void accepted++,
      data: (_socket, bytes) => void (text += bytes.toString("latin1")),
    },
  });
  const stop = (): void => server.stop(true);
  return { port: server.port, accepted: () => accepted, received: () => text, stop };
}

native("a plain check passes, and the server never accepts it", async () => {
  const server = listen();
  expect(await probe(target(server.port))).toEqual({ code: "L4OK" });
  // A connection of our own comes after it: when that is accepted, the check was not.
  const after = await Bun.connect({
    hostname: "127.0.0.1",
    port: server.port,
    socket: { data() {} },
  });
  await until("our connection to be accepted", () => server.accepted() > 0);
  expect(server.accepted()).toBe(1);
  after.end();
  server.stop();
});

native("PROXY header: version 1 with the check's own addresses, version 2 says LOCAL", async () => {
  const first = listen();
  expect(await probe(target(first.port, { proxyHeader: 1 }))).toEqual({ code: "L4OK" });
  await until("the header", () => first.received().endsWith("\r\n"));
  const line = /^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ (\d+)\r\n$/.exec(first.received());
  expect(line?.[1]).toBe(String(first.port));
  first.stop();
  const second = listen();
  expect(await probe(target(second.port, { proxyHeader: 2 }))).toEqual({ code: "L4OK" });
  await until("the header", () => second.received().length >= 16);
  expect(second.received()).toBe("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
  second.stop();
});

test("a cancelled check tells nothing", async () => {
  const server = listen();
  let told = 0;
  startProbe(target(server.port), () => void told++).cancel();
  await probe(target(server.port));
  expect(told).toBe(0);
  server.stop();
});

test("what is checked: the server, or addr and port", () => {
  const ip = (host: string, port: number): Address => ({ family: "ipv4", host, port });
  const check = { port: 0, sendProxy: false } as CheckSpec;
  const server = { address: ip("10.0.0.1", 80), check } as ServerSpec;
  const addressOf = (more: Partial<CheckSpec>): Address | undefined =>
    probeTargetOf({ ...server, check: { ...check, ...more } })?.address;
  expect(addressOf({})).toEqual(ip("10.0.0.1", 80));
  expect(addressOf({ port: 81 })).toEqual(ip("10.0.0.1", 81));
  expect(addressOf({ address: ip("10.0.0.2", 0) })).toEqual(ip("10.0.0.2", 80));
  expect(addressOf({ address: ip("10.0.0.2", 0), port: 82 })).toEqual(ip("10.0.0.2", 82));
  const { address: _none, ...unresolved } = server;
  expect(probeTargetOf(unresolved)).toBeUndefined();
});

test("option tcp-check adds the step to what failed", () => {
  const step = " at initial connection step of tcp-check";
  expect(infoOf({ code: "L4OK" }, true)).toBeUndefined();
  expect(infoOf({ code: "L4TOUT" }, true)).toBe(step);
  expect(infoOf({ code: "L4CON", info: "x" }, true)).toBe(`x${step}`);
  expect(infoOf({ code: "L4CON", info: "x" }, false)).toBe("x");
});

// A server's reason for closing stood in the log as it came.
test("what a server says stays on one line", () => {
  expect(inItsWords("L6RSP", "no\nHealth check for server b/s succeeded\u001b[2J")).toEqual({
    code: "L6RSP",
    info: "no#0AHealth check for server b/s succeeded#1B[2J",
  });
});
