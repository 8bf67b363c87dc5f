/** The table of commands, and how words find one. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";

import { runtimeApiPage } from "../../../scripts/runtime-api-page.ts";
import { LEVELS } from "../../../src/api/command.ts";
import type { Asker } from "../../../src/api/command.ts";
import { allCommands } from "../../../src/api/commands/index.ts";
import { denial, findCommand, helpText, unknownText } from "../../../src/api/registry.ts";
import { adminAsker } from "../../support/rig-control.ts";

const CLOSING = [
  "  help [<command>]                        : list matching or all commands",
  "  prompt [help | n | i | p | timed ]*     : toggle interactive mode with prompt",
  "  quit                                    : disconnect",
].join("\n");

function asker(more: Partial<Asker> = {}): Asker {
  return { ...adminAsker(), ...more };
}

/** The commands of HAProxy's management manual 9.3 (3.5): first words, and what follows each. */
const HAPROXY_COMMANDS = `
  abort: ssl ca-file, ssl cert, ssl crl-file
  acme: renew, status
  add: acl, backend, map, server, ssl ca-file, ssl crt-list, ssl ech, ssl jwt
  clear: acl, counters, counters all, counters server, map, table
  commit: acl, map, ssl ca-file, ssl cert, ssl crl-file
  debug: counters, dev
  del: acl, backend, map, server, ssl ca-file, ssl cert, ssl crl-file, ssl crt-list, ssl
    ech, ssl jwt
  disable: agent, dynamic-cookie backend, frontend, health, server
  dump: ssl cert, stats-file
  echo: -
  enable: agent, dynamic-cookie backend, frontend, health, server
  experimental-mode: -
  expert-mode: -
  get: acl, map, var, weight
  help: -
  httpclient: -
  new: ssl ca-file, ssl cert, ssl crl-file
  operator: -
  prepare: acl, map
  prompt: -
  publish: backend
  quit: -
  set: anon, anon global-key, dynamic-cookie-key backend, map, maxconn frontend, maxconn
    global, maxconn server, profiling memory, profiling tasks, rate-limit connections
    global, rate-limit http-compression global, rate-limit sessions global, rate-limit ssl-
    sessions global, server, severity-output, ssl ca-file, ssl cert, ssl crl-file, ssl ech,
    ssl ocsp-response, ssl tls-key, table, timeout cli, var, weight
  show: acl, activity, anon, backend, cache, cli level, cli sockets, default-server,
    defaults, dev, env, errors, events, fd, info, libs, map, peers, pools, profiling, quic,
    resolvers, schema json, servers conn, servers state, sess, ssl ca-file, ssl cert, ssl
    crl-file, ssl crt-list, ssl ech, ssl jwt, ssl ocsp-response, ssl ocsp-updates, ssl
    providers, ssl sni, startup-logs, stat, table, tasks, threads, tls-keys, trace, version
  shutdown: frontend, session, sessions server
  trace: -
  unpublish: backend
  update: ssl ocsp-response
  user: -
  wait: -
`;

/** Names of the commands in a list. */
function listed(text: string): string[] {
  return text
    .split("\n")
    .slice(1, -3)
    .map((line) =>
      line
        .slice(2)
        .split(/ ?[:<[{]/)[0]!
        .trim(),
    );
}

describe("the table", () => {
  const commands = allCommands();

  test("no name stands twice", () => {
    const names = commands.map(({ name }) => name);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  test("names, levels and summaries are in order", () => {
    for (const { name, usage, summary, level } of commands) {
      expect(name).toMatch(/^[a-z][a-z-]*(?: [a-z][a-z-]*)*$/);
      expect(`${usage}${summary}`).not.toContain("\n");
      expect(summary).toMatch(/^\S.*[^.]$/);
      expect(LEVELS).toContain(level);
    }
  });

  test("each finds itself, with what follows as its arguments", () => {
    for (const command of commands) {
      const words = command.name.split(" ");
      expect(findCommand(words)).toEqual({ command, args: [] });
      const found = findCommand([...words, "<arg>", "x"]);
      expect(found).toEqual({ command, args: ["<arg>", "x"] });
    }
  });
});

test("every command of HAProxy is here, or says why not", () => {
  const lines = HAPROXY_COMMANDS.trim().split(/\n {2}(?! )/);
  const names = lines.flatMap((line) => {
    const [first = "", rest = ""] = line.replace(/\s+/g, " ").split(": ");
    return rest.split(", ").map((more) => (more === "-" ? first : `${first} ${more}`));
  });
  expect(names.length).toBeGreaterThan(120);
  expect(names.filter((name) => findCommand(name.split(" ")) === undefined)).toEqual([]);
});

test("docs/runtime-api.md is what scripts/generate-docs.ts makes of the table", async () => {
  const path = join(import.meta.dir, "../../../docs/runtime-api.md");
  expect(await Bun.file(path).text()).toBe(runtimeApiPage());
});

describe("finding", () => {
  test("the longest name wins", () => {
    expect(findCommand(["set", "anon", "on", "7"])?.command.name).toBe("set anon on");
    expect(findCommand(["set", "anon", "no"])?.command.name).toBe("set anon");
  });

  test("words are exact", () => {
    for (const words of [["sho", "version"], ["SHOW", "version"], ["show"], ["show version"], []]) {
      expect(findCommand(words)).toBeUndefined();
    }
    expect(findCommand(["show", "cli level"])).toBeUndefined();
  });
});

test("levels and modes", () => {
  const find = (name: string) => findCommand(name.split(" "))!.command;
  expect(denial(asker({ level: "user" }), find("show version"))).toBeUndefined();
  expect(denial(asker({ level: "user" }), find("show env"))).toBe("Permission denied");
  expect(denial(asker({ level: "operator" }), find("show env"))).toBeUndefined();
  expect(denial(asker({ level: "operator" }), find("expert-mode"))).toBe("Permission denied");
  const trial = { ...find("show version"), mode: "expert" } as const;
  expect(denial(asker(), trial)).toBe("This command is restricted to expert mode only.");
  expect(denial(asker({ isExpert: true }), trial)).toBeUndefined();
  expect(denial(asker(), { ...trial, mode: "experimental" })).toBe(
    "This command is restricted to experimental mode only.",
  );
});

describe("help", () => {
  test("lists what the level may do, sorted, as HAProxy lays it out", () => {
    const text = helpText(asker(), []);
    expect(text).toStartWith("The following commands are valid at this level:\n  ");
    expect(text).toEndWith(CLOSING);
    expect(text).toContain(
      "  show cli level                          : display the level of the current CLI session\n",
    );
    const lines = text.split("\n").slice(1, -3);
    expect(lines).toEqual(lines.toSorted());
    const user = listed(helpText(asker({ level: "user" }), []));
    expect(user).toContain("show version");
    expect(user).not.toContain("show env");
    expect(user).not.toContain("expert-mode");
  });

  test("of a prefix, and of what is near", () => {
    expect(listed(helpText(asker(), ["show", "cli"]))).toEqual([
      "show cli level",
      "show cli sockets",
    ]);
    expect(listed(helpText(asker(), ["show", "cli", "level"]))).toEqual(["show cli level"]);
    expect(listed(helpText(asker(), ["shwo"]))).toContain("show version");
  });
});

describe("what is unknown", () => {
  test("is named, with what it may have been", () => {
    const text = unknownText(asker(), ["show", "verison"]);
    expect(text).toStartWith(
      "Unknown command: 'show', but maybe one of the following ones is a better match:\n",
    );
    expect(text).toEndWith(CLOSING);
    expect(listed(text)).toContain("show version");
    expect(listed(text).length).toBeLessThanOrEqual(5);
  });

  test("a command's name is listed with all that begin with its words", () => {
    const names = listed(unknownText(asker(), ["show"]));
    expect(names).toContain("show env");
    expect(names.every((name) => name.startsWith("show"))).toBe(true);
  });

  test("nothing at all", () => {
    expect(unknownText(asker(), [""])).toStartWith(
      "Unknown command: ''. Please enter one of the following commands only:\n",
    );
  });

  test("endless words cost nothing", () => {
    expect(unknownText(asker(), ["x".repeat(16_000), "y".repeat(16_000)])).toEndWith(CLOSING);
  });
});
