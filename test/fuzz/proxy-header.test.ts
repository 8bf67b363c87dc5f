/**
 * PROXY headers, mangled: the parser never throws, never reads beyond what it claims, and gives
 * the same answer however the bytes are cut. `SLUICE_FUZZ_SEED` repeats a run.
 */
import { expect, test } from "bun:test";

import { formatIp, IpAddress } from "../../src/base/address.ts";
import { PROXY_NEED_MORE, ProxyHeader } from "../../src/wire/proxy-header.ts";
import { parseProxyHeader, ProxyHeaderReader } from "../../src/wire/proxy-reader.ts";
import { encodeProxyV1 } from "../../src/wire/proxy-v1.ts";
import { encodeProxyV2 } from "../../src/wire/proxy-v2.ts";
import { mutateBytes, seededRandom } from "./mutate.ts";

const ROUNDS = 20_000;
const seed = Number(process.env["SLUICE_FUZZ_SEED"] ?? 1);

function corpus(): Uint8Array[] {
  const source = new IpAddress();
  const destination = new IpAddress();
  source.setIpv4(0x7f000001);
  destination.setIpv4(0x0a000001);
  const four = { source, sourcePort: 1, destination, destinationPort: 2 };
  const sixSource = new IpAddress();
  sixSource.setIpv6(0x20010db8, 0, 0, 1);
  const six = { ...four, source: sixSource };
  const extras = {
    crc32c: true,
    alpn: "h2",
    authority: "example.org",
    uniqueId: Buffer.from("0123456789"),
    netns: "n",
    tls: { client: 7, verify: 1, version: "TLSv1.3", commonName: "a", cipher: "b" },
  };
  return [
    encodeProxyV1(four),
    encodeProxyV1(six),
    Buffer.from("PROXY UNKNOWN\r\n"),
    encodeProxyV2(four),
    encodeProxyV2(six, extras),
    encodeProxyV2(four, { ...extras, crc32c: false }),
    encodeProxyV2({ ...four, source: new IpAddress() }),
  ].map((bytes) => new Uint8Array(Buffer.concat([bytes, Buffer.from("payload")])));
}

/** A header as one comparable text. */
function describeHeader(header: ProxyHeader): string {
  const { source, destination, uniqueId, ...rest } = header;
  return JSON.stringify([formatIp(source), formatIp(destination), uniqueId ?? null, rest]);
}

test(`mangled headers, seed ${seed}`, () => {
  const random = seededRandom(seed);
  const seeds = corpus();
  const whole = new ProxyHeader();
  let accepted = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = mutateBytes(random, seeds);
    const expected = parseProxyHeader(bytes, whole);
    expect(expected).toBeLessThanOrEqual(bytes.length);
    if (expected > 0) accepted++;
    const reader = new ProxyHeaderReader();
    let result = PROXY_NEED_MORE;
    let at = 0;
    while (at < bytes.length && result === PROXY_NEED_MORE) {
      const size = 1 + Math.floor(random() * 40);
      const piece = bytes.subarray(at, at + size);
      result = reader.push(piece);
      if (result >= 0) result += at;
      at += piece.length;
    }
    if (result !== expected) {
      throw new Error(`seed ${seed} round ${round}: ${Buffer.from(bytes).toString("hex")}`);
    }
    if (expected > 0) expect(describeHeader(reader.header)).toBe(describeHeader(whole));
  }
  // A run that finds nothing valid has tested nothing.
  expect(accepted).toBeGreaterThan(ROUNDS / 100);
});

test("every truncation of every header asks for more or refuses", () => {
  const header = new ProxyHeader();
  for (const bytes of corpus()) {
    const length = parseProxyHeader(bytes, header);
    for (let end = 0; end < length; end++) {
      expect(parseProxyHeader(bytes.subarray(0, end), header)).toBe(PROXY_NEED_MORE);
    }
  }
});
