/**
 * Checks of databases against the real ones, beside haproxy: up, refusing, frozen, stopped, started
 * again. `SLUICE_CHECKS_REPORT=FILE` appends what both said, and after how long.
 */
import { expect } from "bun:test";

import { RedisClient } from "bun";

import {
  askMariadb,
  setPostgresMethod,
  startMariadb,
  startPostgres,
  startRedis,
} from "../support/real-servers.ts";
import { beside, BothBalancers } from "./checks-beside.ts";

beside("Redis: redis-check, tcp-check and a plain connection", ["redis-server"], async () => {
  await using server = await startRedis();
  const { port } = server;
  await using both = await BothBalancers.start(
    "Redis",
    `backend redis
  option redis-check
  server s 127.0.0.1:${port} check
backend tcp
  option tcp-check
  tcp-check send PING\\r\\n
  tcp-check expect string +PONG
  server s 127.0.0.1:${port} check
backend plain
  server s 127.0.0.1:${port} check
`,
  );
  const up = { redis: "UP L7OK/0", tcp: "UP L7OK/0", plain: "UP L4OK" };
  await both.sees("up", up);

  const client = new RedisClient(`redis://127.0.0.1:${port}`);
  await client.send("CONFIG", ["SET", "requirepass", "secret"]);
  const silent = { redis: "DOWN L7TOUT", tcp: "DOWN L7TOUT", plain: "UP L4OK" };
  await both.sees("asks for a password", silent);
  await client.send("CONFIG", ["SET", "requirepass", ""]);
  client.close();
  await both.sees("asks for none again", up);

  server.freeze();
  await both.sees("frozen", silent);
  server.thaw();
  await both.sees("thawed", up);

  await server.stop();
  await both.sees("stopped", { redis: "DOWN L4CON", tcp: "DOWN L4CON", plain: "DOWN L4CON" });
  await server.start();
  await both.sees("restarted", up);
});

beside("PostgreSQL: pgsql-check", ["postgres", "initdb"], async () => {
  await using server = await startPostgres();
  await using both = await BothBalancers.start(
    "PostgreSQL",
    `backend pgsql
  option pgsql-check user postgres
  server s 127.0.0.1:${server.port} check
`,
  );
  const up = { pgsql: "UP L7OK/0" };
  await both.sees("up", up);

  setPostgresMethod(server, "reject");
  await both.sees("refuses the user", { pgsql: "DOWN L7RSP" });
  setPostgresMethod(server, "scram-sha-256");
  await both.sees("asks for a password", up);

  server.freeze();
  await both.sees("frozen", { pgsql: "DOWN L7TOUT" });
  server.thaw();
  await both.sees("thawed", up);

  await server.stop();
  await both.sees("stopped", { pgsql: "DOWN L4CON" });
  await server.start();
  await both.sees("restarted", up);
});

beside("MariaDB: mysql-check with and without a user", ["mariadbd", "mariadb"], async () => {
  await using server = await startMariadb();
  const { port } = server;
  await using both = await BothBalancers.start(
    "MariaDB",
    `backend greeting
  option mysql-check
  server s 127.0.0.1:${port} check
backend login
  option mysql-check user checker
  server s 127.0.0.1:${port} check
backend old
  option mysql-check user checker pre-41
  server s 127.0.0.1:${port} check
`,
  );
  const up = { greeting: "UP L7OK/0", login: "UP L7OK/0", old: "UP L7OK/0" };
  await both.sees("up", up);

  await askMariadb(server, "ALTER USER checker@'%' IDENTIFIED BY 'secret'");
  await both.sees("asks for a password", {
    greeting: "UP L7OK/0",
    login: "DOWN L7STS/1045",
    old: "DOWN L7STS/1045",
  });
  await askMariadb(server, "ALTER USER checker@'%' IDENTIFIED BY ''");
  await both.sees("asks for none again", up);

  server.freeze();
  const silent = { greeting: "DOWN L7TOUT", login: "DOWN L7TOUT", old: "DOWN L7TOUT" };
  await both.sees("frozen", silent);
  server.thaw();
  await both.sees("thawed", up);

  await server.stop();
  await both.sees("stopped", { greeting: "DOWN L4CON", login: "DOWN L4CON", old: "DOWN L4CON" });
  await server.start();
  await both.sees("restarted", up);
  expect(both.sluicePid).toBeGreaterThan(0);
});
