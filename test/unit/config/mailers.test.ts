/** `mailers` sections and `email-alert` lines: what they mean, and what is said of wrong ones. */
import { describe, expect, test } from "bun:test";

import { linesOf, loadText, planOf, proxyOf, TIMEOUTS } from "./load-text.ts";

const SECTION = "mailers m\n mailer a 127.0.0.1:25\n";
const ALERT = " email-alert mailers m\n email-alert from a@x.test\n email-alert to b@x.test\n";

test("a section has its servers, with names looked up, and a time", async () => {
  const text = `mailers m\n timeout mail 20s\n mailer a 127.0.0.1:25\n mailer b db.test:587
mailers n\n mailer c [::1]:2525\n${TIMEOUTS}`;
  const { mailers } = planOf(await loadText(text));
  expect(mailers).toMatchObject([
    {
      name: "m",
      timeoutMs: 20_000,
      mailers: [
        { name: "a", address: { family: "ipv4", host: "127.0.0.1", port: 25 } },
        { name: "b", address: { family: "ipv4", host: "10.9.8.7", port: 587 } },
      ],
      origin: { file: "t.cfg", line: 1 },
    },
    {
      name: "n",
      timeoutMs: 10_000,
      mailers: [{ name: "c", address: { family: "ipv6", host: "::1", port: 2525 } }],
    },
  ]);
});

test("sections take over what their defaults say, and say more", async () => {
  const text = `${SECTION}defaults\n mode tcp\n timeout connect 1s\n timeout server 1s\n${ALERT}
backend one
backend two\n email-alert to c@x.test\n email-alert level info\n email-alert myhostname lb.test
defaults\nbackend none`;
  const plan = planOf(await loadText(text));
  const whole = { mailers: "m", from: "a@x.test", to: "b@x.test", level: 1 } as const;
  expect(proxyOf(plan, "one").emailAlert).toEqual(whole);
  expect(proxyOf(plan, "two").emailAlert).toEqual({
    ...whole,
    to: "c@x.test",
    level: 6,
    hostName: "lb.test",
  });
  expect(proxyOf(plan, "none").emailAlert).toBeUndefined();
});

describe("what is said", () => {
  const rows: [name: string, text: string, line: string][] = [
    [
      "no name",
      "mailers\n mailer a 1.2.3.4:25",
      "parsing [t.cfg:1] : missing name for mailers section.",
    ],
    [
      "two names",
      "mailers m n",
      "parsing [t.cfg:1] : 'mailers' cannot handle unexpected argument 'n'.",
    ],
    [
      "a name that no section may have",
      "mailers m/x",
      "parsing [t.cfg:1] : character '/' is not permitted in 'mailers' name 'm/x'.",
    ],
    [
      "a name that is taken",
      `${SECTION}mailers m`,
      "parsing [t.cfg:3] : mailers section 'm' has the same name as another mailers section " +
        "declared at t.cfg:1.",
    ],
    [
      "no address",
      "mailers m\n mailer a",
      "parsing [t.cfg:2] : 'mailer' expects <name> and <addr>[:<port>] as arguments.",
    ],
    [
      "no port",
      "mailers m\n mailer a 1.2.3.4",
      "parsing [t.cfg:2] : 'mailer a' : missing port specification in '1.2.3.4'",
    ],
    [
      "a range",
      "mailers m\n mailer a 1.2.3.4:25-26",
      "parsing [t.cfg:2] : 'mailer a' : port range not permitted here in '1.2.3.4:25-26'",
    ],
    [
      "a path",
      "mailers m\n mailer a /run/x",
      "parsing [t.cfg:2] : 'mailer a' : TCP not supported for this address family.",
    ],
    [
      "a mailer twice",
      `${SECTION} mailer a 127.0.0.1:26`,
      "parsing [t.cfg:3] : 'mailer a' : name already used in this section.",
    ],
    [
      "a name without an answer",
      "mailers m\n mailer a no.test:25",
      "parsing [t.cfg:2] : 'mailer a' : could not resolve address 'no.test:25'",
    ],
    [
      "timeout without its word",
      "mailers m\n timeout 1s",
      "parsing [t.cfg:2] : 'timeout' expects 'mail' and <time> as arguments got '1s'.",
    ],
    [
      "timeout without a time",
      "mailers m\n timeout mail",
      "parsing [t.cfg:2] : 'timeout mail' expects <time> as argument.",
    ],
    [
      "timeout with something else",
      "mailers m\n timeout mail soon",
      "parsing [t.cfg:2] : unexpected character 's' in 'timeout mail'",
    ],
    [
      "for ever",
      "mailers m\n timeout mail 0",
      "parsing [t.cfg:2] : 'timeout mail' has to be > 0: a mail server may never answer.",
    ],
    [
      "an unknown word",
      "mailers m\n mailr a 1.2.3.4:25",
      "parsing [t.cfg:2] : 'mailr' unknown keyword in 'mailers' section; did you mean 'mailer'?",
    ],
    [
      "no",
      `${SECTION} no mailer a`,
      "parsing [t.cfg:3] : negation/default currently supported only for options, log, " +
        "busy-polling, set-dumpable, strict-limits, insecure-fork-wanted and numa-cpu-mapping " +
        "(got 'no mailer').",
    ],
    [
      "a section that is not there",
      `${TIMEOUTS}${SECTION}listen l\n bind :1\n${ALERT} email-alert mailers n`,
      "Proxy 'l': unable to find mailers 'n'; did you mean 'm'?.",
    ],
    [
      "a level that is none",
      `${SECTION}listen l\n email-alert level warn`,
      "parsing [t.cfg:4] : unknown log level 'warn' after 'level'",
    ],
    [
      "a header instead of an address",
      `${SECTION}listen l\n email-alert from "LB <a@x.test>"`,
      "parsing [t.cfg:4] : 'email-alert from' : white space or a control character in " +
        "'LB <a@x.test>': an address alone is expected.",
    ],
    [
      "two addresses",
      `${SECTION}listen l\n email-alert to a@x.test b@x.test`,
      "parsing [t.cfg:4] : 'email-alert to' cannot handle unexpected argument 'b@x.test'.",
    ],
  ];
  for (const [name, text, line] of rows) {
    test(name, async () => {
      expect(linesOf(await loadText(text))).toContain(`ALERT ${line}`);
    });
  }

  test("half of what a mail needs is no mail, with a warning", async () => {
    const text = `${TIMEOUTS}${SECTION}backend b\n email-alert to b@x.test\n`;
    const result = await loadText(text);
    expect(linesOf(result)).toEqual([
      "WARNING 'email-alert' will be ignored for backend 'b': 'email-alert from' and " +
        "'email-alert mailers' are not there.",
    ]);
    expect(proxyOf(planOf(result), "b").emailAlert).toBeUndefined();
  });

  test("a section without a server", async () => {
    const result = await loadText(`${TIMEOUTS}mailers m\nbackend b\n${ALERT}`);
    expect(linesOf(result)).toEqual([
      "WARNING [t.cfg:5] : mailers section 'm' has no mailer: mails go nowhere.",
    ]);
  });
});
