/** Messages, privileges, addresses of runtime sockets, texts. */
import { describe, expect, test } from "bun:test";

import { parseSocketAddress } from "../../../../src/api/ctl/socket-address.ts";
import { errorText, SluiceError } from "../../../../src/base/errors.ts";
import { FLAGS } from "../../../../src/config/flags.ts";
import { sharedLibraries } from "../../../../src/control/process/dumps.ts";
import { formatLine, Output } from "../../../../src/control/process/output.ts";
import { dropPrivileges } from "../../../../src/control/process/privileges.ts";
import { helpText, longVersionText, versionText } from "../../../../src/control/process/texts.ts";
import type { GlobalSpec } from "../../../../src/tables/spec.ts";

describe("messages", () => {
  test("tags are as wide as HAProxy's", () => {
    expect(formatLine("notice", 12, "a")).toBe("[NOTICE]   (12) : a");
    expect(formatLine("warning", 12, "a")).toBe("[WARNING]  (12) : a");
    expect(formatLine("alert", 12, "a\nb\n")).toBe("[ALERT]    (12) : a\n   | b");
  });

  test("quiet, level and terminal decide what is written", () => {
    const written: string[] = [];
    const output = new Output(1, (fd, text) => void written.push(`${fd}${text}`));
    output.level = "warning";
    output.say("notice", "left out");
    output.say("alert", "told");
    output.isQuiet = true;
    output.say("alert", "left out");
    output.dump(["asked for"]);
    output.isQuiet = false;
    output.isAttached = false;
    output.print("left out");
    expect(written).toEqual(["2[ALERT]    (1) : told\n", "1asked for\n"]);
  });
});

describe("privileges", () => {
  function drop(
    global: Partial<GlobalSpec>,
    failing = "",
  ): { calls: string[]; warnings: string[] } {
    const calls: string[] = [];
    const call = (name: string, value: unknown): void => {
      if (name === failing) throw new Error("EPERM");
      calls.push(`${name} ${String(value)}`);
    };
    const warnings = dropPrivileges(global as GlobalSpec, {
      chroot: (path) => call("chroot", path),
      chdir: (path) => call("chdir", path),
      setgroups: (groups) => call("setgroups", groups.length),
      setgid: (gid) => call("setgid", gid),
      setuid: (uid) => call("setuid", uid),
      isRoot: () => true,
    });
    return { calls, warnings };
  }

  test("order: root folder, groups, group, user", () => {
    const { calls } = drop({ chroot: "/jail", uid: 5, gid: 6 });
    expect(calls).toEqual(["chroot /jail", "chdir /", "setgroups 0", "setgid 6", "setuid 5"]);
  });

  test("nothing asked, nothing done", () => expect(drop({ uid: 0 }).calls).toEqual([]));

  test("a refusal ends the start, except for the groups", () => {
    expect(() => drop({ chroot: "/jail" }, "chroot")).toThrow(
      new SluiceError("SLC_CHROOT", { path: "/jail" }),
    );
    expect(() => drop({ chroot: "/jail" }, "chroot")).toThrow("Cannot chroot(/jail).");
    expect(() => drop({ uid: 5 }, "setuid")).toThrow(new SluiceError("SLC_SET_USER", { uid: 5 }));
    expect(() => drop({ gid: 6 }, "setgid")).toThrow(new SluiceError("SLC_SET_GROUP", { gid: 6 }));
    const { warnings } = drop({ gid: 6 }, "setgroups");
    expect(warnings).toEqual([errorText("SLC_GROUPS_KEPT", {})]);
  });
});

describe("addresses of runtime sockets", () => {
  const CASES: [string, ReturnType<typeof parseSocketAddress>][] = [
    ["/run/s", { unix: "/run/s" }],
    ["unix@/run/s", { unix: "/run/s" }],
    ["s.sock", { unix: "s.sock" }],
    ["abns@name", { abstract: "name" }],
    ["127.0.0.1:99", { hostname: "127.0.0.1", port: 99 }],
    ["ipv4@:99", { hostname: "127.0.0.1", port: 99 }],
    ["[::1]:99", { hostname: "::1", port: 99 }],
    ["", undefined],
    ["ipv4@nothing", undefined],
  ];
  for (const [text, expected] of CASES) {
    test(text, () => expect(parseSocketAddress(text)).toEqual(expected));
  }
});

describe("texts", () => {
  const facts = {
    bunVersion: "1",
    system: "Linux",
    nativeReason: "",
    quicReason: "",
    quicLibraries: "ngtcp2 1, OpenSSL 3",
    usableCpus: 2,
    workersMax: 128,
    bufsize: 16_384,
  };

  test("-v and -vv answer what HAProxy's tools look for", () => {
    expect(versionText()).toMatch(
      /^HAProxy version 3\.5-dev\d+ \d{4}\/\d\d\/\d\d - https:\/\/\S+\n/,
    );
    expect(longVersionText(facts)).toMatch(/\n {2}TARGET {2}= linux-glibc\n/);
    expect(longVersionText(facts)).toContain("native sockets");
    expect(longVersionText({ ...facts, nativeReason: "no compiler" })).toContain("no compiler");
    expect(longVersionText(facts)).toMatch(/QUIC .*: active, ngtcp2 1, OpenSSL 3\n/);
    expect(longVersionText({ ...facts, quicReason: "no headers" })).toContain("no headers");
  });

  test("--help names every flag and keeps to 100 columns", () => {
    const text = helpText(FLAGS);
    for (const { name } of FLAGS) expect(text).toContain(name);
    for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(100);
  });
});

test("-dL: each mapped program file once", () => {
  const maps =
    "1-2 r--p 0 0:0 1 /lib/a.so\n2-3 r-xp 0 0:0 1 /lib/a.so\n4-5 r-xp 0 0:0 1 /lib/a.so\n" +
    "6-7 r-xp 0 0:0 0 [vdso]\n";
  expect(sharedLibraries(maps)).toEqual(["/lib/a.so"]);
});
