/** Listening descriptors: how many of them, for which workers, and what stands in their way. */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, lstatSync, readdirSync, writeFileSync } from "node:fs";

import { nativeModule } from "../../../src/conduit/native.ts";
import { quicModule } from "../../../src/conduit/quic/native-quic.ts";
import { bindListener } from "../../../src/control/listen.ts";
import type { Address, BindSpec, GlobalSpec } from "../../../src/tables/spec.ts";
import { PLAIN_PROXY } from "../../sim/rig.ts";
import { makeProxySpec } from "../../sim/specs.ts";
import { nativeBind } from "../../support/native-lab.ts";
import { freePort } from "../../support/ports.ts";
import { temporaryFolder } from "../../support/procs.ts";

const loaded = nativeModule();
const EADDRINUSE = 98;
const EINVAL = 22;
const EBADF = 9;
const EOPNOTSUPP = 95;

describe.skipIf(loaded === null)("bindListener", () => {
  const native = loaded!;
  const opened = new Set<number>();
  afterAll(() => {
    for (const fd of opened) native.close(fd);
  });

  const frontend = makeProxySpec(PLAIN_PROXY, 0, []);
  const global = { rcvbufClient: 0, sndbufClient: 0, noreuseport: false } as GlobalSpec;

  function bind(
    address: Address,
    wishes: { workers?: number; spec?: Partial<BindSpec>; global?: Partial<GlobalSpec> } = {},
  ): { fds: number[]; errno: number } {
    const spec: BindSpec = { ...frontend.binds[0]!, address, ...wishes.spec };
    const all = { ...global, ...wishes.global };
    const bound = bindListener(native, all, frontend, spec, wishes.workers ?? 3);
    if ("errno" in bound) return { fds: [], errno: bound.errno };
    for (const fd of bound.fds) if (fd >= 0) opened.add(fd);
    return { fds: bound.fds, errno: 0 };
  }

  const local = (port: number): Address => ({ family: "ipv4", host: "127.0.0.1", port });

  test("an IP address: a descriptor for each worker", () => {
    const { fds } = bind(local(freePort()));
    expect(new Set(fds).size).toBe(3);
    for (const fd of fds) expect(native.isListening(fd)).toBe(1);
  });

  test("only for the workers that the bind names", () => {
    const spec = { workers: [{ from: 2, to: 2 }] };
    const { fds } = bind(local(freePort()), { spec });
    expect(fds.map((fd) => fd >= 0)).toEqual([false, true, false]);
  });

  test("noreuseport: one descriptor for all", () => {
    const { fds } = bind(local(freePort()), { global: { noreuseport: true } });
    expect(new Set(fds).size).toBe(1);
    expect(fds).toHaveLength(3);
  });

  test("an address that is taken leaves nothing open", () => {
    const port = freePort();
    bind(local(port), { global: { noreuseport: true }, workers: 1 });
    const before = readdirSync("/proc/self/fd").length;
    expect(bind(local(port)).errno).toBe(EADDRINUSE);
    expect(readdirSync("/proc/self/fd").length).toBe(before);
  });

  test("a unix socket takes the place of an old one, with its mode", () => {
    using folder = temporaryFolder();
    const path = folder.file("sock");
    const first = bind({ family: "unix", path }, { spec: { mode: 0o600 } });
    expect(new Set(first.fds).size).toBe(1);
    expect(lstatSync(path).mode & 0o777).toBe(0o600);
    const old = lstatSync(path).ino;
    const second = bind({ family: "unix", path }, { spec: { mode: 0o666 } });
    expect(second.errno).toBe(0);
    expect(lstatSync(path).ino).not.toBe(old);
    expect(readdirSync(folder.path)).toEqual(["sock"]);
  });

  test("a file of another kind is left alone", () => {
    using folder = temporaryFolder();
    const path = folder.file("precious");
    writeFileSync(path, "data");
    expect(bind({ family: "unix", path }).errno).toBe(EADDRINUSE);
    expect(existsSync(path)).toBe(true);
    expect(lstatSync(path).isFile()).toBe(true);
  });

  test("an inherited descriptor is shared, if it listens", () => {
    const { fds } = bind(local(freePort()), { workers: 1 });
    const fd = fds[0]!;
    expect(bind({ family: "fd", fd }).fds).toEqual([fd, fd, fd]);
    expect(bind({ family: "fd", fd: 1 << 20 }).errno).toBe(EBADF);
  });

  test("a descriptor that does not listen is none", () => {
    using folder = temporaryFolder();
    const { fds } = bind({ family: "unix", path: folder.file("sock") }, { workers: 1 });
    const path = new TextEncoder().encode(`\u0001\0${folder.file("sock")}\0`);
    const fd = native.connect(path, path.length, null, 0, null, null);
    opened.add(fd);
    expect(fds[0]).toBeGreaterThan(0);
    expect(bind({ family: "fd", fd }).errno).toBe(EINVAL);
  });
});

describe.skipIf(quicModule() === null)("bindListener of QUIC", () => {
  const native = loaded!;
  const frontend = makeProxySpec(PLAIN_PROXY, 0, []);
  const global = { rcvbufClient: 0, sndbufClient: 0, noreuseport: false } as GlobalSpec;
  const opened: number[] = [];
  afterAll(() => {
    for (const fd of opened) native.close(fd);
  });

  function bind(
    address: Address,
    spec: Partial<BindSpec> = {},
    more: Partial<GlobalSpec> = {},
  ): { fds: number[]; errno: number } {
    const quic = nativeBind().bind!;
    const whole: BindSpec = { ...frontend.binds[0]!, address, quic, ...spec };
    const bound = bindListener(native, { ...global, ...more }, frontend, whole, 3);
    if ("errno" in bound) return { fds: [], errno: bound.errno };
    opened.push(...bound.fds.filter((fd) => fd >= 0));
    return { fds: bound.fds, errno: 0 };
  }

  function portOf(fd: number): number {
    const bytes = new Uint8Array(128);
    native.name(fd, 0, bytes, bytes.length);
    return (bytes[2]! << 8) | bytes[3]!;
  }

  test("a UDP socket for each worker, all on one port", () => {
    const { fds } = bind({ family: "ipv4", host: "127.0.0.1", port: 0 });
    expect(new Set(fds).size).toBe(3);
    expect(new Set(fds.map(portOf)).size).toBe(1);
    expect(portOf(fds[0]!)).toBeGreaterThan(0);
    // They are no stream sockets.
    for (const fd of fds) expect(native.isListening(fd)).not.toBe(1);
    const six = bind({ family: "ipv6", host: "::1", port: 0 }).fds;
    expect(new Set(six.map(portOf)).size).toBe(1);
  });

  test("the same port may be TCP's", () => {
    const port = freePort();
    const address: Address = { family: "ipv4", host: "127.0.0.1", port };
    const tcp = bindListener(native, global, frontend, { ...frontend.binds[0]!, address }, 1);
    expect(tcp).toHaveProperty("fds");
    if ("fds" in tcp) opened.push(...tcp.fds);
    expect(bind(address).errno).toBe(0);
  });

  test("only for the workers that the bind names", () => {
    const { fds } = bind(
      { family: "ipv4", host: "127.0.0.1", port: 0 },
      {
        workers: [
          { from: 1, to: 1 },
          { from: 3, to: 3 },
        ],
      },
    );
    expect(fds.map((fd) => fd >= 0)).toEqual([true, false, true]);
  });

  test("noreuseport: one socket, the first worker's", () => {
    const address: Address = { family: "ipv4", host: "127.0.0.1", port: 0 };
    const { fds } = bind(address, {}, { noreuseport: true });
    expect(fds.map((fd) => fd >= 0)).toEqual([true, false, false]);
  });

  test("an address that is taken leaves nothing open", () => {
    const address: Address = { family: "ipv4", host: "127.0.0.1", port: 0 };
    const first = bind(address, {}, { noreuseport: true }).fds[0]!;
    const before = readdirSync("/proc/self/fd").length;
    expect(bind({ ...address, port: portOf(first) }).errno).toBe(EADDRINUSE);
    expect(readdirSync("/proc/self/fd").length).toBe(before);
  });

  test("an inherited descriptor or a path is none of QUIC's", () => {
    expect(bind({ family: "fd", fd: 3 }).errno).toBe(EOPNOTSUPP);
    expect(bind({ family: "unix", path: "/nonexistent" }).errno).toBe(EOPNOTSUPP);
  });
});
