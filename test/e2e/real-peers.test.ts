/** Real software through sluice: Redis with its pipelines and subscriptions, curl and nginx. */
import { expect, test } from "bun:test";

import { RedisClient } from "bun";

import { startHttpServer } from "../../bench/loads.ts";
import { findSluice } from "../support/haproxy.ts";
import { freePort, isListening } from "../support/ports.ts";
import { runProcess, startProcess, temporaryFolder, until } from "../support/procs.ts";
import { listenOver, startSluice } from "./sluice.ts";

/** A test that needs these programs; skipped by name without them. */
function withPrograms(programs: readonly string[]) {
  const missing = programs.filter((name) => Bun.which(name) === null);
  return {
    name: (text: string) => (missing.length > 0 ? `${text} (without ${missing.join(", ")})` : text),
    test: test.skipIf(findSluice() === undefined || missing.length > 0),
  };
}

const redis = withPrograms(["redis-server"]);

redis.test(
  redis.name("Redis: large values, a thousand commands at once, a subscription"),
  async () => {
    using folder = temporaryFolder();
    const port = freePort();
    const options = [
      "--port",
      String(port),
      "--bind",
      "127.0.0.1",
      "--save",
      "",
      "--appendonly",
      "no",
    ];
    await using server = startProcess(["redis-server", ...options, "--dir", folder.path]);
    await until("redis to listen", () => isListening(port));
    await using sluice = await startSluice(listenOver([`${port} check`]), { workers: 2 });

    const client = new RedisClient(`redis://127.0.0.1:${sluice.port}`);
    const value = "v".repeat(3_000_000);
    await client.set("large", value);
    expect((await client.get("large")) === value).toBe(true);
    const numbers = Array.from({ length: 1_000 }, () => client.incr("counter"));
    expect((await Promise.all(numbers)).at(-1)).toBe(1_000);

    const subscriber = new RedisClient(`redis://127.0.0.1:${sluice.port}`);
    const heard: string[] = [];
    await subscriber.subscribe("news", (message: string) => void heard.push(message));
    await client.publish("news", "hello");
    await until("the message", () => heard.length === 1);
    subscriber.close();
    client.close();
    expect(server.hasExited()).toBe(false);
  },
);

const curl = withPrograms(["curl", "nginx"]);

curl.test(curl.name("curl and nginx: requests over one connection"), async () => {
  await using server = await startHttpServer();
  await using sluice = await startSluice(listenOver([server.port]), { workers: 2 });
  const url = `http://127.0.0.1:${sluice.port}/`;
  const { code, output } = await runProcess(["curl", "-sS", "--fail", url, url, url]);
  expect([code, output]).toEqual([0, "hellohellohello"]);
});
