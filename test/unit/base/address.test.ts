import { describe, expect, test } from "bun:test";

import {
  formatIp,
  IpAddress,
  isLoopback,
  maskIp,
  normaliseMapped,
  parseIp,
  parseIpv4,
  readIp,
  writeIp,
} from "../../../src/base/address.ts";

function canonical(text: string): string {
  const out = new IpAddress();
  return parseIp(text, out) ? formatIp(out) : "no";
}

describe("text of addresses", () => {
  const table: readonly (readonly [string, string])[] = [
    ["1.2.3.4", "1.2.3.4"],
    ["255.255.255.255", "255.255.255.255"],
    ["0.0.0.0", "0.0.0.0"],
    ["1.2.3", "no"],
    ["1.2.3.4.5", "no"],
    ["1.2.3.256", "no"],
    ["1.2.3.04", "no"],
    ["1.2..4", "no"],
    ["1.2.3.4 ", "no"],
    ["", "no"],
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
    ["1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"],
    ["::ffff:1.2.3.4", "::ffff:1.2.3.4"],
    ["::1.2.3.4", "::1.2.3.4"],
    ["::2:3", "::0.2.0.3"],
    ["::ffff:0:1.2.3.4", "::ffff:0:102:304"],
    ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"],
    ["1:2:3:4:5:6:7:8:9", "no"],
    ["1:2:3:4:5:6:7", "no"],
    ["1::2::3", "no"],
    ["1:2:3:4:5:6:7::8", "no"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    [":::", "no"],
    [":1:2:3:4:5:6:7", "no"],
    ["12345::", "no"],
    ["::1.2.3", "no"],
    ["1.2.3.4::", "no"],
    ["fe80::1%eth0", "no"],
  ];
  for (const [text, expected] of table) {
    test(`'${text}'`, () => expect(canonical(text)).toBe(expected));
  }
  test("a failed parse leaves the address as it was", () => {
    const out = new IpAddress();
    parseIp("1.2.3.4", out);
    expect(parseIp("1.2.3", out) || parseIp("1::2::3", out)).toBe(false);
    expect(formatIp(out)).toBe("1.2.3.4");
  });
});

describe("bytes of addresses", () => {
  for (const text of ["1.2.3.255", "2001:db8::ff00:42:8329"]) {
    test(`${text} goes there and back`, () => {
      const from = new IpAddress();
      const to = new IpAddress();
      parseIp(text, from);
      const bytes = new Uint8Array(20);
      const length = writeIp(from, bytes, 3);
      readIp(bytes, 3, length === 4 ? 4 : 6, to);
      expect(to.equals(from)).toBe(true);
      expect([bytes[2], bytes[3 + length]]).toEqual([0, 0]);
    });
  }
  test("no address writes nothing", () => {
    expect(writeIp(new IpAddress(), new Uint8Array(0), 0)).toBe(0);
    expect(formatIp(new IpAddress())).toBe("");
  });
});

describe("kinds of addresses", () => {
  const of = (text: string): IpAddress => {
    const out = new IpAddress();
    parseIp(text, out);
    return out;
  };
  test("mapped ones become IPv4, others stay", () => {
    const change = (text: string): string => {
      const address = of(text);
      normaliseMapped(address);
      return `${address.family} ${formatIp(address)}`;
    };
    expect(change("::ffff:10.0.0.1")).toBe("4 10.0.0.1");
    expect(change("::fffe:10.0.0.1")).toBe("6 ::fffe:a00:1");
    expect(change("10.0.0.1")).toBe("4 10.0.0.1");
  });
  test("loopback", () => {
    const all = ["127.9.9.9", "::1", "::ffff:127.0.0.1", "128.0.0.1", "::2", "::"];
    expect(all.map((text) => isLoopback(of(text)))).toEqual([
      true,
      true,
      true,
      false,
      false,
      false,
    ]);
  });
  test("masks", () => {
    const mask = (text: string, bits: number): string => {
      const address = of(text);
      maskIp(address, bits);
      return formatIp(address);
    };
    expect(mask("255.255.255.255", 9)).toBe("255.128.0.0");
    expect(mask("255.255.255.255", 0)).toBe("0.0.0.0");
    expect(mask("255.255.255.255", 32)).toBe("255.255.255.255");
    expect(mask("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65)).toBe("ffff:ffff:ffff:ffff:8000::");
    expect(mask("ffff::1", 128)).toBe("ffff::1");
  });
  test("words are unsigned", () => expect(parseIpv4("255.0.0.1")).toBe(0xff000001));
});
