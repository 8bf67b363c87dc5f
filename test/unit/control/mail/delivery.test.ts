/** One mail to one mail server, over a real socket: servers of all manners. */
import { describe, expect, test } from "bun:test";

import { deliverMail } from "../../../../src/control/mail/delivery.ts";
import type { Mail } from "../../../../src/control/mail/message.ts";
import { startMailServer } from "../../../support/mail-server.ts";
import type { MailAnswers, MailServer } from "../../../support/mail-server.ts";
import { startPeer } from "../../../support/peers.ts";
import { freePort } from "../../../support/ports.ts";
import { until } from "../../../support/procs.ts";

const MAIL: Mail = {
  from: "lb@lb.test",
  to: "ops@lb.test",
  hostName: "lb.test",
  text: "Server b/s is DOWN.",
  epochMs: 0,
};

/** Long enough for anything that ends by itself. */
const LONG_MS = 20_000;

function deliver(port: number, timeoutMs = LONG_MS, mail = MAIL): Promise<string | undefined> {
  return new Promise((resolve) => {
    deliverMail(mail, { host: "127.0.0.1", port }, timeoutMs, resolve);
  });
}

async function deliverTo(
  answers: MailAnswers,
  timeoutMs?: number,
): Promise<{ failure: string | undefined; server: MailServer }> {
  await using server = startMailServer(answers);
  return { failure: await deliver(server.port, timeoutMs), server };
}

describe("a mail is taken", () => {
  test("with its envelope, headers and body", async () => {
    const { failure, server } = await deliverTo({});
    expect(failure).toBeUndefined();
    const [session] = server.sessions;
    expect(session?.said.filter((line) => line !== "RSET")).toEqual([
      "EHLO lb.test",
      expect.stringMatching(/^MAIL FROM:<lb@lb\.test>/u),
      "RCPT TO:<ops@lb.test>",
      "DATA",
      "QUIT",
    ]);
    expect(session?.mail).toEqual([
      "From: lb@lb.test",
      "To: ops@lb.test",
      expect.stringMatching(/^Date: /u),
      "Subject: [HAProxy Alert] Server b/s is DOWN",
      "",
      "Server b/s is DOWN",
      "",
    ]);
  });

  test("by a server that knows HELO only", async () => {
    const { failure, server } = await deliverTo({ EHLO: "502 what?" });
    expect(failure).toBeUndefined();
    expect(server.sessions[0]?.said.slice(0, 2)).toEqual(["EHLO lb.test", "HELO lb.test"]);
  });

  test("in the clear, whatever the server offers", async () => {
    const { failure, server } = await deliverTo({ EHLO: "250-mail.test\r\n250 STARTTLS" });
    expect(failure).toBeUndefined();
    expect(server.sessions[0]?.said).not.toContain("STARTTLS");
  });

  test("also when the server never says goodbye", async () => {
    const { failure, server } = await deliverTo({ QUIT: "" }, 1500);
    expect(failure).toBeUndefined();
    expect(server.sessions[0]?.isTaken).toBe(true);
  });

  test("a line that begins with a dot stays one", async () => {
    await using server = startMailServer();
    expect(await deliver(server.port, LONG_MS, { ...MAIL, text: ".hidden" })).toBeUndefined();
    expect(server.sessions[0]?.mail).toContain(".hidden");
  });
});

describe("a mail is not taken", () => {
  const cases: readonly (readonly [name: string, answers: MailAnswers, reason: RegExp])[] = [
    ["no greeting of SMTP", { connect: "SSH-2.0-x" }, /greeting/iu],
    ["turned away", { connect: "554 go away" }, /554 go away/u],
    ["hung up on", { connect: "close" }, /clos/iu],
    ["a sender that is not wanted", { MAIL: "550 not you" }, /550 not you/u],
    ["a recipient that is unknown", { RCPT: "550 nobody here" }, /550 nobody here/u],
    ["no data", { DATA: "451 later" }, /451 later/u],
    ["refused in the end", { ".": "552 too much" }, /552 too much/u],
    ["hung up on in the end", { ".": "close" }, /clos/iu],
  ];
  for (const [name, answers, reason] of cases) {
    test(name, async () => {
      const { failure } = await deliverTo(answers);
      expect(failure).toMatch(reason);
      expect(failure).not.toContain("\n");
    });
  }

  test("nobody listens", async () => {
    expect(await deliver(freePort())).toMatch(/ECONNREFUSED|refused/iu);
  });

  for (const verb of ["connect", "EHLO", "MAIL", "DATA", "."]) {
    test(`silence after ${verb}: the time is up`, async () => {
      const { failure } = await deliverTo({ [verb]: "" }, 300);
      expect(failure).toBe("no answer within 300 ms");
    });
  }

  test("an answer without end is not kept", async () => {
    const chunk = Buffer.from("250-more and more\r\n".repeat(1000));
    await using server = startPeer({
      open: (socket) => void socket.write("220 mail.test\r\n"),
      data: (socket) => void socket.write(chunk, 0, chunk.length),
      drain: (socket) => void socket.write(chunk, 0, chunk.length),
    });
    expect(await deliver(server.port)).toBeDefined();
  });

  test("lines without end and without content are not kept: it is over soon", async () => {
    const chunk = Buffer.alloc(65_536, "\n");
    let isGone = false;
    await using server = startPeer({
      open: (socket) => void socket.write(chunk),
      drain: (socket) => void socket.write(chunk),
      close: () => void (isGone = true),
    });
    expect(await deliver(server.port)).toBe("the server said more than 32768 bytes");
    await until("the connection to go", () => isGone);
  });

  test("cancelled, it is told once, and the connection goes", async () => {
    await using server = startMailServer({ EHLO: "" });
    const told: unknown[] = [];
    const target = { host: "127.0.0.1", port: server.port };
    const { cancel } = deliverMail(MAIL, target, LONG_MS, (failure) => void told.push(failure));
    await until("the greeting", () => server.sessions[0]?.said.length === 1);
    cancel();
    cancel();
    await until("the connection to go", () => server.open === 0);
    expect(told).toEqual(["cancelled"]);
  });
});
