/** Mails about servers: taken by a real mail server, lost by bad ones, and never waited for. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";

import { askApiPort } from "../support/api.ts";
import { findSluice } from "../support/haproxy.ts";
import { startMailServer } from "../support/mail-server.ts";
import { startNamed } from "../support/peers.ts";
import { freePort } from "../support/ports.ts";
import { runProcess, TEST_TIMEOUT_MS, until } from "../support/procs.ts";
import { findServerProgram, startPostfix } from "../support/real-servers.ts";
import type { RealServer } from "../support/real-servers.ts";
import { e2e, startSluice } from "./sluice.ts";

const LIMIT_MS = 4 * TEST_TIMEOUT_MS;

type Alerting = { mailers: readonly number[]; timeoutMs?: number; api: number; server: number };

/** A sluice that mails what becomes of one server, to all these ports. */
function startAlerting({ mailers, timeoutMs = 5000, api, server }: Alerting) {
  const lines = mailers.map((port, at) => `  mailer m${at + 1} 127.0.0.1:${port}`);
  return startSluice((port) => `listen fe\n  bind 127.0.0.1:${port}\n  server s 127.0.0.1:1`, {
    global: `  stats socket 127.0.0.1:${api} level admin
mailers ops
  timeout mail ${timeoutMs}ms
${lines.join("\n")}
backend b
  mode tcp
  timeout connect 5s
  timeout server 5s
  email-alert mailers ops
  email-alert from lb@lb.test
  email-alert to ops@mail.test
  email-alert level notice
  server s 127.0.0.1:${server} check inter 100ms rise 1 fall 1`,
  });
}

/** Files of mails that Postfix has taken into its queue. */
function queued(server: RealServer): string[] {
  return readdirSync(join(server.folder, "spool/incoming")).filter((name) =>
    /^[0-9A-F]+$/.test(name),
  );
}

const HAS_POSTFIX =
  findSluice() !== undefined &&
  findServerProgram("postfix") !== undefined &&
  findServerProgram("postcat") !== undefined &&
  process.getuid?.() === 0;

describe(HAS_POSTFIX ? "Postfix" : "Postfix (without postfix, root or the binary)", () => {
  test.skipIf(!HAS_POSTFIX)(
    "takes mails; frozen it gets none, and nothing waits for it; thawed it gets the next",
    async () => {
      await using postfix = await startPostfix();
      const incoming = join(postfix.folder, "spool/incoming");
      mkdirSync(incoming, { mode: 0o700 });
      await runProcess(["chown", "postfix", incoming]);
      const api = freePort();
      const server = startNamed("s");
      const alerting = { mailers: [postfix.port], timeoutMs: 5000, api, server: server.port };
      await using sluice = await startAlerting(alerting);
      server.kill();
      // A file is there from the envelope on; it is a mail when all of it has come.
      let output = "";
      await until("the mail to be queued", async () => {
        const [name] = queued(postfix);
        if (name === undefined) return false;
        const file = join(incoming, name);
        ({ output } = await runProcess(["postcat", "-c", join(postfix.folder, "etc"), file]));
        return /\*\*\* MESSAGE FILE END/.test(output);
      });
      expect(output).toContain("sender: lb@lb.test");
      expect(output).toContain("recipient: ops@mail.test");
      expect(output).toMatch(/^Subject: \[HAProxy Alert\] Server b\/s is DOWN, reason: Layer4/m);
      expect(output).toMatch(/^Date: \w{3}, \d{2} \w{3} \d{4} [\d:]{8} [+-]\d{4}/m);

      postfix.freeze();
      await using again = startNamed("s", alerting.server);
      const lost = /Mailer ops\/m1 was not given 1 mails.*no answer within 5000 ms/;
      await until("the mail to be lost", async () => {
        expect(await askApiPort(api, "show backend")).toContain("b");
        return lost.test(sluice.output());
      });
      postfix.thaw();
      again.kill();
      await until("the next mail", () => queued(postfix).length >= 2);
    },
    LIMIT_MS,
  );
});

describe("bad mail servers", () => {
  e2e(
    "each is told by name, good ones get their mails all the same",
    async () => {
      await using good = startMailServer();
      await using rude = startMailServer({ connect: "554 go away" });
      await using mute = startMailServer({ connect: "" });
      await using fickle = startMailServer({ DATA: "close" });
      const all = [good, rude, mute, fickle];
      const api = freePort();
      const server = startNamed("s");
      await using sluice = await startAlerting({
        mailers: [...all.map(({ port }) => port), freePort()],
        timeoutMs: 500,
        api,
        server: server.port,
      });
      server.kill();
      const reasons: readonly (readonly [mailer: string, reason: RegExp])[] = [
        ["m2", /554 go away/],
        ["m3", /no answer within 500 ms/],
        ["m4", /clos/i],
        ["m5", /refused/i],
      ];
      for (const [mailer, reason] of reasons) {
        await until(`${mailer} to be told`, () =>
          sluice
            .output()
            .split("\n")
            .some((line) => line.includes(`Mailer ops/${mailer} was not`) && reason.test(line)),
        );
      }
      const [mail] = await good.mails(1);
      expect(mail?.join("\n")).toContain("Server b/s is DOWN");
      const events = await askApiPort(api, "show events buf0");
      expect(events.match(/mails-lost Mailer ops\/m\d was not given/g)?.length).toBe(4);
    },
    LIMIT_MS,
  );

  e2e(
    "more mails than a queue holds: they are counted, told once, and nothing else suffers",
    async () => {
      await using mute = startMailServer({ connect: "" });
      await using good = startMailServer();
      const api = freePort();
      await using sluice = await startAlerting({
        mailers: [mute.port, good.port],
        timeoutMs: 60_000,
        api,
        server: freePort(),
      });
      await until("the server to be down", () => / b\/s is DOWN/.test(sluice.output()));
      // Each is two mails: 700 sentences for a queue of 256.
      const lines = Array.from({ length: 350 }, () => {
        return "set server fe/s health down; set server b/s health up; set server b/s health down";
      });
      for (let at = 0; at < lines.length; at += 10) {
        await askApiPort(api, lines.slice(at, at + 10).join("; "));
      }
      await until("drops to be told", () => /m1 was not given \d+ mails/.test(sluice.output()));
      await good.mails(256);
      const told = sluice.output().match(/Mailer ops\/m1 was not given/g);
      expect(told?.length).toBe(1);
      expect(mute.sessions.length).toBe(1);
      expect(sluice.hasExited()).toBe(false);
    },
    LIMIT_MS,
  );
});
