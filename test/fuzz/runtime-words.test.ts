/**
 * Words of the runtime API that make objects, mangled: every answer is a spec that survives a
 * structured clone or one sentence; nothing throws. `SLUICE_FUZZ_SEED` repeats a run.
 */
import { expect, test } from "bun:test";

import type { Made, RuntimeConfig } from "../../src/config/runtime.ts";
import { loadText } from "../unit/config/load-text.ts";
import { below, mutateText, pick, seededRandom } from "./mutate.ts";
import type { Random } from "./mutate.ts";

const seed = Number(process.env["SLUICE_FUZZ_SEED"] ?? 1);
const ROUNDS = 40_000;
const ALPHABET = "\"'\\ \t\n\r#${}[]*-.,:;/@%()!|&<>=0159aAzZ\0\x7fé";

const FILE =
  "defaults d\n mode tcp\n timeout client 1s\n timeout connect 1s\n timeout server 1s\n" +
  " default-server inter 1s\nbackend b from d\n default-server name n weight 5\n" +
  " server s1 127.0.0.1:80 check\nhealthcheck h\n type redis-check\n";

const SERVERS = [
  "127.0.0.1:80 check inter 1s rise 2 fall 3 weight 10 maxconn 5 minconn 2",
  "[::1]:8080 from be:b source 10.0.0.1:1000-2000 interface lo send-proxy-v2 proxy-v2-options crc32c",
  "unix@/run/x from srv:b/s1 backup disabled on-error mark-down error-limit 5",
  "host.test:+5 id 7 guid g:1 track a/b on-marked-down shutdown-sessions init-state down",
  "127.0.0.1:1 check check-ssl verify none check-sni a.test check-alpn h2 agent-check agent-port 9",
  "[::1]:1 agent-addr ::2 agent-inter 1s agent-send x observe layer4 slowstart 5s healthcheck h",
  "127.0.0.1:1 from srv:n addr 127.0.0.2:5 port 80 tcp-ut 5s tfo slowstart 5s cookie x ssl",
];
const PROXIES = ["mode tcp guid a:b", "guid x maxconn 100 default_backend b", "mode http"];
const BINDS = [
  "127.0.0.1:80-90,[::1]:80 name x id 5 accept-proxy maxconn 10 backlog 5",
  "/run/x mode 600 user haproxy tcp-ut 5s defer-accept",
  ":443 ssl crt x interface lo v4v6 guid-prefix g nice 5",
];
const NAMES = ["b", "s1", "new", "a b", "", "d", "\0", "x".repeat(300)];

/** Words of a mangled line; sometimes one of them is very long. */
function wordsOf(random: Random, seeds: readonly string[]): string[] {
  const words = mutateText(random, seeds, ALPHABET).split(" ");
  if (below(random, 50) === 0) words.push("9".repeat(below(random, 20_000)));
  return words;
}

function make(random: Random, runtime: RuntimeConfig): Made<unknown> {
  const name = pick(random, NAMES);
  switch (below(random, 5)) {
    case 0:
      return runtime.makeBackend(name, pick(random, ["d", "", "x"]), wordsOf(random, PROXIES));
    case 1:
      return runtime.makeFrontend(name, "d", wordsOf(random, PROXIES));
    case 2:
      return runtime.makeBinds(name, wordsOf(random, BINDS));
    default:
      return runtime.makeServer(pick(random, NAMES), name, wordsOf(random, SERVERS));
  }
}

test(`mangled words, seed ${seed}`, async () => {
  const { runtime } = await loadText(FILE);
  if (runtime === null) throw new Error("the configuration does not load");
  const random = seededRandom(seed);
  let made = 0;
  for (let round = 0; round < ROUNDS; round++) {
    try {
      const result = make(random, runtime);
      if (result.ok) {
        made++;
        if (round % 10 === 0) expect(structuredClone(result.spec)).toEqual(result.spec);
      } else {
        expect(result.message.length).toBeGreaterThan(10);
        expect(result.message).not.toMatch(/undefined|\[object|\bat .*\.ts:\d+/u);
      }
    } catch (error) {
      throw new Error(`seed ${seed}, round ${round}`, { cause: error });
    }
  }
  expect(made).toBeGreaterThan(ROUNDS / 50);
});
