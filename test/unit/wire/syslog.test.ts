import { describe, expect, test } from "bun:test";

import {
  encodeSyslog,
  formatBsdDate,
  formatIsoDate,
  frameSyslog,
  type SyslogFormat,
  truncateMessage,
} from "../../../src/wire/syslog.ts";

process.env["TZ"] = "UTC";

const MICROS = 1_795_256_080_276_632;
const TEXT = "127.0.0.1:41178 [x] f b/srv1";

describe("shapes, as HAProxy sends them", () => {
  // [format, message, message with log-send-hostname]
  const table: readonly (readonly [SyslogFormat, string, string])[] = [
    [
      "default",
      `<158>Nov 21 10:14:40 haproxy[18492]: ${TEXT}`,
      `<158>Nov 21 10:14:40 myhost haproxy[18492]: ${TEXT}`,
    ],
    ["local", `<158>Nov 21 10:14:40 haproxy[18492]: ${TEXT}`, ""],
    [
      "rfc3164",
      `<158>Nov 21 10:14:40 localhost haproxy[18492]: ${TEXT}`,
      `<158>Nov 21 10:14:40 myhost haproxy[18492]: ${TEXT}`,
    ],
    [
      "rfc5424",
      `<158>1 2026-11-21T10:14:40.276632+00:00 - haproxy 18492 - - ${TEXT}`,
      `<158>1 2026-11-21T10:14:40.276632+00:00 myhost haproxy 18492 - - ${TEXT}`,
    ],
    ["priority", `<158>${TEXT}`, ""],
    ["short", `<6>${TEXT}`, ""],
    ["timed", `<6>2026-11-21T10:14:40.276632+00:00 ${TEXT}`, ""],
    ["iso", `2026-11-21T10:14:40.276632+00:00 ${TEXT}`, ""],
    ["raw", TEXT, ""],
  ];
  for (const [format, plain, named] of table) {
    test(format, () => {
      const encode = (hostname: string): string =>
        encodeSyslog(format, 19, 6, MICROS, { tag: "haproxy", pid: 18_492, hostname }, TEXT);
      expect(encode("")).toBe(plain);
      expect(encode("myhost")).toBe(named === "" ? plain : named);
    });
  }
});

test("dates", () => {
  expect(formatBsdDate(1_793_491_201_000_000)).toBe("Nov  1 00:00:01");
  expect(formatIsoDate(1_793_491_201_000_007)).toBe("2026-11-01T00:00:01.000007+00:00");
});

test("framing of streams", () => {
  expect(frameSyslog("newline", "héllo")).toBe("héllo\n");
  expect(frameSyslog("octet-count", "héllo")).toBe("6 héllo");
});

test("truncation counts bytes and keeps characters whole", () => {
  expect(truncateMessage("abcdef", 6)).toBe("abcdef");
  expect(truncateMessage("abcdef", 3)).toBe("abc");
  expect(truncateMessage("aéé", 4)).toBe("aé");
  expect(truncateMessage("a€", 3)).toBe("a");
  expect(truncateMessage("😀", 3)).toBe("");
});
