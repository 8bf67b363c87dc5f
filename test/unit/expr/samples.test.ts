import { describe, expect, test } from "bun:test";

import { makeStep } from "../../../src/expr/convert.ts";
import { CONVERTERS } from "../../../src/expr/converters.ts";
import {
  compileSample,
  sampleBytes,
  type SampleContext,
  sampleText,
} from "../../../src/expr/evaluate.ts";
import { FETCHES } from "../../../src/expr/fetches.ts";
import { listReferences, parseSample, scopeOf } from "../../../src/expr/parse.ts";
import { fakeContext } from "./fake-context.ts";
import { HAPROXY_REFUSALS, HAPROXY_SAMPLES } from "./haproxy-samples.ts";

function evaluate(text: string, context: SampleContext = fakeContext()): string | undefined {
  const parsed = parseSample(text);
  if (!parsed.ok) throw new Error(`${text}: ${parsed.message}`);
  const sample = compileSample(parsed.value)(context);
  return sample.type === "none" ? undefined : sampleText(sample);
}

/** As a log line shows it: C strings end at a zero byte, nothing is "-". */
function printed(text: string): string {
  const [shown = ""] = (evaluate(text) ?? "").split("\0");
  return shown === "" ? "-" : shown;
}

describe("samples as HAProxy printed them", () => {
  for (const [text, expected] of HAPROXY_SAMPLES) {
    test(text, () => expect(printed(text)).toBe(expected));
  }
});

describe("refusals as HAProxy words them", () => {
  for (const [text, message] of HAPROXY_REFUSALS) {
    test(text, () => {
      const parsed = parseSample(text);
      if (parsed.ok) throw new Error("accepted");
      // A blank ends an expression; what follows is the caller's to refuse.
      if (message.startsWith("expected ']'")) return;
      expect(parsed.message).toBe(message);
    });
  }
});

describe("fetches", () => {
  const context = fakeContext({
    addresses: { client: "192.0.2.7", destination: "2001:db8::1", backDestination: "10.0.0.1" },
    ports: { client: 4711, destination: 443 },
    texts: { fe_name: "front", so_name: "lis1" },
    integers: { fe_id: 3, stopping: 1, "bc.timer.connect": 12 },
    proxies: { "nbsrv/b1": 4, nbsrv: 2, "fe_conn/front": 9 },
    servers: { "srv_is_up/b1/s1": 1, "srv_is_up//s1": 0, "srv_queue/b1/s1": 3 },
    environment: { FOO: "bar" },
  });
  const table: readonly (readonly [string, string | undefined])[] = [
    ["src", "192.0.2.7"],
    ["src_port", "4711"],
    ["dst", "2001:db8::1"],
    ["dst_port", "443"],
    ["bc_dst", "10.0.0.1"],
    ["bc_src", undefined],
    ["bc_src_port", undefined],
    ["fe_name", "front"],
    ["srv_name", undefined],
    ["fe_id", "3"],
    ["stopping", "1"],
    ["bc.timer.connect", "12"],
    ["nbsrv(b1)", "4"],
    ["nbsrv", "2"],
    ["nbsrv(gone)", undefined],
    ["str(b1),nbsrv", "4"],
    ["fe_conn(front)", "9"],
    ["srv_is_up(b1/s1)", "1"],
    ["srv_is_up(s1)", "0"],
    ["srv_is_up(b1/none)", undefined],
    ["str(b1/s1),srv_is_up", "1"],
    ["str(s1),srv_is_up", "0"],
    ["str(b1/none),srv_is_up", undefined],
    ["str(b1/),srv_queue", undefined],
    ["str(b1/s1),srv_queue", "3"],
    ["env(FOO)", "bar"],
    ["env(NOPE)", undefined],
    ["date", "1795255200"],
    ["date(-5)", "1795255195"],
    ["date(3,ms)", "1795255200147"],
    ["date(0,us)", "1795255200144321"],
    ["date_us", "144321"],
    ["accept_date(ms)", "1795255200144"],
    ["rand(100)", "60"],
    ["src,ipmask(24)", "192.0.2.0"],
    ["dst,ipmask(24,32)", "2001:db8::"],
    ["src,ipmask(24),concat(/24)", "192.0.2.0/24"],
    ["srv_name,concat(x)", undefined],
  ];
  for (const [text, expected] of table) {
    test(text, () => expect(evaluate(text, context)).toBe(expected));
  }
  test("uuid has the shape of RFC 9562", () => {
    expect(evaluate("uuid")).toMatch(
      /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
    expect(evaluate("uuid(7)")).toMatch(/^01a1fd8c-6990-7[0-9a-f]{3}-[89ab]/);
  });
  test("a compiled expression can run again and again", () => {
    const parsed = parseSample("src,ipmask(8)");
    if (!parsed.ok) throw new Error(parsed.message);
    const run = compileSample(parsed.value);
    expect(sampleText(run(context))).toBe("192.0.0.0");
    expect(run(fakeContext()).type).toBe("none");
    expect(sampleText(run(context))).toBe("192.0.0.0");
  });
});

describe("hash inputs", () => {
  const bytes = (text: string): string => {
    const parsed = parseSample(text);
    if (!parsed.ok) throw new Error(parsed.message);
    const sample = compileSample(parsed.value)(fakeContext({ addresses: { client: "127.0.0.1" } }));
    return Buffer.from(sampleBytes(sample)).toString("hex");
  };
  test("addresses, integers, booleans, texts", () => {
    expect(bytes("src")).toBe("7f000001");
    expect(bytes("ipv6(::1)")).toBe("00000000000000000000000000000001");
    expect(bytes("int(-2)")).toBe("fffffffffffffffe");
    expect(bytes("bool(1)")).toBe("0000000000000001");
    expect(bytes("str(ü)")).toBe("c3bc");
    expect(bytes("env(NOPE)")).toBe("");
  });
});

describe("catalogue", () => {
  test("every fetch compiles with plausible arguments", () => {
    const sampleArguments = {
      str: "s",
      sint: "1",
      ipv4: "1.2.3.4",
      ipv6: "::1",
      mask4: "8",
      mask6: "8",
      frontend: "f",
      backend: "b",
      server: "b/s",
    } as const;
    const own: Record<string, string> = { bin: "00", bool: "1", uuid: "" };
    for (const keyword of FETCHES.values()) {
      const args = keyword.args
        .slice(0, keyword.required)
        .map((type) => own[keyword.name] ?? sampleArguments[type]);
      const text = args.length === 0 ? keyword.name : `${keyword.name}(${args.join(",")})`;
      const parsed = parseSample(text);
      if (!parsed.ok) throw new Error(`${text}: ${parsed.message}`);
      expect(() => compileSample(parsed.value)(fakeContext())).not.toThrow();
    }
  });
  test("every converter has code", () => {
    for (const name of CONVERTERS.keys()) expect(makeStep(name, [])).toBeDefined();
  });
  test("references and scopes are told", () => {
    const parsed = parseSample("srv_conn(b1/s1)");
    if (!parsed.ok) throw new Error(parsed.message);
    expect(listReferences(parsed.value)).toEqual([
      { kind: "server", proxy: "b1", server: "s1", fetch: "srv_conn" },
    ]);
    expect(scopeOf(parsed.value)).toBe("any");
  });
  test("words of other layers are refused by what they are", () => {
    const kinds = ["req.hdr(host)", "ssl_bc_sni", "req.ssl_sni", "sc0_conn_rate", "zork"].map(
      (text) => {
        const parsed = parseSample(text);
        return parsed.ok ? "ok" : parsed.kind;
      },
    );
    expect(kinds).toEqual(["http", "tls", "coming", "coming", "unknown"]);
  });
});
