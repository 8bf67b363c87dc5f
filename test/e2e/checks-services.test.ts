/**
 * Checks of directories, mail, web and TLS servers against the real ones, beside haproxy: up,
 * refusing, frozen, stopped, started again.
 */
import { expect } from "bun:test";
import { renameSync } from "node:fs";
import { join } from "node:path";

import {
  setLdapAnonymous,
  setPostfixRestrictions,
  startLdap,
  startPostfix,
  startWeb,
} from "../support/real-servers.ts";
import { beside, BothBalancers } from "./checks-beside.ts";

beside("OpenLDAP: ldap-check", ["slapd"], async () => {
  await using server = await startLdap();
  await using both = await BothBalancers.start(
    "OpenLDAP",
    `backend ldap
  option ldap-check
  server s 127.0.0.1:${server.port} check
`,
  );
  const up = { ldap: "UP L7OK/0" };
  await both.sees("up", up);

  server.freeze();
  await both.sees("frozen", { ldap: "DOWN L7TOUT" });
  server.thaw();
  await both.sees("thawed", up);

  await server.stop();
  await both.sees("stopped", { ldap: "DOWN L4CON" });
  setLdapAnonymous(server, false);
  await server.start();
  // inappropriateAuthentication.
  await both.sees("refuses anonymous binds", { ldap: "DOWN L7STS/48" });
  await server.stop();
  setLdapAnonymous(server, true);
  await server.start();
  await both.sees("restarted", up);
});

const POSTFIX = ["postfix", "master", ...(process.getuid?.() === 0 ? [] : ["root"])];

beside("Postfix: smtpchk", POSTFIX, async () => {
  await using server = await startPostfix();
  await using both = await BothBalancers.start(
    "Postfix",
    `backend helo
  option smtpchk
  server s 127.0.0.1:${server.port} check
backend ehlo
  option smtpchk EHLO check.example
  server s 127.0.0.1:${server.port} check
`,
  );
  const up = { helo: "UP L7OK/221", ehlo: "UP L7OK/221" };
  await both.sees("up", up);

  setPostfixRestrictions(server, "reject");
  await both.sees("refuses clients", { helo: "DOWN L7STS/554", ehlo: "DOWN L7STS/554" });
  setPostfixRestrictions(server, "");
  await both.sees("takes clients again", up);

  server.freeze();
  await both.sees("frozen", { helo: "DOWN L7TOUT", ehlo: "DOWN L7TOUT" });
  server.thaw();
  await both.sees("thawed", up);

  await server.stop();
  await both.sees("stopped", { helo: "DOWN L4CON", ehlo: "DOWN L4CON" });
  await server.start();
  await both.sees("restarted", up);
});

beside("nginx: httpchk, ssl-hello-chk and check-ssl", ["nginx", "openssl"], async () => {
  await using server = await startWeb();
  const { port, tlsPort } = server;
  await using both = await BothBalancers.start(
    "nginx",
    `backend http
  option httpchk GET /health
  server s 127.0.0.1:${port} check
backend hello
  option ssl-hello-chk
  server s 127.0.0.1:${tlsPort} check
backend tls
  server s 127.0.0.1:${tlsPort} check check-ssl verify none
backend https
  option httpchk
  http-check send meth GET uri /health ver HTTP/1.1 hdr host web.example
  http-check expect rstatus ^2
  server s 127.0.0.1:${tlsPort} check check-ssl verify none
`,
  );
  const up = { http: "UP L7OK/200", hello: "UP L6OK", tls: "UP L6OK", https: "UP L7OK/200" };
  await both.sees("up", up);

  const page = join(server.folder, "health");
  renameSync(page, `${page}.gone`);
  const missing = { http: "DOWN L7STS/404", hello: "UP L6OK", https: "DOWN L7STS/404" };
  await both.sees("its page is gone", missing);
  renameSync(`${page}.gone`, page);
  await both.sees("its page is back", up);

  server.freeze();
  await both.sees("frozen", {
    http: "DOWN L7TOUT",
    hello: "DOWN L6TOUT",
    tls: "DOWN L6TOUT",
    https: "DOWN L6TOUT",
  });
  server.thaw();
  await both.sees("thawed", up);

  await server.stop();
  const gone = { http: "DOWN L4CON", hello: "DOWN L4CON", tls: "DOWN L4CON", https: "DOWN L4CON" };
  await both.sees("stopped", gone);

  // Something else answers there, in the clear.
  const impostor = Bun.listen({
    hostname: "127.0.0.1",
    port: tlsPort,
    socket: { data: (socket) => void socket.end("220 not TLS at all\r\n") },
  });
  await both.sees("no TLS there", { hello: "DOWN L6RSP", tls: "DOWN L6RSP", https: "DOWN L6RSP" });
  impostor.stop(true);
  await server.start();
  await both.sees("restarted", up);
  expect(server.port).toBe(port);
});
