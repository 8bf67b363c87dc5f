/**
 * Numbers of proxies, listeners and servers. Recorded from HAProxy 2.6 with `show stat` (columns
 * iid and sid) over its master socket, so that no `stats socket` took part where none is written.
 */
import { describe, expect, test } from "bun:test";

import { loadText, planOf, proxyOf, TIMEOUTS } from "./load-text.ts";

const FRONT = "frontend f\n bind :1\n";

const CASES: readonly [string, string, Record<string, number>][] = [
  ["from 1 on", `${FRONT}backend a\nbackend b\n`, { f: 1, a: 2, b: 3 }],
  ["after a runtime socket", `global\n stats socket /s\n${FRONT}backend a\n`, { f: 2, a: 3 }],
  ["after its timeout alone", `global\n stats timeout 9s\n${FRONT}backend a\n`, { f: 2, a: 3 }],
  ["after its maxconn alone", `global\n stats maxconn 9\n${FRONT}backend a\n`, { f: 2, a: 3 }],
  [
    "two lines about the socket take one number",
    `global\n stats timeout 9s\n stats maxconn 4\n${FRONT}`,
    { f: 2 },
  ],
  [
    "the socket takes its number where it is first spoken of",
    `${FRONT}global\n stats timeout 9s\nbackend a\nbackend b\n`,
    { f: 1, a: 3, b: 4 },
  ],
  [
    "explicit ones move the count on",
    `${FRONT}backend d\n disabled\nbackend a\n id 9\nbackend b\nbackend c\n id 5\nbackend e\n` +
      "backend g\n id 8\nbackend h\nbackend i\n",
    { f: 1, d: 2, a: 9, b: 4, c: 5, e: 6, g: 8, h: 10, i: 11 },
  ],
  [
    "low explicit ones",
    `${FRONT}backend a\n id 1\nbackend b\n id 2\nbackend c\n`,
    { f: 3, a: 1, b: 2, c: 6 },
  ],
  [
    "low explicit ones after a runtime socket",
    `global\n stats timeout 3s\n${FRONT}backend a\n id 1\nbackend b\n id 2\nbackend c\n`,
    { f: 3, a: 1, b: 2, c: 6 },
  ],
  // HAProxy's reg-tests/proxy/proxy_id.vtc, of which the runner adds a runtime socket.
  [
    "proxy_id.vtc, first part",
    "global\n stats socket /s\nlisten a\n bind :1\nlisten b\n bind :2\n",
    { a: 2, b: 3 },
  ],
  [
    "proxy_id.vtc, second part",
    "global\n stats socket /s\nlisten a\n bind :1\nlisten b\n id 1\n bind :2\n" +
      "listen c\n id 2\n bind :3\n",
    { a: 3, b: 1, c: 2 },
  ],
];

describe("proxies", () => {
  for (const [name, text, ids] of CASES) {
    test(name, async () => {
      const [global, rest] = text.startsWith("global")
        ? [text.slice(0, text.search(/^(?:frontend|listen)/m)), text]
        : ["", text];
      const plan = planOf(await loadText(global + TIMEOUTS + rest.slice(global.length)));
      const found = plan.proxies.map((proxy) => [proxy.name, proxy.id]);
      expect(Object.fromEntries(found)).toEqual(ids);
    });
  }
});

test("listeners and servers", async () => {
  const text =
    "frontend f\n bind :1\n bind :2 id 9\n bind :3\n" +
    "backend b\n server a 127.0.0.1:1\n server b 127.0.0.1:1 id 9\n server c 127.0.0.1:1\n" +
    " server d 127.0.0.1:1 id 5\n server e 127.0.0.1:1\n";
  const plan = planOf(await loadText(TIMEOUTS + text));
  expect(proxyOf(plan, "f").binds.map(({ id }) => id)).toEqual([1, 9, 3]);
  expect(proxyOf(plan, "b").servers.map(({ id }) => id)).toEqual([1, 9, 3, 5, 6]);
});
