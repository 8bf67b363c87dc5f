/** Mails about servers: which are sent, to whom, in which order, and what becomes of too many. */
import { describe, expect, test } from "bun:test";

import { MAIL_QUEUE_MAX, MAIL_TELL_MS } from "../../../../src/base/limits.ts";
import type { MailServer } from "../../../../src/control/mail/delivery.ts";
import { mailDate, mailMessage } from "../../../../src/control/mail/message.ts";
import type { Mail } from "../../../../src/control/mail/message.ts";
import { MailPost } from "../../../../src/control/mail/post.ts";
import type { EmailAlertSpec, LogLevel, MailersSpec } from "../../../../src/tables/spec.ts";

const ALERT: EmailAlertSpec = { mailers: "m", from: "a@x.test", to: "b@x.test", level: 5 };

function section(name: string, ports: readonly number[]): MailersSpec {
  const mailers = ports.map((port) => {
    const address = { family: "ipv4", host: "192.0.2.1", port } as const;
    return { name: `p${port}`, address };
  });
  return { name, timeoutMs: 1000, mailers, origin: { file: "t", line: 1 } };
}

type Sending = {
  mail: Mail;
  server: MailServer;
  end(failure?: string): void;
  isCancelled: boolean;
};

/** A post whose deliveries end when the test says so, and whose timers run when it says so. */
function makePost(mailers: readonly MailersSpec[]) {
  const sendings: Sending[] = [];
  const said: string[] = [];
  const timers: { delayMs: number; run: () => void; isStopped: boolean }[] = [];
  const post = new MailPost({
    mailers,
    lost: (text) => void said.push(text),
    clock: { epochMicros: () => 1_700_000_000_000_000 },
    hostName: "here.test",
    startTimer: (delayMs, run) => {
      const timer = { delayMs, run, isStopped: false };
      timers.push(timer);
      return { stop: () => void (timer.isStopped = true) };
    },
    deliver: (mail, server, _timeoutMs, done) => {
      const sending: Sending = { mail, server, end: done, isCancelled: false };
      sendings.push(sending);
      return { cancel: () => void (sending.isCancelled = true) };
    },
  });
  return { post, sendings, said, timers };
}

const say = (post: MailPost, text: string, mailLevel?: LogLevel, emailAlert = ALERT): void =>
  post.tell({ emailAlert }, { level: 5, text, ...(mailLevel === undefined ? {} : { mailLevel }) });

test("every server of the section is sent a mail, each one after the other", () => {
  const { post, sendings } = makePost([section("m", [1, 2]), section("other", [3])]);
  say(post, "one.", 5);
  say(post, "two.", 5);
  const where = (): string[] => sendings.map(({ server, mail }) => `${server.port} ${mail.text}`);
  expect(where()).toEqual(["1 one.", "2 one."]);
  sendings[1]!.end();
  expect(where()).toEqual(["1 one.", "2 one.", "2 two."]);
  sendings[0]!.end();
  expect(where().at(-1)).toBe("1 two.");
  expect(sendings[0]!.mail).toEqual({
    from: "a@x.test",
    to: "b@x.test",
    hostName: "here.test",
    text: "one.",
    epochMs: 1_700_000_000_000,
  });
  expect(post.counts().map(({ name, sent, waiting }) => [name, sent, waiting])).toEqual([
    ["m/p1", 1, 0],
    ["m/p2", 1, 0],
    ["other/p3", 0, 0],
  ]);
});

test("only what is as severe as the level, and only where mails are wanted", () => {
  const { post, sendings } = makePost([section("m", [1])]);
  say(post, "not of a kind that is mailed");
  say(post, "too little", 6);
  post.tell({}, { level: 1, text: "no lines about mails", mailLevel: 1 });
  say(post, "no such section", 1, { ...ALERT, mailers: "gone" });
  expect(sendings).toEqual([]);
  say(post, "alert", 1, { ...ALERT, hostName: "lb.test" });
  expect(sendings.map(({ mail }) => [mail.text, mail.hostName])).toEqual([["alert", "lb.test"]]);
});

describe("mails that are lost", () => {
  test("a queue has an end: what is too much is counted", () => {
    const { post, sendings, said } = makePost([section("m", [1])]);
    for (let i = 0; i < MAIL_QUEUE_MAX + 4; i++) say(post, `${i}`, 5);
    expect(sendings.length).toBe(1);
    expect(post.counts()[0]).toMatchObject({ waiting: MAIL_QUEUE_MAX, lost: 3, sent: 0 });
    expect(said).toEqual([
      `Mailer m/p1 was not given 1 mails about servers; the last: ${MAIL_QUEUE_MAX} mails wait ` +
        "for it [SLC_MAILS_LOST]",
    ]);
  });

  test("are told at once, then once a minute", () => {
    const { post, sendings, said, timers } = makePost([section("m", [1])]);
    for (let i = 0; i < 4; i++) {
      say(post, `${i}`, 5);
      sendings.at(-1)!.end(`reason ${i}`);
    }
    expect(said).toEqual([
      "Mailer m/p1 was not given 1 mails about servers; the last: reason 0 [SLC_MAILS_LOST]",
    ]);
    expect(timers.map(({ delayMs }) => delayMs)).toEqual([MAIL_TELL_MS]);
    timers[0]!.run();
    expect(said[1]).toContain("was not given 3 mails about servers; the last: reason 3");
    timers[1]!.run();
    expect(said.length).toBe(2);
    say(post, "later", 5);
    sendings.at(-1)!.end("again");
    expect(said[2]).toContain("1 mails about servers; the last: again");
    expect(post.counts()[0]).toMatchObject({ lost: 5, sent: 0 });
  });

  test("one that fails keeps no other from being sent", () => {
    const { post, sendings } = makePost([section("m", [1])]);
    say(post, "one", 5);
    say(post, "two", 5);
    sendings[0]!.end("refused");
    sendings[1]!.end();
    expect(post.counts()[0]).toMatchObject({ sent: 1, lost: 1, waiting: 0 });
  });
});

test("closed, nothing is sent or said any more", () => {
  const { post, sendings, said } = makePost([section("m", [1])]);
  say(post, "one", 5);
  say(post, "two", 5);
  post.close();
  expect(sendings[0]!.isCancelled).toBe(true);
  sendings[0]!.end("cancelled");
  say(post, "three", 5);
  expect(sendings.length).toBe(1);
  expect(said).toEqual([]);
});

test("the text of a mail", () => {
  const mail = { from: "a@x.test", to: "b@x.test", hostName: "h", epochMs: 0 };
  const date = mailDate(new Date(0));
  expect(mailMessage({ ...mail, text: 'Server b/s is DOWN, info: "v1.0.".' })).toBe(
    `From: a@x.test\r\nTo: b@x.test\r\nDate: ${date}\r\n` +
      'Subject: [HAProxy Alert] Server b/s is DOWN, info: "v1.0."\r\n\r\n' +
      'Server b/s is DOWN, info: "v1.0."\r\n\r\n',
  );
  expect(mailDate(new Date(2026, 10, 1, 3, 4, 5))).toMatch(
    /^Sun, 01 Nov 2026 03:04:05 [+-]\d{4}$/u,
  );
});
