/** Samples of HTTP requests, in conditions of pages. */
import { describe, expect, test } from "bun:test";

import { compileCondition } from "../../../src/expr/evaluate.ts";
import type { HttpRequest } from "../../../src/expr/evaluate.ts";
import { parseCondition } from "../../../src/expr/parse.ts";
import { fakeContext } from "./fake-context.ts";

const HEADERS: Record<string, string> = {
  host: "www.Example.com:8404",
  "x-list": 'one, "two, 2", three',
  "x-number": "15, 7x",
  "x-address": "10.0.0.1, [2001:db8::1]",
  "content-length": "12",
};

function requestTo(url: string, method = "GET"): HttpRequest {
  return { method, url, version: "1.1", header: (name) => HEADERS[name.toLowerCase()] };
}

/** Whether a condition holds for a request; undefined = it cannot be read. */
function holds(condition: string, request?: HttpRequest): boolean | undefined {
  const words = `if ${condition}`.split(" ");
  const result = parseCondition(words, new Map(), { takesRequest: true });
  if (!result.ok) throw new Error(result.message);
  const context = fakeContext({ addresses: { client: "127.0.0.1" } });
  return compileCondition(result.value)(request === undefined ? context : { ...context, request });
}

const URL_TEXT = "/Metrics/a.png?x=1&name=v&flag";

const CASES: readonly (readonly [condition: string, expected: boolean])[] = [
  ["{ path /Metrics/a.png }", true],
  ["{ path /metrics/a.png }", false],
  ["{ path -i /metrics/a.png }", true],
  ["{ path_beg -i /met }", true],
  ["{ path -m beg /Met }", true],
  ["{ path_beg -m str /Met }", false],
  ["{ path_end .png .jpg }", true],
  ["{ path_sub trics }", true],
  ["{ path_dir Metrics }", true],
  ["{ path_reg ^/M.*png$ }", true],
  ["{ path_len 14 }", true],
  ["{ url_beg /Metrics/a.png?x }", true],
  ["{ url /Metrics/a.png }", false],
  ["{ pathq -m beg /Met }", true],
  ["{ query x=1&name=v&flag }", true],
  ["{ urlp(name) v }", true],
  ["{ url_param(flag) -m found }", true],
  ["{ urlp(no) -m found }", false],
  ["{ base_beg www.Example.com:8404/Met }", true],
  ["{ method GET }", true],
  ["{ method POST PUT }", false],
  ["METH_GET", true],
  ["METH_POST", false],
  ["HTTP", true],
  ["HTTP_1.1", true],
  ["HTTP_1.0", false],
  ["HTTP_URL_SLASH", true],
  ["HTTP_CONTENT", true],
  ["LOCALHOST METH_GET", true],
  ["{ hdr(host) -i www.example.com:8404 }", true],
  ["{ hdr_dom(host) -i example.com }", true],
  ["{ hdr_beg(Host) www. }", true],
  ["{ hdr(x-list) three }", true],
  ["{ hdr(x-list) one }", true],
  ['{ hdr(x-list) "two }', false],
  ["{ hdr(x-list,1) three }", false],
  ["{ hdr(x-list,-1) three }", true],
  ["{ hdr(x-list,9) -m found }", false],
  ["{ hdr_cnt(x-list) 3 }", true],
  ["{ req.fhdr(x-list) -m beg one, }", true],
  ["{ hdr_val(x-number) gt 14 }", true],
  ["{ req.hdr_val(x-number,2) 7 }", true],
  ["{ hdr_ip(x-address) 10.0.0.0/8 }", true],
  ["{ req.hdr_ip(x-address) 2001:db8::/32 }", true],
  ["{ hdr(nothing) -m found }", false],
  ["{ hdr(host),lower -m beg www.example }", true],
];

describe("a request", () => {
  for (const [condition, expected] of CASES) {
    test(condition, () => expect(holds(condition, requestTo(URL_TEXT))).toBe(expected));
  }

  test("an absolute target, and one without a path", () => {
    expect(holds("{ path /x }", requestTo("http://a.test/x?y"))).toBe(true);
    expect(holds("{ path / }", requestTo("http://a.test"))).toBe(true);
    expect(holds("{ path -m found }", requestTo("*", "OPTIONS"))).toBe(false);
    expect(holds("HTTP_URL_ABS", requestTo("http://a.test/x"))).toBe(true);
    expect(holds("{ query -m found }", requestTo("/x"))).toBe(false);
  });

  test("none: no sample", () => {
    for (const [condition] of CASES.filter(([text]) => text.startsWith("{"))) {
      expect(holds(condition)).toBe(false);
    }
  });
});

test("streams have no requests: the words are refused there", () => {
  for (const words of ["if { path / }", "if METH_GET", "if { path_beg / }", "if { hdr(host) x }"]) {
    expect(parseCondition(words.split(" "), new Map())).toMatchObject({ ok: false, kind: "http" });
  }
});

test("what is not read on pages is refused by name", () => {
  const result = parseCondition(["if", "{", "http_auth(u)", "}"], new Map(), {
    takesRequest: true,
  });
  expect(result).toMatchObject({ ok: false, kind: "http" });
});
