/** TLS facts in a record of the log ring: what goes in comes out, cut and marked when longer. */
import { describe, expect, test } from "bun:test";

import { recordTlsInteger, recordTlsText } from "../../../../src/control/logs/record-tls.ts";
import {
  LOG_TLS_ALPN_CUT,
  LOG_TLS_CERTIFICATE,
  LOG_TLS_EARLY,
  LOG_TLS_ON,
  LOG_TLS_RESUMED,
  LOG_TLS_SNI_CUT,
  LOG_TLS_UNFINISHED,
  LOG_TLS_VERIFIED,
} from "../../../../src/tables/generated/enums.ts";
import * as log from "../../../../src/tables/generated/stream-log.ts";
import { getText, putText } from "../../../../src/tables/log-text.ts";
import { cipherName, cipherNumber } from "../../../../src/wire/cipher-suite.ts";

const SNI_BYTES = 64;
const SNI_WORDS = SNI_BYTES / 4;

describe("texts", () => {
  const room = (): Int32Array => new Int32Array(SNI_WORDS + 3).fill(-1);
  const cases: [name: string, text: string, kept: string][] = [
    ["nothing", "", ""],
    ["one byte", "a", "a"],
    ["a word and a bit", "abcde", "abcde"],
    ["as much as there is room for", "x".repeat(SNI_BYTES), "x".repeat(SNI_BYTES)],
    ["one more", "x".repeat(SNI_BYTES + 1), "x".repeat(SNI_BYTES)],
    ["characters of several bytes, never in halves", "é".repeat(40), "é".repeat(32)],
    ["a last one that does not fit", `${"x".repeat(62)}€`, "x".repeat(62)],
    ["beyond the basic plane", "𝒳".repeat(20), "𝒳".repeat(16)],
  ];
  for (const [name, text, kept] of cases) {
    test(name, () => {
      const words = room();
      expect(putText(words, 2, SNI_WORDS, text)).toBe(kept === text);
      expect(getText(words, 2)).toBe(kept);
      // Neither side of its room is touched, but for the length in front.
      expect([words[0], words.at(-1)]).toEqual([-1, -1]);
      expect(words[1]).toBe(Buffer.byteLength(kept));
    });
  }
});

describe("a record", () => {
  const words = new Int32Array(log.STREAM_LOG_STRIDE * 2);
  const row = log.STREAM_LOG_STRIDE;
  const fill = (flags: number): void => {
    words[row + log.STREAM_LOG_TLS_FLAGS] = flags;
    words[row + log.STREAM_LOG_TLS_CIPHER] = cipherNumber("TLS_CHACHA20_POLY1305_SHA256");
    putText(words, row + log.STREAM_LOG_SNI, SNI_WORDS, "dns.example.com");
    putText(words, row + log.STREAM_LOG_ALPN, 4, "doq");
    putText(words, row + log.STREAM_LOG_COMMON_NAME, SNI_WORDS, "client one");
  };
  test("of a QUIC client", () => {
    fill(LOG_TLS_ON);
    expect(recordTlsText(words, row, "ssl_fc_sni")).toBe("dns.example.com");
    expect(recordTlsText(words, row, "ssl_fc_alpn")).toBe("doq");
    expect(recordTlsText(words, row, "ssl_fc_cipher")).toBe("TLS_CHACHA20_POLY1305_SHA256");
    expect(recordTlsText(words, row, "ssl_fc_protocol")).toBe("TLSv1.3");
    expect(recordTlsText(words, row, "ssl_c_cn")).toBe("client one");
    expect(recordTlsText(words, row, "ssl_c_s_dn")).toBeUndefined();
  });
  test("cut texts are marked, empty ones are none", () => {
    fill(LOG_TLS_ON | LOG_TLS_SNI_CUT | LOG_TLS_ALPN_CUT);
    expect(recordTlsText(words, row, "ssl_fc_sni")).toBe("dns.example.com...");
    expect(recordTlsText(words, row, "ssl_fc_alpn")).toBe("doq...");
    putText(words, row + log.STREAM_LOG_SNI, SNI_WORDS, "");
    words[row + log.STREAM_LOG_TLS_FLAGS] = LOG_TLS_ON;
    expect(recordTlsText(words, row, "ssl_fc_sni")).toBeUndefined();
  });
  test("without TLS nothing of an older record shows", () => {
    fill(0);
    expect(recordTlsText(words, row, "ssl_fc_sni")).toBeUndefined();
    expect(recordTlsText(words, row, "ssl_fc_protocol")).toBeUndefined();
    expect(recordTlsInteger(0, "ssl_fc")).toBe(0);
    expect(recordTlsInteger(0, "ssl_c_used")).toBeUndefined();
  });
  test("numbers and booleans", () => {
    const certificate = LOG_TLS_ON | LOG_TLS_CERTIFICATE;
    const cases: [flags: number, field: Parameters<typeof recordTlsInteger>[1], value: number][] = [
      [LOG_TLS_ON, "ssl_fc", 1],
      [LOG_TLS_ON, "ssl_c_used", 0],
      [LOG_TLS_ON, "ssl_c_verify", 0],
      [certificate, "ssl_c_used", 1],
      [certificate, "ssl_fc_has_crt", 1],
      [certificate | LOG_TLS_RESUMED, "ssl_fc_has_crt", 0],
      [certificate, "ssl_c_verify", 1],
      [certificate | LOG_TLS_VERIFIED, "ssl_c_verify", 0],
      [LOG_TLS_ON | LOG_TLS_RESUMED, "ssl_fc_is_resumed", 1],
      [LOG_TLS_ON | LOG_TLS_EARLY, "ssl_fc_early_rcvd", 1],
      [LOG_TLS_ON | LOG_TLS_EARLY, "ssl_fc_has_early", 0],
      [LOG_TLS_ON | LOG_TLS_EARLY | LOG_TLS_UNFINISHED, "ssl_fc_has_early", 1],
    ];
    for (const [flags, field, value] of cases) expect(recordTlsInteger(flags, field)).toBe(value);
    expect(recordTlsInteger(LOG_TLS_ON, "pid")).toBeUndefined();
  });
});

test("cipher suites have the numbers that IANA gave them", () => {
  expect(cipherNumber("TLS_AES_128_GCM_SHA256")).toBe(0x1301);
  expect(cipherName(0x1302)).toBe("TLS_AES_256_GCM_SHA384");
  expect([cipherNumber("AES"), cipherName(7)]).toEqual([0, undefined]);
});
