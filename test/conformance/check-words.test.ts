/**
 * Lines about checks, one at a time: haproxy of this machine and sluice take the same ones. Where
 * they do not, the reason stands beside the line. What a line means is told by the unit tests, what
 * a check does by the end-to-end tests.
 */
import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";

import { findBalancer } from "../support/haproxy.ts";
import { runProcess, temporaryFolder } from "../support/procs.ts";
import { loadText } from "../unit/config/load-text.ts";

const TIMEOUTS = " timeout client 1s\n timeout connect 1s\n timeout server 1s\n";

type Verdict = "taken" | "refused";

/** What both are given. @param words behind the server's address */
function textOf(lines: string, words: string): string {
  const rules = lines === "" ? "" : lines.replaceAll(/^/gm, " ");
  return (
    `defaults\n${TIMEOUTS}frontend f\n bind 127.0.0.1:19999\n default_backend b\n` +
    `backend b\n${rules}\n server t 127.0.0.1:81 check\n server s 127.0.0.1:80 ${words}\n`
  );
}

async function askHaproxy(text: string): Promise<Verdict> {
  using folder = temporaryFolder();
  const path = folder.file("haproxy.cfg");
  writeFileSync(path, text);
  const { code } = await runProcess([findBalancer("haproxy") ?? "", "-c", "-f", path]);
  return code === 0 ? "taken" : "refused";
}

async function askSluice(text: string): Promise<Verdict> {
  return (await loadText(text)).plan === null ? "refused" : "taken";
}

const OPTIONS = `option tcp-check
option tcp-check foo
option httpchk
option httpchk /x
option httpchk GET /x
option httpchk GET /x HTTP/1.1
option httpchk GET /x HTTP/1.1\\r\\nHost:\\ www
option redis-check
option redis-check x
option mysql-check
option mysql-check foo
option mysql-check user
option mysql-check user a
option mysql-check user a pre-41
option mysql-check user a post-99
option mysql-check user a post-41 more
option pgsql-check
option pgsql-check user
option pgsql-check user a
option pgsql-check user a b
option pgsql-check foo a
option smtpchk
option smtpchk EHLO
option smtpchk EHLO x
option smtpchk EHLO x y
option ldap-check
option ldap-check x
option ssl-hello-chk
option ssl-hello-chk x
option spop-check
option spop-check x
no option httpchk
no option tcp-check
default option redis-check
option external-check
external-check command /bin/true
external-check command
external-check command a b
external-check path
external-check foo
tcp-check send x
http-check send meth GET
http-check disable-on-404
http-check disable-on-404 x
http-check send-state
http-check send-state x
tcp-check
tcp-check foo
http-check
http-check foo`;

/** Behind `option tcp-check`. */
const TCP = `comment
comment a
connect foo
connect port
connect port 0
connect port 70000
connect port 80
connect port int(80)
connect port xxx
connect addr
connect addr foo.invalid
connect addr 1.2.3.4:80 port 90
connect addr unix@/tmp/x
connect sni
connect sni a
connect alpn
connect proto
connect proto foo
connect proto none
connect linger default send-proxy
connect comment
connect comment x comment y
send
send a comment
send a comment x
send a b
send-binary 123
send-binary xx
send-binary 0aFF
send-binary
send-binary-lf zz
send-lf "%[foo]"
send-lf
send-lf "%[srv_name]"
expect
expect foo
expect string
expect string a b
expect string a string b
expect ! string a
expect !string a
expect !
expect rstring (
expect rstring ^a[0-9]+$
expect binary 1
expect binary zz
expect binary 00ff
expect rbinary ^00
expect status 200
expect hdr name a
expect min-recv
expect min-recv -2 string a
expect min-recv -1 string a
expect min-recv 3
expect ok-status
expect ok-status FOO string a
expect ok-status L4OK string a
expect ok-status L7RSP string a
expect error-status L7OK string a
expect error-status L7STS string a
expect tout-status L7OK string a
expect tout-status L6TOUT string a
expect on-success "%[foo]" string a
expect on-error
expect status-code
expect status-code foo string a
expect status-code int(1) string a
expect string a comment x
expect comment
set-var(check.a) int(1)
set-var(sess.a) int(1)
set-var(proc.a) int(1)
set-var(a) int(1)
set-var(check.a) foo
set-var(check.a)
set-var(check.a-b) int(1)
set-var(check.a
set-var
set-var-fmt(check.a) "%H"
unset-var(check.a)
unset-var
send a\\n tcp-check connect
comment x\\n tcp-check set-var(check.a) int(1)\\n tcp-check connect`;

/** Behind `option httpchk`. */
const HTTP = `comment
connect foo
connect port 0
connect proto h1
connect proto none
connect default linger send-proxy
send
send meth
send meth POST uri /x ver HTTP/1.1 hdr Host www hdr A "%[srv_name]" body "xx" comment c
send uri
send uri-lf "%[foo]"
send uri /x uri-lf /y
send ver
send hdr A
send hdr
send hdr Content-Length 3
send hdr A "%[foo]"
send body
send body-lf "%[foo]"
send foo
send meth GET comment
expect
expect foo
expect status
expect status 200
expect status 200-299,301
expect status 200-
expect status abc
expect status 300-200
expect status 200 299
expect ! status 500
expect rstatus (
expect rstatus ^2
expect string a
expect string a b
expect rstring a
expect binary 00
expect hdr
expect hdr foo
expect hdr name
expect hdr name a
expect hdr name -m beg a
expect hdr name -m foo a
expect hdr name -m
expect hdr name a value
expect hdr name a value b
expect hdr name a value -m reg (
expect hdr name a value -m reg ^b
expect hdr name-lf -m reg x
expect hdr name a value-lf -m beg x
expect hdr name a value b c
expect fhdr name a value -m sub b,c
expect ok-status L7OKC status 200
set-var(check.a) res.hdr(x)
set-var-fmt(check.a) "%[status]"
send uri /\\n http-check connect
connect\\n http-check expect status 200
connect\\n http-check send uri /\\n http-check send uri /
expect status 200\\n http-check expect string a
expect status 200\\n http-check send uri /`;

const SERVER = `agent-check
agent-check agent-port 90
agent-check port 90
agent-check agent-port 0
agent-port
agent-check agent-port 90 agent-addr 1.2.3.4
agent-addr 1.2.3.4:99 agent-check
agent-addr unix@/x agent-check
agent-addr
agent-inter
agent-inter 0
agent-inter 1s
agent-inter x
agent-inter 30d
agent-send
agent-send hello\\\\n
agent-check agent-port 90 no-agent-check
agent-check agent-port 90 track t
check observe layer4
observe layer4
observe foo
observe
check error-limit 0
check error-limit x
check slowstart 10s
slowstart 0
slowstart x
slowstart 30d
slowstart 10s track t
check check-ssl verify none
check check-ssl verify foo
check check-ssl verify none check-sni foo
check check-sni
check check-ssl verify none check-alpn h2,http/1.1
check check-alpn
check check-proto none
check check-proto foo
check check-proto
check check-via-socks4
check no-check-ssl
check on-error foo
check on-error fastinter
check on-marked-down foo
check addr 1.2.3.4 port 0
check rise 0
check inter 0
check fastinter 0
check check-send-proxy
check track t`;

/** Lines that the two see differently, and why. */
const DIFFERENT: Record<string, string> = {
  "check observe layer7": "haproxy says that it is wrong, and takes it",
};

type Case = readonly [title: string, lines: string, words: string];

const CASES: readonly Case[] = [
  ...OPTIONS.split("\n").map((line): Case => [line, line, "check"]),
  ...rulesOf("option tcp-check", "tcp-check", TCP),
  ...rulesOf("option httpchk", "http-check", HTTP),
  ...SERVER.split("\n").map((words): Case => [`server … ${words}`, "", words]),
];

function rulesOf(option: string, word: string, rules: string): Case[] {
  return rules.split("\n").map((rule) => {
    const lines = `${word} ${rule.replaceAll("\\n ", "\n")}`;
    return [`${word} ${rule}`, `${option}\n${lines}`, "check"];
  });
}

describe("lines about checks", () => {
  const isMissing = findBalancer("haproxy") === undefined;
  for (const [title, lines, words] of CASES) {
    test.skipIf(isMissing)(title, async () => {
      const text = textOf(lines, words);
      const verdicts = await Promise.all([askHaproxy(text), askSluice(text)]);
      expect(verdicts[1]).toBe(verdicts[0]);
    });
  }
  for (const [words, why] of Object.entries(DIFFERENT)) {
    test.skipIf(isMissing)(`server … ${words}: ${why}`, async () => {
      const text = textOf("", words);
      expect(await askSluice(text)).not.toBe(await askHaproxy(text));
    });
  }
});
