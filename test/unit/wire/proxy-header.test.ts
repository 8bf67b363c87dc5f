import { describe, expect, test } from "bun:test";

import { formatIp, IpAddress, parseIp } from "../../../src/base/address.ts";
import { connectionErrorText } from "../../../src/wire/connection-error.ts";
import {
  PROXY_BAD_HDR,
  PROXY_BAD_PROTO,
  PROXY_NEED_MORE,
  PROXY_NOT_HDR,
  type ProxyEndpoints,
  ProxyHeader,
} from "../../../src/wire/proxy-header.ts";
import { parseProxyHeader, ProxyHeaderReader } from "../../../src/wire/proxy-reader.ts";
import { encodeProxyV1 } from "../../../src/wire/proxy-v1.ts";
import { encodeProxyV2, PROXY_V2_SIGNATURE } from "../../../src/wire/proxy-v2.ts";

const PAYLOAD = Buffer.from("data");

function v2(command: number, family: number, body: readonly number[], length?: number): Buffer {
  const bytes = length ?? body.length;
  const fixed = [...PROXY_V2_SIGNATURE, command, family, bytes >> 8, bytes & 255];
  return Buffer.from([...fixed, ...body]);
}

const V4 = [1, 2, 3, 4, 5, 6, 7, 8, 0x12, 0x34, 0, 80];
const V6 = [...Array<number>(15).fill(0), 1, ...Array<number>(15).fill(0), 2, 0x12, 0x34, 0, 80];

/** What a header says, in one line; or the code. */
function read(bytes: Uint8Array): string {
  const header = new ProxyHeader();
  const length = parseProxyHeader(bytes, header);
  if (length === PROXY_NEED_MORE) return "more";
  if (length === PROXY_NOT_HDR) return "not a header";
  if (length === PROXY_BAD_HDR) return "bad";
  if (length === PROXY_BAD_PROTO) return "bad protocol";
  if (!header.hasAddresses()) return `keep ${length}`;
  const from = `${formatIp(header.source)}:${header.sourcePort}`;
  return `${from} > ${formatIp(header.destination)}:${header.destinationPort} ${length}`;
}

describe("version 1", () => {
  // As HAProxy 2.6 decides, but for the lines marked "stricter" or "specification".
  const table: readonly (readonly [string, string, string])[] = [
    ["TCP4", "PROXY TCP4 1.2.3.4 5.6.7.8 100 200\r\n", "1.2.3.4:100 > 5.6.7.8:200 36"],
    ["TCP6", "PROXY TCP6 2001:db8::1 ::2 100 200\r\n", "2001:db8::1:100 > ::2:200 36"],
    ["UNKNOWN", "PROXY UNKNOWN\r\n", "keep 15"],
    ["UNKNOWN with words (specification)", "PROXY UNKNOWN ::1 ::2 1 2 x\r\n", "keep 29"],
    ["UNKNOWN with letters", "PROXY UNKNOWNx\r\n", "bad protocol"],
    [
      "mapped addresses stay IPv6",
      "PROXY TCP6 ::ffff:1.2.3.4 ::1 1 2\r\n",
      "::ffff:1.2.3.4:1 > ::1:2 35",
    ],
    ["port 0", "PROXY TCP4 1.2.3.4 5.6.7.8 0 200\r\n", "1.2.3.4:0 > 5.6.7.8:200 34"],
    ["LF alone", "PROXY TCP4 1.2.3.4 5.6.7.8 100 200\n", "bad"],
    ["CR alone", "PROXY TCP4 1.2.3.4 5.6.7.8 100 200\rx", "bad"],
    ["two blanks", "PROXY  TCP4 1.2.3.4 5.6.7.8 100 200\r\n", "bad protocol"],
    ["leading zero in an address (stricter)", "PROXY TCP4 1.2.3.04 5.6.7.8 100 200\r\n", "bad"],
    ["leading zero in a port (stricter)", "PROXY TCP4 1.2.3.4 5.6.7.8 0100 200\r\n", "bad"],
    ["port 65536 (stricter)", "PROXY TCP4 1.2.3.4 5.6.7.8 65536 200\r\n", "bad"],
    ["signed port", "PROXY TCP4 1.2.3.4 5.6.7.8 +1 200\r\n", "bad"],
    ["a word too many", "PROXY TCP4 1.2.3.4 5.6.7.8 100 200 x\r\n", "bad"],
    ["blank at the end", "PROXY TCP4 1.2.3.4 5.6.7.8 100 200 \r\n", "bad"],
    ["a word too few", "PROXY TCP4 1.2.3.4 5.6.7.8 100\r\n", "bad"],
    ["lower case", "proxy TCP4 1.2.3.4 5.6.7.8 100 200\r\n", "not a header"],
    ["UDP4", "PROXY UDP4 1.2.3.4 5.6.7.8 100 200\r\n", "bad protocol"],
    ["IPv6 under TCP4", "PROXY TCP4 ::1 ::2 100 200\r\n", "bad"],
    ["IPv4 under TCP6", "PROXY TCP6 1.2.3.4 5.6.7.8 100 200\r\n", "bad"],
    ["107 bytes", `PROXY UNKNOWN ${"x".repeat(91)}\r\n`, "keep 107"],
    ["108 bytes", `PROXY UNKNOWN ${"x".repeat(92)}\r\n`, "bad"],
    ["unfinished", "PROXY TCP4 1.2.3.4", "more"],
    ["one letter", "P", "more"],
    ["HTTP", "GET / HTTP/1.0\r\n\r\n", "not a header"],
    ["one letter off", "PROXX TCP4", "not a header"],
  ];
  for (const [name, text, expected] of table) {
    test(name, () => {
      expect(read(Buffer.from(text))).toBe(expected);
      if (expected !== "more") expect(read(Buffer.from(`${text}data`))).toBe(expected);
    });
  }
});

describe("version 2", () => {
  const path = (text: string): number[] => [...Buffer.alloc(108).fill(text, 0, text.length)];
  const table: readonly (readonly [string, Buffer, string])[] = [
    ["TCP over IPv4", v2(0x21, 0x11, V4), "1.2.3.4:4660 > 5.6.7.8:80 28"],
    ["TCP over IPv6", v2(0x21, 0x21, V6), "::1:4660 > ::2:80 52"],
    ["LOCAL", v2(0x20, 0, []), "keep 16"],
    ["LOCAL with addresses", v2(0x20, 0x11, V4), "keep 28"],
    ["LOCAL with an odd family", v2(0x20, 0x77, [1]), "keep 17"],
    ["LOCAL with broken TLVs", v2(0x20, 0, [4, 0, 9, 1]), "keep 20"],
    ["UNSPEC (specification)", v2(0x21, 0, [1, 2, 3, 4]), "keep 20"],
    ["UDP (specification)", v2(0x21, 0x12, V4), "keep 28"],
    ["unix (specification)", v2(0x21, 0x31, [...path("/a"), ...path("/b")]), "keep 232"],
    ["family 4", v2(0x21, 0x41, V4), "bad"],
    ["transport 3", v2(0x21, 0x13, V4), "bad"],
    ["command 2", v2(0x22, 0x11, V4), "bad"],
    ["version 1", v2(0x11, 0x11, V4), "not a header"],
    ["addresses too short", v2(0x21, 0x11, V4.slice(0, 8)), "bad"],
    ["IPv6 too short", v2(0x21, 0x21, V4), "bad"],
    ["longer than the limit", v2(0x21, 0x11, V4, 65_535), "bad"],
    ["unfinished", v2(0x21, 0x11, V4.slice(0, 5), 12), "more"],
    ["half a signature", v2(0x21, 0x11, V4).subarray(0, 5), "more"],
    ["NOOP", v2(0x21, 0x11, [...V4, 4, 0, 2, 9, 9]), "1.2.3.4:4660 > 5.6.7.8:80 33"],
    ["unknown TLV", v2(0x21, 0x11, [...V4, 0xee, 0, 1, 1]), "1.2.3.4:4660 > 5.6.7.8:80 32"],
    ["TLV beyond the end", v2(0x21, 0x11, [...V4, 4, 0, 9, 1]), "bad"],
    ["TLV of two bytes", v2(0x21, 0x11, [...V4, 4, 0]), "bad"],
    ["wrong checksum", v2(0x21, 0x11, [...V4, 3, 0, 4, 1, 2, 3, 4]), "bad"],
    ["short checksum", v2(0x21, 0x11, [...V4, 3, 0, 3, 1, 2, 3]), "bad"],
    ["id of 129 bytes", v2(0x21, 0x11, [...V4, 5, 0, 129, ...Array<number>(129).fill(7)]), "bad"],
    ["host of 256 bytes", v2(0x21, 0x11, [...V4, 2, 1, 0, ...Array<number>(256).fill(97)]), "bad"],
    ["short TLS", v2(0x21, 0x11, [...V4, 0x20, 0, 4, 1, 0, 0, 0]), "bad"],
    ["broken TLS", v2(0x21, 0x11, [...V4, 0x20, 0, 7, 1, 0, 0, 0, 0, 0x21, 0]), "bad"],
  ];
  for (const [name, bytes, expected] of table) {
    test(name, () => {
      expect(read(bytes)).toBe(expected);
      if (expected !== "more") expect(read(Buffer.concat([bytes, PAYLOAD]))).toBe(expected);
    });
  }
  test("TLVs are read", () => {
    const tls = [
      0x20, 0, 23, 5, 0, 0, 0, 1, 0x21, 0, 3, 49, 46, 51, 0x22, 0, 1, 99, 0x23, 0, 1, 120,
    ];
    const more = [0x26, 0, 1, 103];
    tls[2] = 5 + 6 + 4 + 4 + 4;
    const tlvs = [1, 0, 2, 104, 50, 2, 0, 3, 97, 46, 98, 5, 0, 2, 1, 2, 0x30, 0, 1, 110];
    const header = new ProxyHeader();
    parseProxyHeader(v2(0x21, 0x11, [...V4, ...tlvs, ...tls, ...more]), header);
    expect(header.alpn).toBe("h2");
    expect(header.authority).toBe("a.b");
    expect(header.uniqueId).toEqual(new Uint8Array([1, 2]));
    expect(header.netns).toBe("n");
    expect(header.tls).toEqual({
      client: 5,
      verify: 1,
      version: "1.3",
      commonName: "c",
      cipher: "x",
      group: "g",
    });
  });
  test("unix paths lose their padding", () => {
    const header = new ProxyHeader();
    parseProxyHeader(v2(0x21, 0x31, [...path("/run/a"), ...path("\0abs")]), header);
    expect([header.family, header.sourcePath, header.destinationPath]).toEqual([
      1,
      "/run/a",
      "\0abs",
    ]);
  });
});

describe("reader", () => {
  const whole = Buffer.concat([v2(0x21, 0x11, [...V4, 2, 0, 3, 97, 46, 98]), PAYLOAD]);
  test("one piece: tells where the payload begins", () => {
    const reader = new ProxyHeaderReader();
    expect(reader.push(whole)).toBe(whole.length - PAYLOAD.length);
    expect(reader.header.authority).toBe("a.b");
  });
  test("every split in two, version 1 and 2", () => {
    const line = Buffer.from("PROXY TCP4 1.2.3.4 5.6.7.8 100 200\r\ndata");
    for (const bytes of [whole, line]) {
      const length = bytes.length - PAYLOAD.length;
      for (let cut = 1; cut < bytes.length; cut++) {
        const reader = new ProxyHeaderReader();
        const first = reader.push(bytes.subarray(0, cut));
        if (cut >= length) {
          expect(first).toBe(length);
          continue;
        }
        expect(first).toBe(PROXY_NEED_MORE);
        expect(reader.push(bytes.subarray(cut))).toBe(length - cut);
        expect(formatIp(reader.header.source)).toBe("1.2.3.4");
      }
    }
  });
  test("byte by byte", () => {
    const reader = new ProxyHeaderReader();
    let result = PROXY_NEED_MORE;
    let taken = 0;
    for (; result === PROXY_NEED_MORE; taken++)
      result = reader.push(whole.subarray(taken, taken + 1));
    expect([result, taken]).toEqual([1, whole.length - PAYLOAD.length]);
  });
  test("tells HAProxy's errors", () => {
    const text = (bytes: string): string => {
      const reader = new ProxyHeaderReader();
      const result = bytes === "" ? PROXY_NEED_MORE : reader.push(Buffer.from(bytes));
      return connectionErrorText(reader.errorCode(result));
    };
    expect(text("")).toBe("Connection closed while waiting for PROXY protocol header");
    expect(text("PROXY TCP4 1")).toBe("Truncated PROXY protocol header received");
    expect(text("GET /")).toBe(
      "Received something which does not look like a PROXY protocol header",
    );
    expect(text("PROXY TCP4 1\r\n")).toBe("Received an invalid PROXY protocol header");
    expect(text("PROXY UDP4 1\r\n")).toBe(
      "Received an unhandled protocol in the PROXY protocol header",
    );
  });
});

function endpoints(
  source: string,
  destination: string,
  from = 43_228,
  to = 34_953,
): ProxyEndpoints {
  const address = (text: string): IpAddress => {
    const out = new IpAddress();
    if (text !== "") parseIp(text, out);
    return out;
  };
  return {
    source: address(source),
    sourcePort: from,
    destination: address(destination),
    destinationPort: to,
  };
}

describe("what is sent", () => {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
  const local = endpoints("127.0.0.1", "127.0.0.1");
  const local6 = endpoints("::1", "::1", 0xc806, 0x8889);
  const unix = endpoints("", "");
  const id = Buffer.from("id127.0.0.1");
  // Bytes captured from HAProxy 2.6.12.
  test("version 1, as HAProxy's", () => {
    expect(
      Buffer.from(encodeProxyV1(endpoints("127.0.0.1", "127.0.0.1", 36_792, 37_531))).toString(),
    ).toBe("PROXY TCP4 127.0.0.1 127.0.0.1 36792 37531\r\n");
    expect(Buffer.from(encodeProxyV1(endpoints("::1", "::1", 36_002, 37_531))).toString()).toBe(
      "PROXY TCP6 ::1 ::1 36002 37531\r\n",
    );
    expect(Buffer.from(encodeProxyV1(unix)).toString()).toBe("PROXY UNKNOWN\r\n");
  });
  const table: readonly (readonly [string, Uint8Array, string])[] = [
    [
      "plain",
      encodeProxyV2(endpoints("127.0.0.1", "127.0.0.1", 0xa9f8, 0xb143)),
      "0d0a0d0a000d0a515549540a2111000c7f0000017f000001a9f8b143",
    ],
    [
      "checksum",
      encodeProxyV2(local, { crc32c: true }),
      "0d0a0d0a000d0a515549540a211100137f0000017f000001a8dc8889030004ce757b9e",
    ],
    [
      "checksum over IPv6",
      encodeProxyV2(local6, { crc32c: true }),
      "0d0a0d0a000d0a515549540a2121002b00000000000000000000000000000001000000000000000000000000000000" +
        "01c8068889030004560aee4a",
    ],
    [
      "checksum and id",
      encodeProxyV2(endpoints("127.0.0.1", "127.0.0.1", 0xd25c, 0xae83), {
        crc32c: true,
        uniqueId: id,
      }),
      "0d0a0d0a000d0a515549540a211100217f0000017f000001d25cae8303000489683d6c05000b" +
        "69643132372e302e302e31",
    ],
    [
      "from a unix socket",
      encodeProxyV2(unix, { crc32c: true }),
      "0d0a0d0a000d0a515549540a20000007030004a9b87e8f",
    ],
    [
      "TLS of a plain connection",
      encodeProxyV2(endpoints("127.0.0.1", "127.0.0.1", 0xb3ba, 0x86ff), {
        crc32c: true,
        tls: { client: 0, verify: 0 },
      }),
      "0d0a0d0a000d0a515549540a2111001b7f0000017f000001b3ba86ff03000464219162" + "2000050000000000",
    ],
  ];
  for (const [name, bytes, expected] of table) {
    test(`version 2, as HAProxy's: ${name}`, () => expect(hex(bytes)).toBe(expected));
  }
  test("mixed families are written as IPv6", () => {
    const mixed = endpoints("1.2.3.4", "2001:db8::1", 1, 2);
    expect(Buffer.from(encodeProxyV1(mixed)).toString()).toBe(
      "PROXY TCP6 ::ffff:1.2.3.4 2001:db8::1 1 2\r\n",
    );
    expect(read(encodeProxyV2(mixed))).toBe("::ffff:1.2.3.4:1 > 2001:db8::1:2 52");
  });
  test("what is written is read back", () => {
    const header = new ProxyHeader();
    const bytes = encodeProxyV2(local6, {
      crc32c: true,
      alpn: "h2",
      authority: "a.b",
      uniqueId: id,
      netns: "blue",
    });
    expect(parseProxyHeader(bytes, header)).toBe(bytes.length);
    expect([header.alpn, header.authority, header.netns]).toEqual(["h2", "a.b", "blue"]);
    expect(header.uniqueId).toEqual(new Uint8Array(id));
    for (let i = 0; i < bytes.length; i++) {
      const damaged = bytes.slice();
      damaged[i] = damaged[i]! ^ 1;
      // Noticed, but where the header then carries nothing, or its checksum is none any more.
      const isExcused = i === 12 || i === 13 || i === 52;
      if (!isExcused) expect(parseProxyHeader(damaged, header)).toBeLessThan(0);
    }
  });
});
