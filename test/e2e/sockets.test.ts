/** Where sluice listens and where it connects to: TCP, unix, abstract, inherited descriptors. */
import { expect } from "bun:test";

import { startBalancer } from "../support/haproxy.ts";
import { openRawListener } from "../support/peers-raw.ts";
import { startNamed, startPeer } from "../support/peers.ts";
import { freePort, freePortRange } from "../support/ports.ts";
import { startProcess, temporaryFolder, until } from "../support/procs.ts";
import { startScriptServer } from "../support/tcp-script.ts";
import { askName } from "../support/traffic.ts";
import { e2e, LONG_TIMEOUTS, startSluice } from "./sluice.ts";

const HEAD = `defaults\n  mode tcp\n${LONG_TIMEOUTS}\n`;

e2e("a unix socket, by path and with a mode, through two workers", async () => {
  using folder = temporaryFolder();
  await using server = startNamed("s1");
  const path = folder.file("front.sock");
  await using sluice = await startBalancer("sluice", {
    config: `global\n  nbthread 2\n${HEAD}listen fe
  bind unix@${path} mode 600
  bind ${folder.file("second.sock")}
  server s1 127.0.0.1:${server.port}`,
    ports: [],
  });
  await until("the sockets", async () => (await askName({ unix: path })) === "s1");
  for (let i = 0; i < 6; i++) expect(await askName({ unix: path })).toBe("s1");
  expect(await askName({ unix: folder.file("second.sock") })).toBe("s1");
  expect((await Bun.file(path).stat()).mode & 0o777).toBe(0o600);
  expect(sluice.hasExited()).toBe(false);
});

e2e("an abstract unix socket, as listener and as server", async () => {
  const name = `sluice-test-${process.pid}-${freePort()}`;
  await using server = startNamed("s1");
  await using sluice = await startSluice(
    (port) => `listen outer
  bind 127.0.0.1:${port}
  server inner abns@${name}
listen inner
  bind abns@${name}
  server s1 127.0.0.1:${server.port}`,
  );
  expect(await askName({ port: sluice.port })).toBe("s1");
  // Other programs reach it too: the name fills the whole address, the rest of it is NUL.
  if (Bun.which("socat") === null) return;
  const address = `ABSTRACT-CONNECT:${name},unix-tightsocklen=0`;
  await using socat = startProcess(["socat", "-u", address, "STDOUT"]);
  await until("socat to be greeted", () => socat.output() === "s1\n");
});

e2e("a unix socket as a server", async () => {
  using folder = temporaryFolder();
  const path = folder.file("back.sock");
  await using server = startScriptServer('send "s1\\n"; read-end', { unix: path });
  await using sluice = await startSluice(
    (port) => `listen fe\n  bind 127.0.0.1:${port}\n  server s1 unix@${path}`,
  );
  expect(await askName({ port: sluice.port })).toBe("s1");
  expect(server.transcripts.length).toBe(1);
});

e2e("an inherited descriptor, through 1 and 3 workers", async () => {
  for (const workers of [1, 3]) {
    await using server = startNamed("s1");
    await using listener = openRawListener(64);
    // Connections that come before the start wait in the backlog.
    const early = askName({ port: listener.port });
    await using sluice = await startBalancer("sluice", {
      config: `global\n  nbthread ${workers}\n${HEAD}listen fe
  bind "fd@\${FRONT_FD}"
  server s1 127.0.0.1:${server.port}`,
      ports: [listener.port],
      fds: [listener.fd],
      env: { FRONT_FD: "3" },
    });
    expect(await early).toBe("s1");
    for (let i = 0; i < 10; i++) expect(await askName({ port: listener.port })).toBe("s1");
    expect(sluice.hasExited()).toBe(false);
  }
});

e2e("IPv6, and both families on one bind", async () => {
  await using server = startPeer({ open: (s) => void s.end(Buffer.from("s1\n")) });
  const both = freePort();
  await using sluice = await startSluice(
    (port) => `listen fe
  bind [::1]:${port}
  bind :::${both} v4v6
  server s1 127.0.0.1:${server.port}`,
  );
  expect(await askName({ host: "::1", port: sluice.port })).toBe("s1");
  expect(await askName({ host: "127.0.0.1", port: both })).toBe("s1");
  expect(await askName({ host: "::1", port: both })).toBe("s1");
});

e2e("several addresses on one bind, and a range of ports", async () => {
  await using server = startNamed("s1");
  const first = freePortRange(4);
  const other = freePort();
  await using sluice = await startSluice(
    (port) => `listen fe
  bind 127.0.0.1:${port},127.0.0.2:${other}
  bind 127.0.0.1:${first}-${first + 3}
  server s1 127.0.0.1:${server.port}`,
  );
  expect(await askName({ host: "127.0.0.2", port: other })).toBe("s1");
  for (const port of [sluice.port, first, first + 1, first + 3]) {
    expect(await askName({ port })).toBe("s1");
  }
});

e2e("a port that somebody else has ends the start with a message and exit code 1", async () => {
  await using server = startNamed("s1");
  let message = "";
  try {
    await using sluice = await startBalancer("sluice", {
      config: `${HEAD}listen fe\n  bind 127.0.0.1:${server.port}\n  server s1 127.0.0.1:9`,
      ports: [freePort()],
    });
    await sluice.exited;
  } catch (error) {
    message = String(error);
  }
  expect(message).toContain("ended");
  expect(message).toMatch(/\[ALERT\].*cannot bind socket/);
});
