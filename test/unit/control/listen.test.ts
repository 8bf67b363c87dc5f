/** Listening descriptors: how many of them, for which workers, and what stands in their way. */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, lstatSync, readdirSync, writeFileSync } from "node:fs";

import { nativeModule } from "../../../src/conduit/native.ts";
import { bindListener } from "../../../src/control/listen.ts";
import type { Address, BindSpec, GlobalSpec } from "../../../src/tables/spec.ts";
import { PLAIN_PROXY } from "../../sim/rig.ts";
import { makeProxySpec } from "../../sim/specs.ts";
import { freePort } from "../../support/ports.ts";
import { temporaryFolder } from "../../support/procs.ts";

const loaded = nativeModule();
const EADDRINUSE = 98;
const EINVAL = 22;
const EBADF = 9;

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
