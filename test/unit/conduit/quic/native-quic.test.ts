/** The numbers and names of native/quic/quic.h are written twice: here they are compared. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import * as quic from "../../../../src/conduit/quic/native-quic.ts";
import * as transport from "../../../../src/conduit/quic/transport.ts";

const HEADER = readFileSync(join(import.meta.dir, "../../../../native/quic/quic.h"), "utf8");
const CODE = HEADER.replace(/\/\*[\s\S]*?\*\//g, "");

/** Values of the enumerators of C that begin with `prefix`, by what follows it, in their order. */
function enumerators(prefix: string): Map<string, number> {
  const values = new Map<string, number>();
  for (const [, body = ""] of CODE.matchAll(/enum \{([^}]*)\}/g)) {
    let next = 0;
    for (const item of body.split(",")) {
      const [, name = "", value] = /^\s*(\w+)\s*(?:=\s*(\w+))?\s*$/.exec(item) ?? [];
      if (name === "") continue;
      if (value !== undefined) {
        next = /^\d+$/.test(value) ? Number(value) : (values.get(value.slice(prefix.length)) ?? 0);
      }
      if (name.startsWith(prefix)) values.set(name.slice(prefix.length), next);
      next++;
    }
  }
  return values;
}

/** `#define SQ_NAME value`. */
function defined(name: string): number {
  const [, value = ""] = new RegExp(`#define SQ_${name} \\(?(-?\\d+)`).exec(CODE) ?? [];
  return Number(value);
}

const upper = (camel: string): string =>
  camel.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();

test("events", () => {
  expect(enumerators("SQ_EV_").size).toBe(14);
  for (const [name, value] of enumerators("SQ_EV_")) {
    expect([name, (quic as unknown as Record<string, number>)[`EV_${name}`]]).toEqual([
      name,
      value,
    ]);
  }
  expect(defined("EVENT_WORDS")).toBe(quic.EVENT_WORDS);
  expect(defined("STREAM_UNI")).toBe(quic.STREAM_UNI);
  expect(defined("INTERFACE")).toBe(quic.QUIC_INTERFACE);
});

test("settings", () => {
  const settings = [...enumerators("SQ_SET_").keys()];
  expect(quic.QUIC_SETTINGS.map(upper)).toEqual(settings.slice(0, -1));
  expect(settings.at(-1)).toBe("COUNT");
});

test("numbers of connections", () => {
  const numbers = enumerators("SQ_N_");
  const names = [...numbers.keys()].filter((name) => !/^COUNTS?$/.test(name));
  expect([...transport.QUIC_NUMBERS, ...transport.QUIC_MOMENTS].map(upper)).toEqual(names);
  expect(numbers.get("COUNTS")).toBe(transport.QUIC_COUNTS);
  expect(numbers.get("RTT_LATEST_MICROS")).toBe(transport.QUIC_COUNTS);
  expect(numbers.get("COUNT")).toBe(transport.QUIC_COUNTS + transport.QUIC_MOMENTS.length);
});

test("texts", () => {
  const texts = [...enumerators("SQ_TEXT_").keys()];
  expect([...transport.QUIC_TEXTS.map(upper), "COUNT"]).toEqual(texts);
});

test("causes", () => {
  const causes = enumerators("SQ_CAUSE_");
  expect(causes.size).toBe(10);
  for (const [name, value] of causes) {
    const named = (transport as unknown as Record<string, number>)[`CAUSE_${name}`];
    expect([name, named]).toEqual([name, value]);
  }
});

test("results, words of io, options of sockets", () => {
  for (const name of ["GONE", "NO_CREDIT", "CLOSED", "FULL", "TLS", "TOO_LONG"]) {
    const named = (transport as unknown as Record<string, number>)[`TRANSPORT_${name}`];
    expect([name, named]).toEqual([name, defined(name)]);
  }
  const io = enumerators("SQ_IO_");
  expect([...io]).toEqual([
    ["SEGMENT", quic.IO_SEGMENT],
    ["OFFSET", quic.IO_OFFSET],
    ["END", quic.IO_END],
    ["MORE", quic.IO_MORE],
    ["WORDS", quic.IO_WORDS],
  ]);
  for (const name of ["REUSEPORT", "V6ONLY", "DUAL", "TRANSPARENT"]) {
    const named = (quic as unknown as Record<string, number>)[`UDP_${name}`];
    expect([name, named]).toEqual([name, defined(`UDP_${name}`)]);
  }
});

const module = quic.quicModule();

test.skipIf(module === null)("the module says what it is", () => {
  expect(module!.interface()).toBe(quic.QUIC_INTERFACE);
  expect(quic.quicReason()).toBe("");
  expect(quic.quicLibraries()).toMatch(/^ngtcp2 \d+\.\d+\.\d+, \w+ \d/);
});

test.skipIf(module === null)("handles above 2^31 survive the way to C and back", () => {
  // Of no engine, but checked as any other.
  const engine = module!.engineNew(
    9,
    1,
    new Uint8Array(quic.SECRET_BYTES),
    new Uint32Array(new ArrayBuffer(64 * 4 * quic.EVENT_WORDS)),
    64,
    new Uint32Array(new ArrayBuffer(quic.IO_WORDS * 4)),
    16,
  )!;
  expect(module!.streamFinish(engine, 0xfff00001)).toBe(transport.TRANSPORT_GONE);
  expect(module!.connFree(engine, 0xffffffff)).toBe(transport.TRANSPORT_GONE);
  module!.engineDestroy(engine);
});

test.skipIf(module === null)("another thread uses the module by its addresses", async () => {
  const url = new URL("../../../support/quic-addresses-worker.ts", import.meta.url);
  const worker = new Worker(url);
  const answer = new Promise((resolve) => {
    worker.onmessage = ({ data }) => resolve(data);
  });
  worker.postMessage(quic.quicAddresses());
  expect(await answer).toEqual({ libraries: quic.quicLibraries(), reason: "" });
  worker.terminate();
});
