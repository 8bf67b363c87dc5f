/** The native module: sockets with the options that were asked for, and errors by their number. */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";

import { formatIp } from "../../../src/base/address.ts";
import {
  CLOSE_OTHER,
  CLOSE_REFUSED,
  CLOSE_RESET,
  CLOSE_RESOURCE,
  CLOSE_TIMEOUT,
  CLOSE_UNREACHABLE,
} from "../../../src/conduit/conduit.ts";
import { closeCodeOfErrno, connectCloseCode } from "../../../src/conduit/errno.ts";
import * as opt from "../../../src/conduit/native.ts";
import { nativeModule } from "../../../src/conduit/native.ts";
import {
  decodeSocketAddress,
  encodeSocketAddress,
  Endpoint,
} from "../../../src/conduit/sockaddr.ts";
import type { Address } from "../../../src/tables/spec.ts";
import { temporaryFolder } from "../../support/procs.ts";

const loaded = nativeModule();

const SOL_SOCKET = 1;
const IPPROTO_IP = 0;
const IPPROTO_TCP = 6;
const IPPROTO_IPV6 = 41;
const SO_REUSEADDR = 2;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_KEEPALIVE = 9;
const SO_REUSEPORT = 15;
const SO_ACCEPTCONN = 30;
const TCP_NODELAY = 1;
const TCP_MAXSEG = 2;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;
const TCP_DEFER_ACCEPT = 9;
const TCP_USER_TIMEOUT = 18;
const TCP_FASTOPEN = 23;
const IP_TOS = 1;
const IPV6_V6ONLY = 26;
const IPV6_TCLASS = 67;

const ECONNREFUSED = 111;
const ENOENT = 2;
const EADDRINUSE = 98;
const EADDRNOTAVAIL = 99;
const ENODEV = 19;
const ENETUNREACH = 101;
const EHOSTUNREACH = 113;
const EINVAL = 22;

describe.skipIf(loaded === null)("native", () => {
  const native = loaded!;
  const opened: number[] = [];
  afterAll(() => {
    for (const fd of opened) native.close(fd);
  });

  const keep = (fd: number): number => {
    if (fd >= 0) opened.push(fd);
    return fd;
  };

  const optionsOf = (values: Record<number, number>): Int32Array => {
    const options = new Int32Array(opt.OPT_COUNT);
    for (const [index, value] of Object.entries(values)) options[Number(index)] = value;
    return options;
  };

  const V6ONLY_LEAVE = { [opt.OPT_V6ONLY]: -1, [opt.OPT_BACKLOG]: 8 };

  const listen = (address: Address, values: Record<number, number> = {}): number => {
    const { bytes } = encodeSocketAddress(address);
    return keep(
      native.listen(bytes, bytes.length, optionsOf({ ...V6ONLY_LEAVE, ...values }), null),
    );
  };

  const connect = (
    address: Address,
    values: Record<number, number> | null = null,
    source: Address | null = null,
    interfaceName: string | null = null,
  ): number => {
    const { bytes } = encodeSocketAddress(address);
    const from = source === null ? null : encodeSocketAddress(source).bytes;
    const options = values === null ? null : optionsOf({ ...values });
    const name = interfaceName === null ? null : new TextEncoder().encode(`${interfaceName}\0`);
    return keep(
      native.connect(bytes, bytes.length, from, from === null ? 0 : from.length, options, name),
    );
  };

  const nameOf = (fd: number, peer: number): string => {
    const bytes = new Uint8Array(128);
    const length = native.name(fd, peer, bytes, bytes.length);
    if (length < 0) return `errno ${-length}`;
    const out = new Endpoint();
    decodeSocketAddress(bytes, length, out);
    return out.family === 1 ? "unix" : `${formatIp(out.ip)}:${out.port}`;
  };

  const portOf = (fd: number): number => Number(nameOf(fd, 0).split(":").at(-1));
  const local = (port: number): Address => ({ family: "ipv4", host: "127.0.0.1", port });
  const get = (fd: number, level: number, name: number): number => native.getInt(fd, level, name);

  describe("listen", () => {
    test("with every option that can be read back", () => {
      const fd = listen(local(0), {
        [opt.OPT_REUSEPORT]: 1,
        [opt.OPT_RCVBUF]: 40_000,
        [opt.OPT_SNDBUF]: 50_000,
        [opt.OPT_KEEPALIVE]: 1,
        [opt.OPT_KEEP_IDLE]: 61,
        [opt.OPT_KEEP_INTERVAL]: 7,
        [opt.OPT_KEEP_COUNT]: 4,
        [opt.OPT_USER_TIMEOUT]: 9000,
        [opt.OPT_DEFER_ACCEPT]: 3,
        [opt.OPT_TFO]: 16,
        [opt.OPT_TOS]: 0x10,
      });
      expect(fd).toBeGreaterThan(0);
      // The system doubles what is asked for buffers.
      expect(get(fd, SOL_SOCKET, SO_RCVBUF)).toBe(80_000);
      expect(get(fd, SOL_SOCKET, SO_SNDBUF)).toBe(100_000);
      expect(get(fd, SOL_SOCKET, SO_REUSEADDR)).toBe(1);
      expect(get(fd, SOL_SOCKET, SO_REUSEPORT)).toBe(1);
      expect(get(fd, SOL_SOCKET, SO_KEEPALIVE)).toBe(1);
      expect(get(fd, IPPROTO_TCP, TCP_KEEPIDLE)).toBe(61);
      expect(get(fd, IPPROTO_TCP, TCP_KEEPINTVL)).toBe(7);
      expect(get(fd, IPPROTO_TCP, TCP_KEEPCNT)).toBe(4);
      expect(get(fd, IPPROTO_TCP, TCP_USER_TIMEOUT)).toBe(9000);
      expect(get(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT)).toBeGreaterThanOrEqual(3);
      expect(get(fd, IPPROTO_TCP, TCP_FASTOPEN)).toBe(16);
      expect(get(fd, IPPROTO_TCP, TCP_NODELAY)).toBe(1);
      expect(get(fd, IPPROTO_IP, IP_TOS)).toBe(0x10);
      expect(get(fd, SOL_SOCKET, SO_ACCEPTCONN)).toBe(1);
      expect(native.isListening(fd)).toBe(1);
    });

    test("an address that is taken", () => {
      const port = portOf(listen(local(0)));
      expect(listen(local(port))).toBe(-EADDRINUSE);
    });

    test("one port by many, if all of them say so", () => {
      const shared = { [opt.OPT_REUSEPORT]: 1 };
      const port = portOf(listen(local(0), shared));
      expect(listen(local(port), shared)).toBeGreaterThan(0);
      expect(listen(local(port))).toBe(-EADDRINUSE);
    });

    test("an address that is not this machine's", () => {
      expect(listen({ family: "ipv4", host: "192.0.2.1", port: 0 })).toBe(-EADDRNOTAVAIL);
    });

    test("v6only as asked", () => {
      const any: Address = { family: "ipv6", host: "::", port: 0 };
      for (const value of [0, 1]) {
        const fd = listen(any, { [opt.OPT_V6ONLY]: value });
        expect(get(fd, IPPROTO_IPV6, IPV6_V6ONLY)).toBe(value);
      }
    });

    test("unix and abstract sockets", () => {
      using folder = temporaryFolder();
      const path = folder.file("sock");
      expect(nameOf(listen({ family: "unix", path }), 0)).toBe("unix");
      expect(existsSync(path)).toBe(true);
      expect(listen({ family: "unix", path })).toBe(-EADDRINUSE);
      const name = `sluice-test-${process.pid}`;
      expect(listen({ family: "abns", name })).toBeGreaterThan(0);
      expect(connect({ family: "abns", name })).toBeGreaterThan(0);
      expect(connect({ family: "unix", path })).toBeGreaterThan(0);
    });
  });

  describe("connect", () => {
    test("with every option that can be read back", () => {
      const port = portOf(listen(local(0)));
      const fd = connect(local(port), {
        [opt.OPT_RCVBUF]: 30_000,
        [opt.OPT_SNDBUF]: 60_000,
        [opt.OPT_KEEPALIVE]: 1,
        [opt.OPT_KEEP_IDLE]: 31,
        [opt.OPT_KEEP_INTERVAL]: 5,
        [opt.OPT_KEEP_COUNT]: 2,
        [opt.OPT_USER_TIMEOUT]: 1234,
        [opt.OPT_TOS]: 0x08,
      });
      expect(fd).toBeGreaterThan(0);
      expect(get(fd, SOL_SOCKET, SO_RCVBUF)).toBe(60_000);
      expect(get(fd, SOL_SOCKET, SO_SNDBUF)).toBe(120_000);
      expect(get(fd, SOL_SOCKET, SO_KEEPALIVE)).toBe(1);
      expect(get(fd, IPPROTO_TCP, TCP_KEEPIDLE)).toBe(31);
      expect(get(fd, IPPROTO_TCP, TCP_KEEPINTVL)).toBe(5);
      expect(get(fd, IPPROTO_TCP, TCP_KEEPCNT)).toBe(2);
      expect(get(fd, IPPROTO_TCP, TCP_USER_TIMEOUT)).toBe(1234);
      expect(get(fd, IPPROTO_IP, IP_TOS)).toBe(0x08);
      expect(nameOf(fd, 1)).toBe(`127.0.0.1:${port}`);
    });

    test("the largest segment, and the class of IPv6", () => {
      const any: Address = { family: "ipv6", host: "::1", port: 0 };
      const listening = listen(any);
      // A machine without IPv6 has nothing to show here.
      if (listening < 0) return;
      const fd = connect(
        { ...any, port: portOf(listening) },
        { [opt.OPT_TOS]: 0x20, [opt.OPT_MSS]: 1000 },
      );
      expect(get(fd, IPPROTO_IPV6, IPV6_TCLASS)).toBe(0x20);
      expect(get(fd, IPPROTO_TCP, TCP_MAXSEG)).toBeLessThanOrEqual(1000);
    });

    test("from a source address, and from a port of it", () => {
      const port = portOf(listen(local(0)));
      const source: Address = { family: "ipv4", host: "127.0.0.9", port: 0 };
      const fd = connect(local(port), null, source);
      expect(nameOf(fd, 0)).toStartWith("127.0.0.9:");
      const free = portOf(listen(local(0)));
      native.close(opened.pop()!);
      const second = connect(local(port), null, { ...source, port: free });
      expect(nameOf(second, 0)).toBe(`127.0.0.9:${free}`);
    });

    test("from an address that is not this machine's", () => {
      const port = portOf(listen(local(0)));
      const source: Address = { family: "ipv4", host: "192.0.2.1", port: 0 };
      expect(connect(local(port), null, source)).toBe(-EADDRNOTAVAIL);
    });

    test("through an interface that does not exist", () => {
      const port = portOf(listen(local(0)));
      // Without the right to bind to interfaces the refusal has another number.
      expect([-ENODEV, -1]).toContain(connect(local(port), {}, null, "sluice-none"));
    });

    test("no such unix socket; one that nobody listens on", () => {
      using folder = temporaryFolder();
      const path = folder.file("sock");
      expect(connect({ family: "unix", path })).toBe(-ENOENT);
      const fd = listen({ family: "unix", path });
      opened.splice(opened.indexOf(fd), 1);
      native.close(fd);
      expect(connect({ family: "unix", path })).toBe(-ECONNREFUSED);
    });

    test("no route", () => {
      // The loopback's own network has no way to the rest of class E.
      const result = connect({ family: "ipv4", host: "255.255.255.255", port: 9 });
      expect([-ENETUNREACH, -EHOSTUNREACH, -13, -EINVAL]).toContain(result);
    });
  });

  test("a descriptor that is none says so", () => {
    expect(native.isListening(1 << 20)).toBe(-9);
    expect(native.dup(1 << 20)).toBe(-9);
    expect(native.close(1 << 20)).toBe(-9);
    expect(native.setInt(1 << 20, SOL_SOCKET, SO_KEEPALIVE, 1)).toBe(-9);
    expect(nameOf(1 << 20, 0)).toBe("errno 9");
  });

  test("tune sets options of a live socket", () => {
    const fd = connect(local(portOf(listen(local(0)))));
    expect(native.tune(fd, 2, optionsOf({ [opt.OPT_KEEPALIVE]: 1, [opt.OPT_KEEP_IDLE]: 77 }))).toBe(
      0,
    );
    expect(get(fd, IPPROTO_TCP, TCP_KEEPIDLE)).toBe(77);
  });

  test("the limit of descriptors is told, and CPU time goes on", () => {
    const limit = native.raiseDescriptors(0);
    expect(limit).toBeGreaterThan(10);
    expect(native.raiseDescriptors(10)).toBe(10);
    expect(native.raiseDescriptors(limit)).toBe(limit);
    const before = native.threadCpuMicros();
    while (native.threadCpuMicros() === before);
    expect(native.threadCpuMicros()).toBeGreaterThan(before);
  });
});

describe("errors of the system", () => {
  const CASES: readonly [errno: number, code: number][] = [
    [104, CLOSE_RESET],
    [32, CLOSE_RESET],
    [111, CLOSE_REFUSED],
    [2, CLOSE_REFUSED],
    [101, CLOSE_UNREACHABLE],
    [113, CLOSE_UNREACHABLE],
    [110, CLOSE_TIMEOUT],
    [24, CLOSE_RESOURCE],
    [99, CLOSE_RESOURCE],
    [13, CLOSE_RESOURCE],
    [11, CLOSE_RESOURCE],
    [22, CLOSE_OTHER],
  ];

  test.each([...CASES])("errno %p is %p", (errno, code) => {
    expect(closeCodeOfErrno(errno)).toBe(code);
  });

  test("a reset while connecting means that nobody accepts", () => {
    expect(connectCloseCode(104)).toBe(CLOSE_REFUSED);
    expect(connectCloseCode(110)).toBe(CLOSE_TIMEOUT);
  });
});
