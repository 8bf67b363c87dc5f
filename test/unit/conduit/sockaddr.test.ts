import { describe, expect, test } from "bun:test";

import { formatIp } from "../../../src/base/address.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  decodeSocketAddress,
  encodeSocketAddress,
  Endpoint,
} from "../../../src/conduit/sockaddr.ts";
import type { Address } from "../../../src/tables/spec.ts";

const decode = (bytes: Uint8Array, length = bytes.length): string => {
  const out = new Endpoint();
  decodeSocketAddress(bytes, length, out);
  return out.family === 4 || out.family === 6
    ? `${out.family} ${formatIp(out.ip)} ${out.port}`
    : `${out.family}`;
};

const IP_CASES: readonly { address: Address; says: string; family: number; bytes: number }[] = [
  {
    address: { family: "ipv4", host: "192.0.2.1", port: 80 },
    says: "4 192.0.2.1 80",
    family: AF_INET,
    bytes: 16,
  },
  {
    address: { family: "ipv4", host: "255.255.255.255", port: 65_535 },
    says: "4 255.255.255.255 65535",
    family: AF_INET,
    bytes: 16,
  },
  {
    address: { family: "ipv6", host: "2001:db8::1", port: 443 },
    says: "6 2001:db8::1 443",
    family: AF_INET6,
    bytes: 28,
  },
  {
    address: { family: "ipv6", host: "::", port: 0 },
    says: "6 :: 0",
    family: AF_INET6,
    bytes: 28,
  },
];

describe("IP addresses", () => {
  test.each([...IP_CASES])("$says", ({ address, says, family, bytes }) => {
    const encoded = encodeSocketAddress(address);
    expect([encoded.family, encoded.bytes.length]).toEqual([family, bytes]);
    expect(decode(encoded.bytes)).toBe(says);
  });

  test("a port of its own can be given", () => {
    const address: Address = { family: "ipv4", host: "10.0.0.1", port: 1 };
    expect(decode(encodeSocketAddress(address, 99).bytes)).toBe("4 10.0.0.1 99");
  });

  test("an IPv4 client of a dual-stack socket is an IPv4 client", () => {
    const address: Address = { family: "ipv6", host: "::ffff:192.0.2.9", port: 7 };
    expect(decode(encodeSocketAddress(address).bytes)).toBe("4 192.0.2.9 7");
  });

  test("a name is none", () => {
    const address: Address = { family: "ipv4", host: "localhost", port: 1 };
    expect(() => encodeSocketAddress(address)).toThrow(RangeError);
  });
});

describe("other families", () => {
  test("unix paths end in a zero byte", () => {
    const { bytes, family } = encodeSocketAddress({ family: "unix", path: "/tmp/a" });
    expect(family).toBe(AF_UNIX);
    expect(new TextDecoder().decode(bytes.subarray(2))).toBe("/tmp/a\0");
    expect(decode(bytes)).toBe("1");
  });

  test("abstract names are padded to the full length", () => {
    const { bytes } = encodeSocketAddress({ family: "abns", name: "x" });
    expect([...bytes.subarray(0, 5)]).toEqual([1, 0, 0, 120, 0]);
    expect(bytes).toHaveLength(110);
  });

  test("a name that does not fit is refused", () => {
    const long = "a".repeat(107);
    expect(() => encodeSocketAddress({ family: "unix", path: long })).not.toThrow();
    expect(() => encodeSocketAddress({ family: "unix", path: `${long}b` })).toThrow(RangeError);
  });

  test("a descriptor has no address", () => {
    expect(() => encodeSocketAddress({ family: "fd", fd: 3 })).toThrow(RangeError);
  });

  test("what is cut short or unknown is not known", () => {
    const { bytes } = encodeSocketAddress({ family: "ipv6", host: "::1", port: 5 });
    expect(decode(bytes, 10)).toBe("0");
    expect(decode(new Uint8Array(28))).toBe("0");
    expect(decode(Uint8Array.of(16, 0, 1, 2, 3, 4, 5, 6))).toBe("0");
  });
});

test("an endpoint is copied and cleared as a whole", () => {
  const first = new Endpoint();
  decodeSocketAddress(
    encodeSocketAddress({ family: "ipv4", host: "10.1.2.3", port: 9 }).bytes,
    16,
    first,
  );
  const second = new Endpoint();
  second.copyFrom(first);
  first.clear();
  expect([first.family, first.port]).toEqual([0, 0]);
  expect(formatIp(second.ip)).toBe("10.1.2.3");
  expect(second.port).toBe(9);
});
