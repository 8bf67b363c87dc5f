/** Every command of HAProxy's management manual 9.3 exists: done, or absent by name. */
import { describe, expect, test } from "bun:test";

import type { Call } from "../../../../src/api/command.ts";
import { ABSENT_COMMANDS } from "../../../../src/api/commands/absent.ts";
import { allCommands } from "../../../../src/api/commands/index.ts";
import { findCommand } from "../../../../src/api/registry.ts";
import { Refusal } from "../../../../src/base/refusals.ts";

/** The headings of section 9.3 without their arguments. */
const MANUAL: Record<string, string> = {
  abort: "ssl ca-file, ssl cert, ssl crl-file",
  acme: "renew, status",
  add: "acl, backend, map, server, server help, ssl ca-file, ssl crt-list, ssl ech, ssl jwt",
  clear: "counters, counters all, counters server, acl, map, table",
  commit: "acl, map, ssl ca-file, ssl cert, ssl crl-file",
  debug: "counters, dev",
  del: "acl, backend, map, ssl ca-file, ssl cert, ssl crl-file, ssl crt-list, ssl ech, ssl jwt, server",
  disable: "agent, dynamic-cookie backend, frontend, health, server",
  dump: "ssl cert, stats-file",
  echo: "",
  enable: "agent, dynamic-cookie backend, frontend, health, server",
  "experimental-mode": "",
  "expert-mode": "",
  get: "map, acl, var, weight",
  help: "",
  httpclient: "",
  new: "ssl ca-file, ssl cert, ssl crl-file",
  operator: "",
  prepare: "acl, map",
  prompt: "",
  publish: "backend",
  quit: "",
  set:
    "anon, anon global-key, dynamic-cookie-key backend, map, maxconn frontend, maxconn server, " +
    "maxconn global, profiling memory, profiling tasks, rate-limit connections global, " +
    "rate-limit http-compression global, rate-limit sessions global, " +
    "rate-limit ssl-sessions global, server, severity-output, ssl ca-file, ssl cert, " +
    "ssl crl-file, ssl ech, ssl ocsp-response, ssl tls-key, table, timeout cli, var, weight",
  show:
    "acl, activity, anon, backend, cache, cli level, cli sockets, default-server, defaults, dev, " +
    "env, errors, events, fd, info, libs, map, peers, pools, profiling, quic, resolvers, " +
    "schema json, servers conn, servers state, sess, ssl ca-file, ssl cert, ssl crl-file, " +
    "ssl crt-list, ssl ech, ssl jwt, ssl ocsp-response, ssl ocsp-updates, ssl providers, " +
    "ssl sni, startup-logs, stat, table, tasks, threads, tls-keys, trace, version",
  shutdown: "frontend, session, sessions server",
  trace: "",
  unpublish: "backend",
  update: "ssl ocsp-response",
  user: "",
  wait: "",
};

const manualNames = Object.entries(MANUAL).flatMap(([verb, rest]) =>
  rest.split(", ").map((noun) => `${verb} ${noun}`.trim()),
);

describe("the registry", () => {
  for (const name of manualNames) {
    test(`knows '${name}'`, () => {
      const found = findCommand(name.split(" "));
      expect(found).toBeDefined();
      // What is left over are arguments: `add server help`, `set rate-limit sessions global`.
      expect(name.startsWith(found!.command.name)).toBe(true);
    });
  }

  test("has no name twice", () => {
    const names = allCommands().map(({ name }) => name);
    expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([]);
  });
});

describe("what is absent", () => {
  for (const command of ABSENT_COMMANDS) {
    test(`'${command.name}' says so by name`, () => {
      expect(manualNames).toContain(command.name);
      const run = "run" in command ? () => command.run({} as Call) : () => undefined;
      expect(run).toThrow(Refusal);
      expect(run).toThrow(`'${command.name}' `);
    });
  }
});
