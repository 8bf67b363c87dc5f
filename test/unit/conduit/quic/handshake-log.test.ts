/** Lines about handshakes that failed: what they say, and how many there are. */
import { describe, expect, test } from "bun:test";

import { HandshakeLog } from "../../../../src/conduit/quic/handshake-log.ts";
import {
  CAUSE_APPLICATION,
  CAUSE_HANDSHAKE,
  CAUSE_IDLE,
  CAUSE_INTERNAL,
  CAUSE_LOCAL,
  CAUSE_PROTOCOL,
  CAUSE_REFUSED,
  CAUSE_RESET,
  CAUSE_TRANSPORT,
  CAUSE_VERSION,
  QUIC_COUNTS,
  QUIC_MOMENTS,
  QUIC_NUMBERS,
} from "../../../../src/conduit/quic/transport.ts";
import type { QuicText, Transport } from "../../../../src/conduit/quic/transport.ts";

const AGE_MILLIS = QUIC_COUNTS + QUIC_MOMENTS.indexOf("ageMillis");
const PACKETS_RECEIVED = QUIC_NUMBERS.indexOf("packetsReceived");

class Lab {
  now = 0;
  readonly told: string[] = [];
  readonly texts: Partial<Record<QuicText, string>> = {};
  packets = 0;
  ageMs = 0;
  readonly log: HandshakeLog;

  constructor() {
    const transport: Partial<Transport> = {
      connectionText: (_connection, which) => this.texts[which] ?? "",
      connectionEndpoint: (_connection, isPeer, out) => {
        out.family = 4;
        out.ip.setIpv4(isPeer ? 0x7f000002 : 0x7f000001);
        out.port = isPeer ? 9000 : 443;
      },
      connectionNow: (_connection, out) => {
        out[PACKETS_RECEIVED] = this.packets;
        out[AGE_MILLIS] = this.ageMs;
        return true;
      },
    };
    const tell = (failure: { serverRow: number; proxyRow: number; why: string }, left: number) =>
      void this.told.push(`${failure.serverRow || `f${failure.proxyRow}`} ${failure.why} +${left}`);
    this.log = new HandshakeLog(transport as Transport, () => this.now, tell);
  }

  /** Server 1, a fresh log: what it says. */
  why(cause: number, code = 0n, wasEstablished = false): string | undefined {
    this.log.ofServer(1, 7, cause, code, wasEstablished);
    return this.told.at(-1)?.replace(/^1 | \+0$/gu, "");
  }
}

describe("the reason", () => {
  test.each<[name: string, cause: number, code: bigint, failure: string, says: string]>([
    [
      "TLS of ours",
      CAUSE_PROTOCOL,
      0x12an,
      "bad certificate: x",
      "TLS alert 42: bad certificate: x",
    ],
    ["no text", CAUSE_PROTOCOL, 0xan, "", "transport error 0xa"],
    [
      "TLS of the peer",
      CAUSE_TRANSPORT,
      0x178n,
      "no application protocol",
      "the other side ended it with TLS alert 120: no application protocol",
    ],
    ["full", CAUSE_TRANSPORT, 2n, "", "the other side ended it with CONNECTION_REFUSED"],
    ["nobody", CAUSE_REFUSED, 111n, "", "connection refused, nobody listens there"],
    ["errno", CAUSE_REFUSED, 5n, "", "errno 5"],
    ["silence", CAUSE_IDLE, 0n, "", "no answer"],
    ["timeout", CAUSE_HANDSHAKE, 0n, "", "no answer"],
    ["versions", CAUSE_VERSION, 0n, "", "no version of QUIC in common"],
    ["reset", CAUSE_RESET, 0n, "", "stateless reset, the other side does not know the connection"],
    ["the library", CAUSE_INTERNAL, 1n, "out of memory", "out of memory"],
  ])("%s", (_name, cause, code, failure, says) => {
    const lab = new Lab();
    lab.texts.failure = failure;
    expect(lab.why(cause, code)).toBe(says);
  });

  test("silence after an answer is none", () => {
    const lab = new Lab();
    lab.packets = 2;
    expect(lab.why(CAUSE_HANDSHAKE)).toBe("it took too long");
  });

  test("one that we give up had no answer, if it had time for one", () => {
    const lab = new Lab();
    lab.ageMs = 999;
    lab.log.givenUp(1, 7);
    expect(lab.told).toEqual([]);
    lab.ageMs = 1000;
    lab.log.givenUp(1, 7);
    expect(lab.told).toEqual(["1 no answer +0"]);
  });

  test("a peer's own words", () => {
    const lab = new Lab();
    lab.texts.reason = "go away";
    expect(lab.why(CAUSE_APPLICATION, 5n)).toBe(
      "the other side closed it with application code 5: go away",
    );
  });

  test("a certificate that a server refuses behind the handshake is one; other ends are none", () => {
    const lab = new Lab();
    lab.texts.failure = "certificate required";
    expect(lab.why(CAUSE_TRANSPORT, 0n, true)).toBeUndefined();
    expect(lab.why(CAUSE_IDLE, 0n, true)).toBeUndefined();
    expect(lab.why(CAUSE_LOCAL)).toBeUndefined();
    expect(lab.why(CAUSE_TRANSPORT, 0x174n, true)).toBe(
      "the other side ended it with TLS alert 116: certificate required",
    );
  });
});

test("one line a second for each server and each listener, with the number left out", () => {
  const lab = new Lab();
  const listeners = [{}, {}];
  const fail = (): void => {
    lab.log.ofServer(1, 7, CAUSE_IDLE, 0n, false);
    lab.log.ofServer(2, 7, CAUSE_IDLE, 0n, false);
    for (const listener of listeners) lab.log.ofClient(listener, 64, 7, CAUSE_IDLE, 0n);
  };
  const all = ["1 no answer", "2 no answer", "f64 no answer", "f64 no answer"];
  const said = (left: number): string[] => all.map((text) => `${text} +${left}`);
  for (let i = 0; i < 5; i++) fail();
  expect(lab.told.splice(0)).toEqual(said(0));
  lab.now = 500;
  lab.log.tick(lab.now);
  expect(lab.told).toEqual([]);
  lab.now = 1000;
  lab.log.tick(lab.now);
  expect(lab.told.splice(0)).toEqual(said(3));
  // The pause begins again with each line.
  fail();
  expect(lab.told).toEqual([]);
  lab.now = 2000;
  lab.log.tick(lab.now);
  expect(lab.told.splice(0)).toEqual(said(0));
  lab.now = 3000;
  lab.log.tick(lab.now);
  fail();
  expect(lab.told).toEqual(said(0));
});
