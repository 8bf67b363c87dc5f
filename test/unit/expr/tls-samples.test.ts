/** Samples of the client's TLS (manual 7.3.4): what they are of a stream, in rules and in logs. */
import { describe, expect, test } from "bun:test";

import {
  compileAcl,
  compileLogFormat,
  compileSample,
  sampleText,
} from "../../../src/expr/evaluate.ts";
import type { LogContext, TextField } from "../../../src/expr/evaluate.ts";
import { parseAclTest, parseLogFormat, parseSample, scopeOf } from "../../../src/expr/parse.ts";
import { fakeContext } from "./fake-context.ts";

const SUBJECT = "/C=FR/O=A, B/OU=one/OU=two/CN=client one";
const QUIC = fakeContext({
  texts: {
    ssl_c_s_dn: SUBJECT,
    ssl_c_cn: "client one",
    ssl_fc_alpn: "doq",
    ssl_fc_cipher: "TLS_AES_128_GCM_SHA256",
    ssl_fc_protocol: "TLSv1.3",
    ssl_fc_sni: "dns.example.com",
  },
  integers: { ssl_fc: 1, ssl_c_used: 1, ssl_c_verify: 0, ssl_fc_is_resumed: 0 },
});
const TCP = fakeContext({ integers: { ssl_fc: 0 } });
/** A log record knows the common name of a subject alone. */
const RECORD = fakeContext({ texts: { ssl_c_cn: "client one" }, integers: { ssl_fc: 1 } });

function evaluate(text: string, context: LogContext): string | undefined {
  const parsed = parseSample(text);
  if (!parsed.ok) throw new Error(parsed.message);
  const sample = compileSample(parsed.value)(context);
  return sample.type === "none" ? undefined : sampleText(sample);
}

describe("of a QUIC client, a TCP client, a record", () => {
  type Value = string | undefined;
  const table: [text: string, quic?: Value, tcp?: Value, record?: Value][] = [
    ["ssl_fc", "1", "0", "1"],
    ["ssl_fc_sni", "dns.example.com"],
    ["ssl_fc_sni,field(2,.)", "example"],
    ["ssl_fc_has_sni", "1", undefined, "0"],
    ["ssl_fc_alpn", "doq"],
    ["ssl_fc_cipher", "TLS_AES_128_GCM_SHA256"],
    ["ssl_fc_protocol", "TLSv1.3"],
    ["ssl_fc_is_resumed", "0"],
    ["ssl_c_used", "1"],
    ["ssl_c_verify", "0"],
    ["ssl_c_s_dn", SUBJECT],
    ["ssl_c_s_dn(CN)", "client one", undefined, "client one"],
    ["ssl_c_s_dn(CN,1)", "client one", undefined, "client one"],
    ["ssl_c_s_dn(CN,2)"],
    ["ssl_c_s_dn(OU)", "one"],
    ["ssl_c_s_dn(OU,2)", "two"],
    ["ssl_c_s_dn(OU,-1)", "two"],
    ["ssl_c_s_dn(L)"],
    ["ssl_c_s_dn(,0,rfc2253)", "CN=client one,OU=two,OU=one,O=A\\, B,C=FR"],
  ];
  for (const [text, quic, tcp, record] of table) {
    test(text, () => {
      expect([evaluate(text, QUIC), evaluate(text, TCP), evaluate(text, RECORD)]).toEqual([
        quic,
        tcp,
        record,
      ]);
    });
  }
});

describe("rules", () => {
  const table: [words: string, isTrue: boolean][] = [
    ["ssl_fc_sni dns.example.com", true],
    ["ssl_fc_sni -i DNS.example.com", true],
    ["ssl_fc_sni_end .example.com", true],
    ["ssl_fc_sni_end .example.org", false],
    ["ssl_fc_sni_reg ^dns\\.", true],
    ["ssl_fc_alpn doq", true],
    ["ssl_fc", true],
    ["ssl_c_verify 0", true],
  ];
  for (const [words, isTrue] of table) {
    test(words, () => {
      const parsed = parseAclTest(words.split(" "));
      if (!parsed.ok) throw new Error(parsed.message);
      expect(compileAcl({ tests: [parsed.value] })(QUIC)).toBe(isTrue);
    });
  }
});

test("log formats: %sslc, %sslv, and ~ behind the frontend's name", () => {
  const parsed = parseLogFormat("%ft %sslc %sslv %[ssl_fc_sni]", "log");
  if (!parsed.ok) throw new Error(parsed.message);
  const print = compileLogFormat(parsed.value);
  const front = fakeContext({ texts: { fe_name: "front" } });
  const quic = { ...QUIC, text: (field: TextField) => QUIC.text(field) ?? front.text(field) };
  expect(print({ ...quic, isFrontTls: () => true })).toBe(
    "front~ TLS_AES_128_GCM_SHA256 TLSv1.3 dns.example.com",
  );
  expect(print(front)).toBe("front - - -");
});

test("they are known when the client has been accepted; others of TLS are refused by name", () => {
  const parsed = parseSample("ssl_fc_sni");
  expect(parsed.ok && scopeOf(parsed.value)).toBe("client");
  for (const name of ["ssl_fc_npn", "ssl_c_der", "ssl_bc_alpn"]) {
    const refused = parseSample(name);
    expect(refused.ok ? "ok" : refused.kind).toBe("tls");
  }
  const wrong = parseSample("ssl_c_s_dn(CN,1,ldif)");
  expect(wrong.ok || wrong.message).toContain("only rfc2253 is supported currently");
});
