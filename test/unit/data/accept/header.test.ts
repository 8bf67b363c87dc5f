/** The PROXY header of a client, in whatever pieces it comes, and what is behind it. */
import { describe, expect, test } from "bun:test";

import { IpAddress, parseIp } from "../../../../src/base/address.ts";
import {
  FRONT_COUNT_PROXY_HEADER_ERRORS,
  FRONT_COUNT_STRIDE,
} from "../../../../src/tables/generated/front-count.ts";
import { encodeProxyV1 } from "../../../../src/wire/proxy-v1.ts";
import { encodeProxyV2 } from "../../../../src/wire/proxy-v2.ts";
import { contentOf } from "../../../sim/content.ts";
import { PLAIN_PROXY, PLAIN_SERVER, Rig } from "../../../sim/rig.ts";

const ADDRESS = "192.0.2.7";
const PAYLOAD_BYTES = 5;

function ip(text: string): IpAddress {
  const address = new IpAddress();
  parseIp(text, address);
  return address;
}

const endpoints = {
  source: ip(ADDRESS),
  sourcePort: 1000,
  destination: ip("198.51.100.1"),
  destinationPort: 80,
};

const HEADERS = [
  { name: "version 1", bytes: encodeProxyV1(endpoints) },
  { name: "version 2", bytes: encodeProxyV2(endpoints, { crc32c: true, authority: "a.example" }) },
];

const timeouts = { ...PLAIN_PROXY.timeouts, client: 200 };
const proxy = {
  ...PLAIN_PROXY,
  acceptProxy: true,
  timeouts,
  servers: [{ ...PLAIN_SERVER, sendProxy: 1 as const }],
};

/** The second proxy's row of counters is not looked at: there is one. */
function headerErrors(rig: Rig): number {
  const { proxyFront } = rig.world.tables.perWorker[0]!;
  return proxyFront.floats[(FRONT_COUNT_STRIDE + FRONT_COUNT_PROXY_HEADER_ERRORS) >> 1]!;
}

describe.each(HEADERS)("$name", ({ bytes }) => {
  test("split anywhere, with payload behind it", () => {
    for (let at = 0; at <= bytes.length + PAYLOAD_BYTES; at++) {
      const rig = new Rig({ proxies: [proxy] });
      const header = { bytes, isGood: true, address: ADDRESS };
      const client = rig.connect({ header, payload: PAYLOAD_BYTES });
      const all = Buffer.concat([bytes, contentOf(client.key, 0, PAYLOAD_BYTES)]);
      rig.send(client, all.subarray(0, at));
      expect(client.links.length).toBe(at >= bytes.length ? 1 : 0);
      rig.send(client, all.subarray(at));
      const link = rig.answer(client);
      // The link itself checks the header that it is sent, and every byte behind it.
      while (link.read(3)) rig.run();
      expect(link.hadHeader).toBe(true);
      expect(link.receivedBytes).toBe(PAYLOAD_BYTES);
      rig.end(client);
      expect(client.outcome?.termination).toBe("--");
      expect(client.outcome?.bytesUp).toBe(PAYLOAD_BYTES);
    }
  });

  test("byte by byte", () => {
    const rig = new Rig({ proxies: [proxy] });
    const client = rig.connect({ header: { bytes, isGood: true, address: ADDRESS } });
    for (const byte of bytes) rig.send(client, Uint8Array.of(byte));
    expect(client.links).toHaveLength(1);
    expect(headerErrors(rig)).toBe(0);
  });

  test("cut anywhere by the client's end", () => {
    for (let at = 0; at < bytes.length; at++) {
      const rig = new Rig({ proxies: [proxy] });
      const client = rig.connect({ header: { bytes, isGood: false, address: ADDRESS } });
      rig.send(client, bytes.subarray(0, at));
      client.finish();
      rig.run();
      expect(client.outcome?.termination).toBe("PR");
      expect(client.links).toHaveLength(0);
      expect(headerErrors(rig)).toBe(1);
    }
  });

  test("late: the client's idle time ends the connection", () => {
    const rig = new Rig({ proxies: [proxy] });
    const client = rig.connect({ header: { bytes, isGood: true, address: ADDRESS } });
    rig.send(client, bytes.subarray(0, 4));
    rig.wait(180);
    expect(client.outcome).toBeNull();
    rig.wait(40);
    expect(client.outcome?.termination).toBe("PR");
    expect(client.socket.nearAborted).toBe(true);
    expect(headerErrors(rig)).toBe(1);
  });
});

test("anything else is no header", () => {
  for (const text of ["GET / HTTP/1.0\r\n\r\n", "PROXY TCP9 x\r\n", "\0\0\0\0"]) {
    const rig = new Rig({ proxies: [proxy] });
    const bytes = new TextEncoder().encode(text);
    const client = rig.connect({ header: { bytes, isGood: false, address: ADDRESS } });
    rig.send(client, bytes);
    expect(client.outcome?.termination).toBe("PR");
    expect(headerErrors(rig)).toBe(1);
  }
});
