/** Starting without a file: from environment flags alone, and the demo. */
import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";

import { balancerBinary, findSluice } from "../support/haproxy.ts";
import { startNamed, startRecorder } from "../support/peers.ts";
import { freePort, isListening } from "../support/ports.ts";
import {
  type Process,
  runProcess,
  startProcess,
  temporaryFolder,
  until,
} from "../support/procs.ts";
import { playClient } from "../support/tcp-script.ts";
import { askName, askNames, countEach } from "../support/traffic.ts";
import { e2e, listenOver, LONG_TIMEOUTS } from "./sluice.ts";

const DEMO_PORT = 8080;

/** Starts sluice with this environment alone, and waits for its port. */
async function startFrom(env: Record<string, string>, port: number): Promise<Process> {
  const sluice = startProcess([balancerBinary("sluice")], { env });
  await until("sluice to listen", () => {
    if (sluice.hasExited()) throw new Error(sluice.output());
    return isListening(port);
  });
  return sluice;
}

describe("environment flags", () => {
  e2e("SLUICE_BIND and SLUICE_SERVERS are enough; weights and names count", async () => {
    await using a = startNamed("a");
    await using b = startNamed("b");
    const port = freePort();
    const servers = `one=127.0.0.1:${a.port};weight=3,127.0.0.1:${b.port};weight=1;maxconn=100`;
    const env = {
      SLUICE_BIND: `127.0.0.1:${port}`,
      SLUICE_SERVERS: servers,
      SLUICE_WORKERS: "2",
      SLUICE_BALANCE: "roundrobin",
      SLUICE_TIMEOUT_CONNECT: "2s",
      SLUICE_TIMEOUT_CLIENT: "30s",
      SLUICE_TIMEOUT_SERVER: "30s",
    };
    await using sluice = await startFrom(env, port);
    expect(countEach(await askNames({ port }, 40))).toEqual({ a: 30, b: 10 });
    expect(sluice.hasExited()).toBe(false);
  });

  e2e("PROXY headers in and out, and a value from a file", async () => {
    using folder = temporaryFolder();
    await using server = startRecorder();
    const port = freePort();
    writeFileSync(folder.file("servers"), `127.0.0.1:${server.port}\n`);
    const env = {
      SLUICE_BIND: `127.0.0.1:${port}`,
      SLUICE_SERVERS_FILE: folder.file("servers"),
      SLUICE_ACCEPT_PROXY: "1",
      SLUICE_SEND_PROXY: "v1",
    };
    await using sluice = await startFrom(env, port);
    const header = '"PROXY TCP4 10.1.2.3 10.4.5.6 1111 2222\\r\\nhello"';
    await playClient(`send ${header}; read 2; close`, { port });
    expect(server.records[0]?.toString()).toBe("PROXY TCP4 10.1.2.3 10.4.5.6 1111 2222\r\nhello");
    expect(sluice.hasExited()).toBe(false);
  });

  e2e("SLUICE_CONFIG names a file or a folder", async () => {
    using folder = temporaryFolder();
    await using server = startNamed("s1");
    const port = freePort();
    writeFileSync(
      folder.file("one.cfg"),
      `defaults\n  mode tcp\n${LONG_TIMEOUTS}\n${listenOver([server.port])(port)}\n`,
    );
    for (const path of [folder.file("one.cfg"), folder.path]) {
      await using sluice = await startFrom({ SLUICE_CONFIG: path }, port);
      expect(await askName({ port })).toBe("s1");
      sluice.kill("SIGTERM");
      await sluice.exited;
      await until("the port to be free", () => !isListening(port));
    }
  });

  const bad: Record<string, string> = {
    SLUICE_WORKERS: "several",
    SLUICE_MAXCONN: "-3",
    SLUICE_TIMEOUT_CLIENT: "5 bananas",
    SLUICE_LOG_FORMAT: "xml",
    SLUICE_SEND_PROXY: "v3",
    SLUICE_SERVERS: "127.0.0.1:80;colour=red",
    SLUICE_BIND: "nowhere",
    SLUICE_BALANCE: "fairest",
  };
  for (const [name, value] of Object.entries(bad)) {
    e2e(`${name}=${value} stops the start and says why`, async () => {
      const env = {
        SLUICE_BIND: `127.0.0.1:${freePort()}`,
        SLUICE_SERVERS: "127.0.0.1:9",
        [name]: value,
      };
      const { code, output } = await runProcess([balancerBinary("sluice")], { env });
      expect(code).toBe(1);
      expect(output).toContain("[ALERT]");
      expect(output).toMatch(new RegExp(`${name}|${value}`));
    });
  }
});

const isPortTaken = isListening(DEMO_PORT);

test.skipIf(findSluice() === undefined || isPortTaken)(
  `without arguments the demo runs over three servers${isPortTaken ? " (its port is taken)" : ""}`,
  async () => {
    await using sluice = await startFrom({}, DEMO_PORT);
    const answers: string[] = [];
    for (let i = 0; i < 6; i++) {
      answers.push((await (await fetch(`http://127.0.0.1:${DEMO_PORT}/`)).text()).trim());
    }
    expect(new Set(answers).size).toBe(3);
    expect(answers.slice(0, 3)).toEqual(answers.slice(3));
    expect(sluice.output()).toContain("curl");
    sluice.kill("SIGINT");
    await sluice.exited;
  },
);
