/**
 * QUIC servers over the runtime API of the binary, under real traffic: added, drained, moved to
 * QUIC and from it, deleted; the guard over backends that used QUIC; the way of a connection
 * through a reload, and through the restart of a server.
 */
import { expect, test } from "bun:test";

import { ApiConnection, askApi } from "../support/api.ts";
import { type Balancer, balancerBinary, findSluice } from "../support/haproxy.ts";
import { startEcho, startNamed } from "../support/peers.ts";
import { freePort } from "../support/ports.ts";
import { startProcess, temporaryFolder, until, within } from "../support/procs.ts";
import { certificates, SERVER_NAME } from "../support/quic-certificates.ts";
import { freeUdpPort, udpSockets } from "../support/quic-programs.ts";
import { findQuiche } from "../support/quic-quiche-native.ts";
import type { QuicStream } from "../support/quic-quiche-stream.ts";
import { type QuicConnection, QuicEndpoint } from "../support/quic-quiche.ts";
import { startQuicScriptServer } from "../support/quic-script.ts";
import {
  BRIDGES,
  quicBind,
  quicServer,
  startBridge,
  startQuicSluice,
} from "../support/quic-sluice.ts";
import { Flags, playClient } from "../support/tcp-script.ts";
import { askName } from "../support/traffic.ts";

const TCP_TO_QUIC = BRIDGES[0]!;
const isReady = findSluice() !== undefined && findQuiche() !== undefined;
const quic = test.skipIf(!isReady);

/** A QUIC server that says its name at the first byte, and ends with the client. */
async function startQuicNamed(name: string): Promise<QuicEndpoint> {
  return await QuicEndpoint.open({
    certificate: certificates().server,
    onConnection(connection) {
      connection.onStream = (stream) => {
        let hasSpoken = false;
        stream.handlers = {
          data() {
            if (!hasSpoken) stream.write(Buffer.from(`${name}\n`));
            hasSpoken = true;
          },
          end: () => stream.finish(),
        };
      };
    },
  });
}

/** Asks through a TCP frontend who is behind it. */
async function whoIs(port: number): Promise<string> {
  const [, told = ""] = await playClient("send x; read-line; close", { port });
  return told;
}

type WithApi = Balancer & { port: number; api: string; ask(line: string): Promise<string> };

/** A TCP frontend over backend `be` with these lines, and a runtime socket. */
async function startTcpFront(lines: string, env: Record<string, string> = {}): Promise<WithApi> {
  const folder = temporaryFolder();
  const api = folder.file("api.sock");
  const port = freePort();
  const sections = `frontend fe
  bind 127.0.0.1:${port}
  default_backend be
backend be
${lines}`;
  const global = `  stats socket ${api} level admin`;
  const options = { workers: 2, global, tcpPorts: [port], env };
  const sluice = await startQuicSluice(sections, options);
  return {
    ...sluice,
    port,
    api,
    ask: (line) => askApi(api, line),
    async [Symbol.asyncDispose]() {
      await sluice[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

quic("QUIC servers come and go under load: no client is failed", async () => {
  await using first = await startQuicNamed("first");
  await using second = await startQuicNamed("second");
  await using sluice = await startTcpFront(`  server first ${quicServer(first.port)}`);
  const answers: string[] = [];
  let isOver = false;
  const clients = Array.from({ length: 6 }, async () => {
    while (!isOver) answers.push(await whoIs(sluice.port));
  });
  const more = async (): Promise<void> => {
    const before = answers.length;
    await until("more answers", () => answers.length > before + 50);
  };
  await more();
  for (let round = 0; round < 5; round++) {
    const added = await sluice.ask(`add server be/second ${quicServer(second.port)}`);
    expect(added).toContain("New server registered.");
    await sluice.ask("enable server be/second");
    const reached = answers.length;
    await until("it to be used", () => answers.slice(reached).includes('read "second\\n"'));
    await more();
    await sluice.ask("set server be/second state maint");
    await sluice.ask("wait 10s srv-removable be/second");
    expect(await sluice.ask("del server be/second")).toContain("Server deleted.");
    await more();
  }
  isOver = true;
  await Promise.all(clients);
  const known = ['read "first\\n"', 'read "second\\n"'];
  expect(answers.filter((answer) => !known.includes(answer))).toEqual([]);
  expect(sluice.hasExited()).toBe(false);
});

quic("drain and maint let streams end, and then close the connection", async () => {
  await using server = await startQuicScriptServer("read 1; send y; read-end; shut", {
    certificate: certificates().server,
  });
  for (const state of ["drain", "maint"]) {
    await using sluice = await startTcpFront(`  server s ${quicServer(server.port)}`);
    const begun = server.endpoint.connections.length;
    const { promise, resolve } = Promise.withResolvers<void>();
    let heard = "";
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port: sluice.port,
      allowHalfOpen: true,
      socket: { data: (_s, bytes) => void (heard += bytes.toString()), close: () => resolve() },
    });
    socket.write("x");
    await until("the stream to be there", () => heard === "y");
    await sluice.ask(`set server be/s state ${state}`);
    const connection = server.endpoint.connections[begun];
    expect(await sluice.ask("show stat")).toContain(state === "drain" ? "DRAIN" : "MAINT");
    expect(connection?.end).toBeUndefined();
    // Its stream goes on, and ends in order; then the connection is of no use.
    socket.shutdown();
    await within("the stream's end", promise);
    const end = await within("the connection's end", connection!.ended.promise);
    expect(end).toMatchObject({ how: "application", code: 0 });
  }
});

quic("a server moves to QUIC and back to TCP", async () => {
  await using tcp = startNamed("tcp");
  await using udp = await startQuicNamed("quic");
  const verified = `verify required ca-file ${certificates().authority} sni str(${SERVER_NAME})`;
  const words = `  default-server ssl ${verified} alpn test\n`;
  await using sluice = await startTcpFront(`${words}  server s quic4@127.0.0.1:${udp.port}`);
  const reaches = async (name: string): Promise<void> =>
    void (await until(`clients to reach ${name}`, async () => {
      return (await whoIs(sluice.port)) === `read "${name}\\n"`;
    }));
  await reaches("quic");
  for (let round = 0; round < 3; round++) {
    await sluice.ask(`set server be/s addr tcp4@127.0.0.1 port ${tcp.port}`);
    await reaches("tcp");
    await sluice.ask(`set server be/s addr quic4@127.0.0.1 port ${udp.port}`);
    await reaches("quic");
  }
  // An address alone keeps the transport, whoever listens there.
  await using second = await startQuicNamed("second");
  const moved = await sluice.ask(`set server be/s addr 127.0.0.1 port ${second.port}`);
  expect(moved).toContain(
    `no need to change the addr, port changed from '${udp.port}' to '${second.port}' by`,
  );
  await reaches("second");
  const back = await sluice.ask(`set server be/s addr tcp4@127.0.0.1 port ${tcp.port}`);
  expect(back).toContain("transport changed from 'quic' to 'tcp'");
  await sluice.ask(`set server be/s addr 127.0.0.1 port ${tcp.port}`);
  await reaches("tcp");
  expect(sluice.hasExited()).toBe(false);
});

quic("sessions over QUIC are shown and shut down", async () => {
  await using server = await startQuicScriptServer("read 5; send world; read-end; hear-stop", {
    certificate: certificates().server,
  });
  await using sluice = await startTcpFront(`  server s ${quicServer(server.port)}`);
  const client = playClient("send hello; read 5; read-end", { port: sluice.port });
  await until("the session to be shown, with its QUIC stream", async () => {
    return /srv=s .* bquic=0x[0-9a-f]+\.0$/mu.test(await sluice.ask("show sess"));
  });
  expect(await sluice.ask("show fd")).toMatch(/type=back owner=be=be,worker=\d,quic=1 /u);
  expect(await sluice.ask("shutdown sessions server be/s")).toBe("");
  expect((await client).slice(1)).toEqual(['read "world"', "end"]);
  expect(await server.finished(1)).toEqual([['read "hello"', "reset 1", "stop 1"]]);
});

quic("the guard: a backend that used QUIC is never removed, one that did not is", async () => {
  using folder = temporaryFolder();
  await using server = await startQuicNamed("guarded");
  const stateFile = folder.file("state");
  const named = freePort();
  const used = `${named}-used`;
  const env = { SLUICE_STATE_FILE: stateFile, SLUICE_STATE_INTERVAL: "50ms" };
  const lines = `  server s ${quicServer(server.port)}
backend spare
  server t 127.0.0.1:1
backend never
  server t 127.0.0.1:1
frontend by-name
  bind 127.0.0.1:${named}
  use_backend %[dst_port,concat(-used)]
backend ${named}-used
  server s ${quicServer(server.port)}`;
  const refused = /^(?!.*Backend deleted).*QUIC since/su;
  {
    await using sluice = await startTcpFront(lines, env);
    // Used by a server that was added, and is gone.
    await sluice.ask(`add server spare/q ${quicServer(server.port)}`);
    await sluice.ask("del server spare/q");
    await sluice.ask("del server spare/t");
    await sluice.ask("unpublish backend spare");
    expect(await sluice.ask("del backend spare")).toMatch(refused);
    // Waiting for it fails at once: an hour would be the test's end.
    expect(await sluice.ask("wait 1h be-removable spare")).toMatch(refused);
    // Several clients at once, and none of them is let through.
    const connections = await Promise.all(
      Array.from({ length: 8 }, () => ApiConnection.open(sluice.api)),
    );
    const raced = await Promise.all(
      connections.flatMap((one) => Array.from({ length: 5 }, () => one.ask("del backend spare"))),
    );
    expect(raced.every(({ code }) => code !== "OK")).toBe(true);
    for (const one of connections) await one[Symbol.asyncDispose]();
    // The one that traffic used: connections gone, published or not.
    expect(await whoIs(named)).toBe('read "guarded\\n"');
    expect(await sluice.ask(`del backend ${used}`)).not.toContain("Backend deleted");
    await sluice.ask(`set server ${used}/s state maint`);
    await sluice.ask(`wait 10s srv-removable ${used}/s`);
    expect(await sluice.ask(`del server ${used}/s`)).toContain("Server deleted.");
    await sluice.ask(`unpublish backend ${used}`);
    expect(await sluice.ask(`del backend ${used}`)).toMatch(refused);
    expect(await sluice.ask("show backend")).toMatch(new RegExp(`^${used} # QUIC since`, "mu"));
    // One that never used it goes.
    await sluice.ask("disable server never/t");
    await sluice.ask("del server never/t");
    await sluice.ask("unpublish backend never");
    expect(await sluice.ask("del backend never")).toBe("Backend deleted.");
    sluice.kill("SIGTERM");
    await within("its end", sluice.exited);
  }
  // The next process knows it from the snapshot.
  await using again = await startTcpFront(lines, env);
  expect(await again.ask("del backend spare")).toMatch(refused);
  expect(await again.ask(`del backend ${used}`)).toMatch(refused);
});

quic("a reload: the old process keeps its connections, the new one gets the new ones", async () => {
  using folder = temporaryFolder();
  const port = freeUdpPort();
  await using echoing = startEcho();
  const config = folder.file("haproxy.cfg");
  await Bun.write(
    config,
    `global
  nbthread 2
  cluster-secret of-a-test
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen fe
  bind ${quicBind(port)}
  server s1 127.0.0.1:${echoing.port}
`,
  );
  const env = { SLUICE_LOG_FORMAT: "off" };
  const command = [balancerBinary("sluice"), "-db", "-f", config];
  await using old = startProcess(command, { env });
  await until("the old one to bind", () => udpSockets(port) === 2);
  const { authority } = certificates();
  await using endpoint = await QuicEndpoint.open({ authority });
  const kept: Talk[] = [];
  for (let i = 0; i < 6; i++) {
    kept.push(new Talk(await endpoint.connect(port, SERVER_NAME).ready()));
  }
  for (const talk of kept) await talk.echo();
  await using fresh = startProcess([...command, "-sf", String(old.pid)], { env });
  await until("the new one to bind", () => {
    if (fresh.hasExited()) throw new Error(fresh.output());
    return udpSockets(port) >= 4;
  });
  // Old streams go on, and new connections are made, whoever the kernel hands their packets to.
  for (let round = 0; round < 3; round++) {
    for (const talk of kept) await talk.echo();
    await using other = await QuicEndpoint.open({ authority });
    await new Talk(await other.connect(port, SERVER_NAME).ready()).echo();
  }
  await endpoint.move();
  for (const talk of kept) await talk.echo();
  expect(old.hasExited()).toBe(false);
  for (const talk of kept) talk.finish();
  expect(await within("the old one's end", old.exited)).toBe(0);
  await using other = await QuicEndpoint.open({ authority });
  await new Talk(await other.connect(port, SERVER_NAME).ready()).echo();
  expect(fresh.hasExited()).toBe(false);
});

quic("a restarted server: what hung on it is aborted, and the next stream reaches it", async () => {
  await using named = startNamed("behind");
  const cluster = { global: "  cluster-secret of-a-test" };
  const farPort = freeUdpPort();
  const section = `listen far\n  bind ${quicBind(farPort)}\n  server s1 127.0.0.1:${named.port}`;
  const startFar = (): Promise<Balancer> =>
    startQuicSluice(section, { ...cluster, udpPorts: [farPort] });
  let far = await startFar();
  // A connection with streams is asked for a sign of life at a third of this.
  const global = "  tune.quic.be.max-idle-timeout 6s";
  await using near = await startBridge(TCP_TO_QUIC, farPort, {}, { global });
  const flags = new Flags();
  const client = playClient("read-line; tell served; read-end", { port: near.port, flags });
  // Before that the stream would be tried again, and nobody would notice.
  await flags.hear("served");
  far.kill("SIGKILL");
  await far.exited;
  far = await startFar();
  await using restarted = far;
  // The new process knows the connection no more, and says so: an abort, not an end.
  expect((await client).slice(1)).toEqual(['read "behind\\n"', "reset"]);
  await until("the next to be served", async () => {
    return (await askName({ port: near.port })) === "behind";
  });
  expect(restarted.hasExited()).toBe(false);
});

/** A conversation on one stream: what is said comes back. */
class Talk {
  readonly #stream: QuicStream;
  #asked = 0;
  #heard = 0;

  constructor(connection: QuicConnection) {
    this.#stream = connection.openStream();
    this.#stream.handlers = { data: (bytes) => void (this.#heard += bytes.length) };
  }

  async echo(): Promise<void> {
    this.#stream.write(Buffer.alloc(500, "e"));
    this.#asked += 500;
    await until("an echo", () => this.#heard === this.#asked);
  }

  finish(): void {
    this.#stream.finish();
  }
}
