/**
 * What servers do in the tests of checks: a script a case, played by `startScripted` and, in
 * memory, by the tests of the dialogues. Names are unique; check-verdicts.json goes by them.
 */
import type { CheckCase, ServerStep } from "./check-cases.ts";

type Program = CheckCase["program"];

/** Cases of one kind: each name with what the server does. */
function kind(
  label: string,
  program: Program,
  lines: string[],
  scripts: Record<string, ServerStep[]>,
): CheckCase[] {
  return Object.entries(scripts).map(([name, steps]) => ({
    name: `${label}: ${name}`,
    program,
    lines,
    steps,
  }));
}

const hear = { wait: 1 };
const hex = (digits: string): string =>
  Buffer.from(digits.replaceAll(" ", ""), "hex").toString("latin1");
const says = (text: string): ServerStep[] => [hear, { send: text }];
const slowly = (text: string): ServerStep[] => [hear, { send: text, isByteWise: true }];
const endsWith = (text: string): ServerStep[] => [hear, { send: text }, "close"];

/** What every kind meets; `good` is what a healthy server answers. */
function common(good: string): Record<string, ServerStep[]> {
  return {
    good: says(good),
    "good, then closed": endsWith(good),
    "good, a byte at a time": slowly(good),
    "good, and much more": says(good + "more\r\n".repeat(10)),
    "half of it": says(good.slice(0, Math.ceil(good.length / 2))),
    "half of it, then closed": endsWith(good.slice(0, Math.ceil(good.length / 2))),
    "its first byte, then closed": endsWith(good.slice(0, 1)),
    "all but its last byte": says(good.slice(0, -1)),
    "all but its last byte, then closed": endsWith(good.slice(0, -1)),
    nothing: [],
    "closed at once": ["close"],
    "closed when asked": [hear, "close"],
    "reset when asked": [hear, "reset"],
    garbage: says("\x00\x01\x02garbage\xff\xfe\r\nand a second line\r\n"),
    "garbage without a line's end": says("nonsense without end"),
    "garbage without a line's end, then closed": endsWith("nonsense without end"),
    "garbage, a byte at a time": slowly("nonsense\r\n"),
    HTTP: endsWith("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"),
    "40,000 bytes": says("x".repeat(40_000)),
    "40,000 zeros": says("\0".repeat(40_000)),
    "spaces and lines only": says("  \r\n\r\n"),
  };
}

const redis = kind("redis", { kind: "redis" }, ["option redis-check"], {
  ...common("+PONG\r\n"),
  "asked for a password": says("-NOAUTH Authentication required.\r\n"),
  loading: says("-LOADING Redis is loading the dataset in memory\r\n"),
  "loading, in two pieces": [hear, { send: "-LOAD" }, { send: "ING wait\r\n", isByteWise: true }],
  "an empty error": says("-\r\n"),
  "something before": says("+OK\r\n+PONG\r\n"),
  "a long error": says(`-ERR ${"long ".repeat(100)}\r\n`),
  "odd bytes in an error": says('-ERR "quoted", \x07\x1b[0m\u00e9\r\n'),
});

const pgsqlError = (fields: string): string => {
  const length = 4 + fields.length + 1;
  return `E${hex(length.toString(16).padStart(8, "0"))}${fields}\0`;
};
const pgsql = kind(
  "pgsql",
  { kind: "pgsql", user: "checker" },
  ["option pgsql-check user checker"],
  {
    ...common(hex("52 00000008 00000000")),
    ...Object.fromEntries(
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13].map((method) => [
        `asked to authenticate by ${method}`,
        says(hex(`52 0000000c 000000${method.toString(16).padStart(2, "0")} 01020304`)),
      ]),
    ),
    "asked to authenticate by SCRAM": says(`${hex("52 00000017 0000000a")}SCRAM-SHA-256\0\0`),
    "welcome, parameters and ready": says(
      `${hex("52 00000008 00000000")}S\0\0\0\x13client_encoding\0\0Z\0\0\0\x05I`,
    ),
    "an error": says(
      pgsqlError('SFATAL\0VFATAL\0C28000\0Mrole "checker" does not exist\0Fmiscinit.c\0L739\0'),
    ),
    "an error, then closed": endsWith(
      pgsqlError("SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0"),
    ),
    "an error of protocol 2": endsWith("EFATAL:  no such user\n\0"),
    "half an error": says("E\0\0\0\x40SFATAL"),
    "half an error, then closed": endsWith("E\0\0"),
    "a notice": says("N\0\0\0\x05x"),
    "a length that is too long": says(hex("52 000000ff 00000000")),
    "a length that is longer still": says(hex("52 00010008 00000000")),
  },
);

const mysqlPacket = (number: number, body: string): string =>
  hex(
    `${(body.length & 0xff).toString(16).padStart(2, "0")}` +
      `${((body.length >> 8) & 0xff).toString(16).padStart(2, "0")}00` +
      number.toString(16).padStart(2, "0"),
  ) + body;
const mysqlGreeting = mysqlPacket(
  0,
  `\x0a5.5.5-10.11.6-MariaDB\0${hex("01000000")}abcdefgh\0${hex("fef7 08 0200 ff81 15")}` +
    `${"\0".repeat(6)}${hex("1d000000")}ijklmnopqrst\0mysql_native_password\0`,
);
const mysqlError = (number: number, code: number, text: string): string =>
  mysqlPacket(number, `\xff${String.fromCharCode(code & 255, code >> 8)}${text}`);
const mysqlOk = mysqlPacket(2, hex("00 00 00 0200 0000"));
const mysqlSwitch = mysqlPacket(2, `\xfemysql_native_password\0abcdefghijklmnopqrst\0`);
const mysqlStrange: Record<string, ServerStep[]> = {
  "an old greeting": [{ send: mysqlPacket(0, `\x093.20.0\0${hex("01000000")}abcdefgh\0`) }],
  "a host that is not allowed": [
    { send: mysqlError(0, 1130, "Host '10.0.0.1' is not allowed to connect") },
    "close",
  ],
  "a host that is blocked": [{ send: mysqlError(0, 1129, "Host is blocked") }, "close"],
  "too many connections": [{ send: mysqlError(0, 1040, "#08004Too many connections") }],
  "a greeting of number 1": [{ send: mysqlPacket(1, mysqlGreeting.slice(4)) }],
  "a greeting that is longer than it says": [{ send: `\x10${mysqlGreeting.slice(1)}` }],
  "an empty packet": [{ send: mysqlPacket(0, "") }],
  "a packet of one byte": [{ send: mysqlPacket(0, "\x0a") }],
  "a packet of 16 MB": [{ send: hex("ffffff00 0a") }],
  "an error without text": [{ send: mysqlError(0, 1045, "") }],
  "an error cut short": [{ send: hex("05000000 ff") }],
  "an error cut short, then closed": [{ send: hex("05000000 ff15") }, "close"],
};
const unasked = (scripts: Record<string, ServerStep[]>): Record<string, ServerStep[]> =>
  Object.fromEntries(
    Object.entries(scripts)
      // Reset at once, it is chance whether the connection is seen to have been there.
      .filter(([name]) => name !== "reset when asked")
      .map(([name, steps]) => [
        name,
        steps.filter((step) => typeof step !== "object" || !("wait" in step)),
      ]),
  );
const mysqlPlain = kind("mysql", { kind: "mysql", version: "post-41" }, ["option mysql-check"], {
  ...unasked(common(mysqlGreeting)),
  ...mysqlStrange,
});
const afterLogin = (steps: ServerStep[]): ServerStep[] => [
  { send: mysqlGreeting },
  { wait: 5 },
  ...steps,
];
const mysqlUser: Record<string, ServerStep[]> = {
  ...unasked(common(mysqlGreeting)),
  ...mysqlStrange,
  welcome: afterLogin([{ send: mysqlOk }]),
  "welcome, a byte at a time": [
    { send: mysqlGreeting, isByteWise: true },
    { wait: 5 },
    { send: mysqlOk, isByteWise: true },
  ],
  "welcome, then closed": afterLogin([{ send: mysqlOk }, "close"]),
  "access denied": afterLogin([
    { send: mysqlError(2, 1045, "#28000Access denied for user 'checker'@'localhost'") },
  ]),
  "access denied, then closed": afterLogin([
    { send: mysqlError(2, 1045, "#28000Access denied for user 'checker'@'localhost'") },
    "close",
  ]),
  "another method of login": afterLogin([{ send: mysqlSwitch }]),
  "no answer to the login": afterLogin([]),
  "closed after the login": afterLogin(["close"]),
  "half an answer to the login": afterLogin([{ send: mysqlOk.slice(0, 6) }]),
  "half an answer to the login, then closed": afterLogin([{ send: mysqlOk.slice(0, 6) }, "close"]),
  "garbage after the login": afterLogin([{ send: "nonsense and more\r\n" }]),
  "short garbage after the login": afterLogin([{ send: "abc" }, "close"]),
  "greeting and welcome at once": [{ send: mysqlGreeting + mysqlOk }],
};
const mysqlPost = kind(
  "mysql user",
  { kind: "mysql", user: "checker", version: "post-41" },
  ["option mysql-check user checker"],
  mysqlUser,
);
const mysqlPre = kind(
  "mysql pre-41",
  { kind: "mysql", user: "checker", version: "pre-41" },
  ["option mysql-check user checker pre-41"],
  mysqlUser,
);

const bye = { send: "221 2.0.0 Bye\r\n" };
const smtpTalk = (banner: string, answer: string): ServerStep[] => [
  { send: banner },
  { wait: 5 },
  { send: answer },
  { wait: 6 },
  bye,
  "close",
];
const smtpScripts: Record<string, ServerStep[]> = {
  ...unasked(common("220 mail.example ESMTP ready\r\n")),
  "the whole talk": smtpTalk("220 mail.example ESMTP\r\n", "250 mail.example\r\n"),
  "the whole talk, a byte at a time": [
    { send: "220 mail.example ESMTP\r\n", isByteWise: true },
    { wait: 5 },
    { send: "250 mail.example\r\n", isByteWise: true },
    { wait: 6 },
    { ...bye, isByteWise: true },
    "close",
  ],
  "an answer of many lines": smtpTalk(
    "220 mail.example ESMTP\r\n",
    "250-mail.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
  ),
  "lines one by one": [
    { send: "220 mail.example ESMTP\r\n" },
    { wait: 5 },
    { send: "250-mail.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n", isByteWise: true },
    { wait: 6 },
    bye,
    "close",
  ],
  "a banner of many lines": smtpTalk("220-one\r\n220-two\r\n220 three\r\n", "250 ok\r\n"),
  "a banner of many lines, byte by byte": [
    { send: "220-one\r\n220-two\r\n220 three\r\n", isByteWise: true },
    { wait: 5 },
    { send: "250 ok\r\n" },
    { wait: 6 },
    bye,
  ],
  "no service": [{ send: "554 5.3.2 No service here\r\n" }],
  "no service, then closed": [{ send: "421 4.3.2 Too busy\r\n" }, "close"],
  "another number that begins with 2": smtpTalk("250 hello\r\n", "220 ok\r\n"),
  "a greeting that is refused": smtpTalk("220 ready\r\n", "501 5.0.0 Who?\r\n"),
  "a greeting that is refused, then closed": [
    { send: "220 ready\r\n" },
    { wait: 5 },
    { send: "421 4.7.0 Go away\r\n" },
    "close",
  ],
  "a greeting without an answer": [{ send: "220 ready\r\n" }, { wait: 5 }],
  "closed after the greeting": [{ send: "220 ready\r\n" }, { wait: 5 }, "close"],
  "garbage after the greeting": smtpTalk("220 ready\r\n", "nonsense\r\n"),
  "half an answer to the greeting": [{ send: "220 ready\r\n" }, { wait: 5 }, { send: "25" }],
  "half an answer to the greeting, then closed": [
    { send: "220 ready\r\n" },
    { wait: 5 },
    { send: "25" },
    "close",
  ],
  "no answer to QUIT": [{ send: "220 a\r\n" }, { wait: 5 }, { send: "250 b\r\n" }, { wait: 6 }],
  "closed on QUIT": [
    { send: "220 a\r\n" },
    { wait: 5 },
    { send: "250 b\r\n" },
    { wait: 6 },
    "close",
  ],
  "QUIT refused": [
    { send: "220 a\r\n" },
    { wait: 5 },
    { send: "250 b\r\n" },
    { wait: 6 },
    { send: "500 no\r\n" },
    "close",
  ],
  "QUIT refused, and nothing closed": [
    { send: "220 a\r\n" },
    { wait: 5 },
    { send: "250 b\r\n" },
    { wait: 6 },
    { send: "500 no\r\n" },
  ],
  "a banner without text": smtpTalk("220\r\n", "250\r\n"),
  "a banner of spaces": smtpTalk("220 \r\n", "250 \r\n"),
  "a number of four digits": smtpTalk("2200 a\r\n", "2500 b\r\n"),
  "a number without a space": smtpTalk("220a\r\n", "250b\r\n"),
  "lines that end with LF": smtpTalk("220 a\n", "250 b\n"),
  "an empty answer to the greeting": smtpTalk("220 a\r\n", "\r\n"),
};
const smtp = [
  ...kind(
    "smtp",
    { kind: "smtp", hello: "HELO", domain: "localhost" },
    ["option smtpchk"],
    smtpScripts,
  ),
  ...kind(
    "smtp EHLO",
    { kind: "smtp", hello: "EHLO", domain: "check.example" },
    ["option smtpchk EHLO check.example"],
    smtpScripts,
  ),
];

const ldap = kind("ldap", { kind: "ldap" }, ["option ldap-check"], {
  ...common(hex("300c 020101 61 07 0a0100 0400 0400")),
  "welcome in long lengths": says(hex("3084 00000010 020101 61 84 00000007 0a0100 0400 0400")),
  "welcome in one long length": says(hex("30 81 0c 020101 61 07 0a0100 0400 0400")),
  "invalid credentials": says(hex("300c 020101 61 07 0a0131 0400 0400")),
  "inappropriate authentication": says(
    `${hex("301f 020101 61 1a 0a0130 0400 0413")}anonymous bind not..`,
  ),
  "busy, in long lengths": says(hex("3084 00000010 020101 61 84 00000007 0a0133 0400 0400")),
  "closed with a notice": endsWith(
    `${hex("3024 020100 78 1f 0a0134 0400 0400 8a16")}1.3.6.1.4.1.1466.20036`,
  ),
  "another message number": says(hex("300c 020102 61 07 0a0100 0400 0400")),
  "another kind of answer": says(hex("300c 020101 65 07 0a0100 0400 0400")),
  "a result that is no enumeration": says(hex("300c 020101 61 07 020100 0400 0400")),
  "a longer result": says(hex("300d 020101 61 08 0a020000 0400 0400")),
  "no sequence": says(hex("310c 020101 61 07 0a0100 0400 0400")),
  "an indefinite length": says(hex("3080 020101 61 07 0a0100 0400 0400 0000")),
  "a length of 4 GB": says(hex("3084ffffffff 020101 61 07 0a0100 0400 0400")),
});

const serverHello = `${hex("16 0303 002a 02 000026 0303")}${"r".repeat(32)}${hex("00 c02f 00")}`;
const tls = kind("ssl-hello", { kind: "ssl-hello" }, ["option ssl-hello-chk"], {
  ...common(serverHello),
  "a hello of SSLv3": says(
    `${hex("16 0300 002a 02 000026 0300")}${"r".repeat(32)}${hex("00 000a 00")}`,
  ),
  "an alert": says(hex("15 0303 0002 0228")),
  "an alert, then closed": endsWith(hex("15 0300 0002 0228")),
  "half an alert": says(hex("15 0301")),
  "another type of record": says(hex("17 0303 0002 0000")),
  "another handshake message": says(hex("16 0303 0004 0b000000")),
  "a record of another version": says(hex("16 0505 0004 02000000")),
});

const spopFrame = (type: number, entries: string, flags = 1): string => {
  const body = `${String.fromCharCode(type)}${hex(flags.toString(16).padStart(8, "0"))}\0\0${entries}`;
  return hex(body.length.toString(16).padStart(8, "0")) + body;
};
const spopText = (text: string): string => String.fromCharCode(text.length) + text;
const spopEntries = (version: string): string =>
  `${spopText("version")}\x08${spopText(version)}` +
  `${spopText("max-frame-size")}\x03\xf0\xf0\x06` +
  `${spopText("capabilities")}\x08${spopText("pipelining")}`;
const spopGone = (code: string, text: string): string =>
  spopFrame(
    102,
    `${spopText("status-code")}\x03${code}${spopText("message")}\x08${spopText(text)}`,
  );
const spop = kind("spop", { kind: "spop" }, ["option spop-check"], {
  ...common(spopFrame(101, spopEntries("2.0"))),
  "version 1": says(spopFrame(101, spopEntries("1.0"))),
  "no version": says(
    spopFrame(
      101,
      `${spopText("max-frame-size")}\x03\xf0\xf0\x06${spopText("capabilities")}\x08\0`,
    ),
  ),
  "no size": says(
    spopFrame(101, `${spopText("version")}\x08${spopText("2.0")}${spopText("capabilities")}\x08\0`),
  ),
  disconnected: says(spopGone("\x03", "invalid")),
  "disconnected in order": says(spopGone("\0", "normal")),
  "an acknowledgement": says(spopFrame(103, "")),
  "a frame of 4 GB": says(hex("ffffffff 65 00000001 00 00")),
  "a fragment": says(spopFrame(101, spopEntries("2.0"), 0)),
});

const answers: readonly string[] = [
  "up",
  "UP",
  "Up",
  "down",
  "DOWN",
  "fail",
  "failed",
  "FAIL",
  "stopped",
  "stop",
  "ready",
  "drain",
  "maint",
  "Maint",
  "50%",
  "0%",
  "100%",
  "150%",
  "256%",
  "2560%",
  "99999999999%",
  "-5%",
  "5.5%",
  "%",
  "50",
  "50 %",
  "050%",
  "+50%",
  "50%%",
  "weight:10",
  "weight:50%",
  "maxconn:10",
  "maxconn:0",
  "maxconn:-1",
  "maxconn:abc",
  "maxconn:10x",
  "maxconn: 10",
  "MAXCONN:10",
  "maxconn:99999999999",
  "up 50%",
  "50% up",
  "up, 50%",
  "up,50%\tready",
  "up#fine",
  "up #fine",
  "down#out of order",
  "down #out of order",
  "fail#disk, full",
  "stopped#by hand",
  "down #",
  "#down",
  "ready up 75% maxconn:30",
  "maint down",
  "drain up",
  "up down",
  "down up",
  "ready maint",
  "maint ready",
  "50% 60%",
  "maxconn:1 maxconn:2",
  "hello",
  "hello up",
  "up hello",
  "hello world",
  "hello, 50% up strange",
  "up ready hello#x",
  "",
  " ",
  ",",
  " , \t",
  "  up  ",
  "\tup",
  "upp",
  "up\x00down",
  "\x00",
  "\xff\xfe",
  "up \xff",
  "up\x0bdown",
  "up;down",
  '"up"',
  "drain#why",
  "maint#why",
  "ready#why",
  "50%#why",
  "ready #why",
  "ready up#a #b",
  "up#a down#b",
  "down#\x07\x1b[1m",
  `down#${"x".repeat(300)}`,
  `${"word ".repeat(60)}`,
  `${"up ".repeat(200)}`,
  "up hello #x",
  "up 5.5%",
  "5.5% hello",
  "hello 5.5%",
  "maxconn:abc 5.5%",
  "5.5% maxconn:abc",
  "ready hello",
  "ready 5.5%",
  "up maxconn:abc",
  "#x up",
  "up # ",
  "up #a #b",
  "up#",
  "up #\x07",
  "up 5.5% #x",
  "up 5.5% hello",
  "fail 5.5%",
  "up #",
  "up #  spaced  ",
  "up #a,b\tc",
  "0%x",
  "1%2%",
  "10 %20%",
  "9%",
  "25%",
  "33%",
  "300%",
  "up  #x",
  "up,#x",
  "maxconn:5%",
  "50%,maxconn:7,drain",
  "maxconn:+5",
  "maxconn:05",
  "maxconn:4294967297",
  "4294967297%",
  "18446744073709551617%",
  "maxconn:0x10",
  "maxconn:5#x",
  `up #${"y".repeat(200)}`,
  `up ${"z".repeat(200)}`,
];
const shown = (text: string): string => {
  const quoted = JSON.stringify(text);
  return quoted.length > 60 ? `${quoted.slice(0, 40)}… of ${text.length}` : quoted;
};
const agent = kind("agent", { kind: "agent", send: "" }, [], {
  ...unasked(common("up 75%\r\n")),
  ...Object.fromEntries(answers.map((text) => [shown(text), [{ send: `${text}\n` }]])),
  "a line that ends with CR": [{ send: "up\r" }],
  "a line that ends with a zero": [{ send: "up\0" }],
  "no line's end": [{ send: "up 50%" }],
  "no line's end, then closed": [{ send: "up 50%" }, "close"],
  "no line's end, then reset": [{ send: "up 50%" }, "reset"],
  "two lines": [{ send: "up\ndown\n" }],
  "an empty line first": [{ send: "\nup\n" }],
  "a line in pieces": [{ send: "down#a", isByteWise: true }, { send: " reason\n" }],
});
const agentSend = kind("agent-send", { kind: "agent", send: "hello b/s\n" }, [], {
  "answered when asked": [{ wait: 10 }, { send: "drain 20%\n" }],
});

/** All of them. */
export const CHECK_SCRIPTS: readonly CheckCase[] = [
  ...redis,
  ...pgsql,
  ...mysqlPlain,
  ...mysqlPost,
  ...mysqlPre,
  ...smtp,
  ...ldap,
  ...tls,
  ...spop,
  ...agent,
  ...agentSend,
];
