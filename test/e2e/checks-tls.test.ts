/**
 * Checks over TLS, beside haproxy: whose certificates are taken, for which names. Both are given
 * the same files.
 */
import { writeFileSync } from "node:fs";

import type { Socket } from "bun";

import { makeSelfSigned } from "../../src/control/process/self-signed.ts";
import type { SelfSigned } from "../../src/control/process/self-signed.ts";
import { temporaryFolder } from "../support/procs.ts";
import { beside, BothBalancers } from "./checks-beside.ts";

const FROM_MS = Date.UTC(2024, 0, 1);

function certificate(name: string, days: number): SelfSigned {
  return makeSelfSigned({ name, hosts: [name], fromMs: FROM_MS, days });
}

/** A server of HTTP over TLS that says 200. */
function serve({ chain, key }: SelfSigned): { port: number } & Disposable {
  const answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    tls: { cert: chain, key },
    socket: {
      data: (socket: Socket) => void socket.end(answer),
      error: () => undefined,
    },
  });
  return { port: listener.port, [Symbol.dispose]: () => listener.stop(true) };
}

beside("certificates of servers, over check-ssl and steps", [], async () => {
  const [a, b, old] = [
    certificate("a.test", 8_000),
    certificate("b.test", 8_000),
    certificate("a.test", 1),
  ];
  using folder = temporaryFolder();
  const file = (name: string, text: string): string => {
    writeFileSync(folder.file(name), text);
    return folder.file(name);
  };
  const ca = file("a.pem", a.chain);
  const otherCa = file("b.pem", b.chain);
  const oldCa = file("old.pem", old.chain);
  using well = serve(a);
  using expired = serve(old);
  const http = "option httpchk GET / HTTP/1.1";
  const step = (words: string): string => `option tcp-check\n  tcp-check connect ${words}`;
  /** By backend: its lines, where it goes, the words behind, and what both say. */
  const cases: Record<string, readonly [string, { port: number }, string, string]> = {
    none: ["", well, "check-ssl verify none", "UP L6OK"],
    trusted: ["", well, `check-ssl ca-file ${ca}`, "UP L6OK"],
    stranger: ["", well, `check-ssl ca-file ${otherCa}`, "DOWN L6RSP"],
    sni: ["", well, `check-ssl ca-file ${ca} check-sni a.test`, "UP L6OK"],
    sni_of_another: ["", well, `check-ssl ca-file ${ca} check-sni b.test`, "DOWN L6RSP"],
    host: ["", well, `check-ssl ca-file ${ca} verifyhost a.test`, "UP L6OK"],
    host_of_another: ["", well, `check-ssl ca-file ${ca} verifyhost b.test`, "DOWN L6RSP"],
    sni_before_host: [
      "",
      well,
      `check-ssl ca-file ${ca} check-sni a.test verifyhost b.test`,
      "UP L6OK",
    ],
    expired: ["", expired, `check-ssl ca-file ${oldCa}`, "DOWN L6RSP"],
    expired_unseen: ["", expired, "check-ssl verify none", "UP L6OK"],
    request: [http, well, `check-ssl ca-file ${ca} check-sni a.test`, "UP L7OK/200"],
    request_to_another: [http, well, `check-ssl ca-file ${otherCa}`, "DOWN L6RSP"],
    undone: ["", well, `check-ssl ca-file ${otherCa} no-check-ssl`, "UP L4OK"],
    step_named: [step("ssl sni a.test"), well, `ca-file ${ca}`, "UP L6OK"],
    step_of_another: [step("ssl sni b.test"), well, `ca-file ${ca}`, "DOWN L6RSP"],
    step_as_server: [step("default"), well, `check-ssl ca-file ${ca} check-sni a.test`, "UP L6OK"],
    step_alone: [step("linger"), well, `check-ssl ca-file ${otherCa}`, "UP L4OK"],
  };
  const sections = Object.entries(cases).map(([name, [lines, { port }, words]]) => {
    return `backend ${name}\n  ${lines}\n  server s 127.0.0.1:${port} check ${words}\n`;
  });
  await using both = await BothBalancers.start("TLS", sections.join(""));
  const wanted = Object.entries(cases).map(([name, [, , , words]]) => [name, words]);
  await both.sees("as configured", Object.fromEntries(wanted) as Record<string, string>);
});
