import { describe, expect, test } from "bun:test";

import { compileLogFormat } from "../../../src/expr/evaluate.ts";
import { parseLogFormat, TCP_LOG_FORMAT } from "../../../src/expr/parse.ts";
import { type Answers, fakeContext } from "./fake-context.ts";

process.env["TZ"] = "UTC";

const ENDED: Answers = {
  addresses: {
    client: "127.0.0.1",
    destination: "127.0.0.2",
    backSource: "127.0.0.3",
    backDestination: "127.0.0.4",
  },
  ports: { client: 47_694, destination: 33_455, backSource: 60_134, backDestination: 1 },
  texts: { fe_name: "front", be_name: "back", srv_name: "s1", hostname: "box" },
  integers: {
    "req.timer.queue": 1,
    "bc.timer.connect": 2,
    "fc.timer.total": 153,
    "fc.timer.handshake": 0,
    "res.timer.data": 150,
    bytes_out: 5,
    bytes_in: 3,
    act_conn: 7,
    "txn.conn_retries": 1,
    bc_srv_queue: 4,
    bc_be_queue: 6,
    "txn.id32": 17,
    pid: 8839,
  },
  proxies: { fe_conn: 2, be_conn: 3 },
  servers: { srv_conn: 9 },
};
const REFUSED: Answers = {
  addresses: { client: "2001:db8::7" },
  ports: { client: 80 },
  texts: { fe_name: "front", "txn.sess_term_state": "SC" },
  integers: { "fc.timer.total": 0 },
};

function print(text: string, answers: Answers = ENDED): string {
  const parsed = parseLogFormat(text);
  return parsed.ok ? compileLogFormat(parsed.value)(fakeContext(answers)) : `! ${parsed.message}`;
}

describe("the tcplog line", () => {
  test("of an ended stream", () => {
    expect(print(TCP_LOG_FORMAT)).toBe(
      "127.0.0.1:47694 [21/Nov/2026:10:00:00.144] front back/s1 1/2/153 5 -- 7/2/3/9/1 4/6",
    );
  });
  test("of one that reached no server", () => {
    expect(print(TCP_LOG_FORMAT, REFUSED)).toBe(
      "2001:db8::7:80 [21/Nov/2026:10:00:00.144] front front/<NOSRV> -1/-1/0 0 SC 0/0/0/0/0 0/0",
    );
  });
  test("made as soon as connected", () => {
    expect(print("%Tw/%Tc/%Tt %B %U", { ...ENDED, partial: true })).toBe("1/2/+153 +5 3");
  });
  test("of a redispatched one", () => {
    const integers = { ...ENDED.integers, "txn.redispatched": 1 };
    expect(print("%rc", { ...ENDED, integers })).toBe("+1");
  });
  test("from a unix socket", () => {
    expect(print("%ci:%cp", { unix: ["client"], ports: { client: 1 } })).toBe("unix:1");
  });
});

describe("items", () => {
  // [format, what an ended stream prints, what a refused one prints]
  const table: readonly (readonly [string, string, string])[] = [
    ["%%x", "%x", "%x"],
    ["a   b", "a b", "a b"],
    ["%bi:%bp %si:%sp", "127.0.0.3:60134 127.0.0.4:1", "-:- -:-"],
    ["%{+Q}si %{+Q}ci", '"127.0.0.4" "127.0.0.1"', '"" "2001:db8::7"'],
    ["%{+X}ci:%{+X}cp", "7F000001:BA4E", "20010DB8000000000000000000000007:0050"],
    ["%{+X}si:%{+X}sp", "7F000004:0001", "-:-"],
    ["%{+Q,+X}ci", "7F000001", "20010DB8000000000000000000000007"],
    ["%{+X}pid %{+X}rt", "2287 0011", "0000 0000"],
    ["%{+X}Ts %Ts %ms %{+X}ms", "6B016BA0 1795255200 144 90", "6B016BA0 1795255200 144 90"],
    ["%T|%Tl", "21/Nov/2026:10:00:00 +0000|21/Nov/2026:10:00:00 +0000", ""],
    ["%{+Q}ft %{+Q}b %{+Q}s", '"front" "back" "s1"', '"front" "front" "<NOSRV>"'],
    ["%Th/%Td", "0/150", "-1/-1"],
    ["%ts %tsc", "-- ----", "SC SC--"],
    ["%H %ID %ST %lc", "box - 0 0", "- - 0 0"],
    ["%hr %hs %hrl", "  ", "  "],
    ["%sslc %{+Q}sslv", '- ""', '- ""'],
    ["%{+Q}o %ci %s", '"127.0.0.1" "s1"', '"2001:db8::7" "<NOSRV>"'],
    ["x%{+Q}o %ci", 'x "127.0.0.1"', 'x "2001:db8::7"'],
    ["%{Q}ci", "127.0.0.1", "2001:db8::7"],
    ["%{-M}[srv_name]", "s1", ""],
    ["%[srv_name]", "s1", "-"],
    ['%{+E}[str("a\\"b]c\\\\d")]', 'a\\"b\\]c\\\\d', 'a\\"b\\]c\\\\d'],
    ['%{+Q,+E}[str("a\\"b")]', '"a\\"b"', '"a\\"b"'],
    ["%[bin(41000142)]", "A", "A"],
    ["%[str(a\\nb)]", "a#0Ab", "a#0Ab"],
    ["%OG %(name)ci", "txn_close 127.0.0.1", "txn_close 2001:db8::7"],
  ];
  for (const [format, ended, refused] of table) {
    test(format, () => {
      expect(print(format)).toBe(ended);
      if (refused !== "") expect(print(format, REFUSED)).toBe(refused);
    });
  }
});

describe("refusals", () => {
  const table: readonly (readonly [string, string])[] = [
    [
      "%zz",
      "no such format alias 'zz'. If you wanted to emit the '%' character verbatim, you need to " +
        "use '%%'",
    ],
    ["a%", "truncated line after 'a%'"],
    ["%{+Q ci", "truncated line after '+Q ci'"],
    ["%[src", "missing ']' after 'src'"],
    ["%[str(a\\)b)]", "expected ']' after 'str(a\\)', but found 'b'"],
    ["%HM", "format alias 'HM' is reserved for HTTP mode"],
    ["%[src,foo]", "failed to parse sample expression <src,foo]> : unknown converter 'foo'"],
    ["%{+json}o", "encoding 'json' of log formats is not available in this release"],
  ];
  for (const [format, message] of table) {
    test(format, () => expect(print(format)).toBe(`! ${message}`));
  }
  test("a name made at run time keeps blanks and has no dash", () => {
    const parsed = parseLogFormat("a  %[env(NOPE)]b", "name");
    if (!parsed.ok) throw new Error(parsed.message);
    expect(compileLogFormat(parsed.value)(fakeContext())).toBe("a  b");
  });
});
