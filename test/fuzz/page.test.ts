/**
 * Requests to pages, mangled. Parsers never throw; a page without login tells a stranger nothing
 * and a mangled form changes nothing that it does not name; and the server, given mangled bytes
 * over a real connection, goes on answering the next visitor. `SLUICE_FUZZ_SEED` repeats a run.
 */
import { expect, test } from "bun:test";

import { systemClock } from "../../src/base/clock.ts";
import { parseForm } from "../../src/page/actions.ts";
import { shortAnswer } from "../../src/page/answer.ts";
import type { PageDesk } from "../../src/page/desk.ts";
import { Gate, Visitors } from "../../src/page/gate.ts";
import { startPageServer } from "../../src/page/http.ts";
import { Accounts } from "../../src/page/login.ts";
import { parseMetricsQuery } from "../../src/page/metrics/query.ts";
import { parsePageOptions, writePageOptions } from "../../src/page/options.ts";
import { targetOf } from "../../src/page/request.ts";
import { answerRequest, makePage } from "../../src/page/route.ts";
import type { RuleWorld } from "../../src/page/rules.ts";
import { Tokens } from "../../src/page/token.ts";
import type { PageSpec } from "../../src/tables/spec.ts";
import { freePort } from "../support/ports.ts";
import { within } from "../support/procs.ts";
import { mutateBytes, mutateText, seededRandom } from "./mutate.ts";

const ROUNDS = 20_000;
const WIRE_ROUNDS = 300;
const seed = Number(process.env["SLUICE_FUZZ_SEED"] ?? 1);

const TARGETS = [
  "/stats;csv;norefresh",
  "/stats?;live;since=ab12.7;open=3,4;fresh=5;find=web;show=up",
  "/stats;why=be%2Fs1;scope=be",
  "http://host:80/stats;json;up;no-maint",
  "/metrics?scope=server&scope=*&metrics=-haproxy_server_weight&no-maint",
];
const FORMS = ["s=s1&s=s2&action=maint&b=%233&t=abc", "action=ready&b=be&s=s%20x+y", "s=&&=&b"];
const LOGINS = [`Basic ${btoa("admin:secret")}`, `basic  ${btoa("admin:")}`, "Bearer x"];

test(`mangled requests, seed ${seed}`, () => {
  const random = seededRandom(seed);
  const accounts = new Accounts([{ name: "admin", password: "secret" }]);
  const tokens = new Tokens(systemClock);
  const use = { section: "s", user: "admin", host: "h" };
  for (let round = 0; round < ROUNDS; round++) {
    const target = mutateText(random, TARGETS, ";?&=,./%#<>'\"\\ \u0000é0");
    const body = mutateText(random, FORMS, "&=%+#<>'\"; \u0000é");
    const login = mutateText(random, LOGINS, "=+/: \u0000é");
    try {
      const options = parsePageOptions(targetOf(target).replace(/^\/stats/, ""));
      expect(options.open.every(Number.isSafeInteger)).toBe(true);
      expect(/^[A-Za-z0-9_.:-]{0,20}$/.test(options.scope)).toBe(true);
      const written = parsePageOptions(writePageOptions(options));
      expect([written.scope, written.upOnly, written.noMaint]).toEqual([
        options.scope,
        options.upOnly,
        options.noMaint,
      ]);
      parseMetricsQuery(target)?.wants("x");
      const form = parseForm(body);
      expect(new Set(form.servers).size).toBe(form.servers.length);
      expect(tokens.check(form.token, use)).toBe(false);
      if (accounts.find(login) !== undefined) {
        const given = Buffer.from(login.replace(/^basic +/i, ""), "base64");
        expect(given.toString()).toBe("admin:secret");
      }
    } catch (error) {
      throw new Error(`seed ${seed}: ${JSON.stringify([target, body, login])}`, { cause: error });
    }
  }
});

const SECRET = "what-only-the-page-tells";
const spec: PageSpec = {
  name: "page",
  id: 2,
  disabled: false,
  binds: [],
  maxconn: 0,
  backlog: 0,
  logs: [],
  origin: { file: "t", line: 1 },
  section: "listen",
  timeouts: { client: -1, httpRequest: -1, httpKeepAlive: -1 },
  dontlognull: false,
  monitorUri: "/alive",
  monitorFail: [],
  rules: [],
  stats: {
    uri: "/stats",
    realm: "r",
    users: [{ name: "admin", password: "secret" }],
    refreshSeconds: 0,
    scopes: [],
    showVersion: false,
    showLegends: false,
    rules: [],
    admin: [{ negate: true, anyOf: [], text: "TRUE" }],
  },
};

const WIRE = [
  "GET /stats HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /stats;csv HTTP/1.0\r\n\r\n",
  `POST /stats HTTP/1.1\r\nHost: a\r\nAuthorization: ${LOGINS[1]}\r\nContent-Length: 22\r\n\r\ns=s1&action=maint&b=be`,
  "POST /stats HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ns=s1&\r\n0\r\n\r\n",
  "HEAD http://x/stats?;json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
  "OPTIONS * HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nUpgrade: websocket\r\n\r\n",
].map((text) => new TextEncoder().encode(text));

test(`mangled bytes on a connection, seed ${seed}`, async () => {
  const random = seededRandom(seed + 1);
  const changed: string[] = [];
  const faults: string[] = [];
  const desk: PageDesk = {
    tokens: new Tokens(systemClock),
    actor: {
      findBackend: () => "be",
      hasServer: () => true,
      act: (...words) => Promise.resolve(void changed.push(words.join(" "))),
    },
    show: () => new Response(SECRET),
    metrics: (request) => shortAnswer(request, 200),
    noteAction: () => undefined,
    close: () => undefined,
  };
  const world = { clock: systemClock, environment: new Map() } as unknown as RuleWorld;
  const page = makePage(spec);
  const visitors = new Visitors();
  const server = startPageServer(
    visitors,
    (_, request) => answerRequest(page, request, world, desk),
    (text) => faults.push(text),
  );
  const port = freePort();
  const gate = new Gate({
    bind: { family: "ipv4", host: "127.0.0.1", port },
    owner: page,
    visitors,
    limits: { connections: 50, idleMs: 5000, keepAliveMs: 5000, requestMs: 5000 },
    clock: systemClock,
    innerPort: () => server.port,
  });
  gate.open({ hostname: "127.0.0.1", port, ipv6Only: false, reusePort: false });
  try {
    for (let round = 0; round < WIRE_ROUNDS; round++) {
      const bytes = mutateBytes(random, WIRE);
      const answer = await send(port, bytes);
      if (answer.includes(SECRET)) throw new Error(`seed ${seed}: told ${Buffer.from(bytes)}`);
    }
    const alive = await within("the monitor", fetch(`http://127.0.0.1:${port}/alive`));
    expect(alive.status).toBe(200);
    expect(changed).toEqual([]);
    expect(faults).toEqual([]);
  } finally {
    gate.stop();
    server.stop();
  }
  expect(visitors.size).toBe(0);
});

/** Sends bytes and closes this side; all that comes until the other side closes too. */
async function send(port: number, bytes: Uint8Array): Promise<string> {
  let text = "";
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    allowHalfOpen: true,
    socket: {
      data: (_, chunk) => void (text += chunk.toString("latin1")),
      end: () => resolve(),
      close: () => resolve(),
      error: () => resolve(),
    },
  });
  socket.write(bytes);
  // Half of them wait for an answer, the others leave at once.
  await Promise.race([promise, Bun.sleep(bytes.length % 2 === 0 ? 15 : 0)]);
  socket.terminate();
  return text;
}
