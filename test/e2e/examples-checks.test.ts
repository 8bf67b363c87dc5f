/**
 * The examples whose servers are asked over their protocols: small servers of those protocols play
 * their parts, change them, and both balancers send clients where the example says.
 */
import { describe, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import type { Socket, TCPSocketListener } from "bun";

import { makeSelfSigned } from "../../src/control/process/self-signed.ts";
import { type BalancerName, findBalancer, startBalancer } from "../support/haproxy.ts";
import { freePort } from "../support/ports.ts";
import { until, within } from "../support/procs.ts";

const EXAMPLES = join(import.meta.dir, "../../examples");

/** What a server answers to these bytes; undefined: nothing. `+` in front: and ends. */
type Answer = (text: string) => string | undefined;

/** Servers of one test. */
class Cast implements Disposable {
  readonly #listeners: TCPSocketListener[] = [];

  /** A server that says its name to clients, and answers checks. @param greeting sent at once */
  play(host: string, port: number, answer: Answer, greeting = "", isTls = false): void {
    const { chain, key } = CERTIFICATE;
    this.#listeners.push(
      Bun.listen({
        hostname: host,
        port,
        ...(isTls ? { tls: { cert: chain, key } } : {}),
        socket: {
          open: (socket: Socket) => void (greeting === "" || socket.write(latin(greeting))),
          data(socket, bytes) {
            const text = bytes.toString("latin1");
            const said = text.startsWith("WHO") ? `<${host}>\n` : answer(text);
            if (said === undefined) return;
            if (said.startsWith("+END")) socket.end(latin(said.slice(4)));
            else socket.write(latin(said));
          },
          error: () => undefined,
        },
      }) as TCPSocketListener,
    );
  }

  [Symbol.dispose](): void {
    for (const listener of this.#listeners) listener.stop(true);
  }
}

const CERTIFICATE = makeSelfSigned({
  name: "kubernetes.test",
  hosts: ["kubernetes.test"],
  fromMs: Date.UTC(2024, 0, 1),
  days: 8_000,
});

const latin = (text: string): Buffer => Buffer.from(text, "latin1");

function httpAnswer(status: number, body: string): string {
  const length = `Content-Length: ${body.length}\r\n`;
  return `+ENDHTTP/1.1 ${status} Whatever\r\n${length}Connection: close\r\n\r\n${body}`;
}

/** An example on this machine: networks on the loopback, ports free ones, no long pauses. */
class Example {
  readonly text: string;
  readonly #ports = new Map<string, number>();

  constructor(name: string) {
    const text = readFileSync(join(EXAMPLES, `${name}.cfg`), "utf8");
    this.text = text
      .replace(/#.*$/gm, "")
      .replace(/\b10\.0\.(\d+\.\d+):(\d+)/g, (_, host: string, port: string) => {
        return `127.0.${host}:${this.port(port)}`;
      })
      .replace(/\b(127\.0\.0\.1):(\d{4})\b/g, (_, host: string, port: string) => {
        return `${host}:${this.port(port)}`;
      })
      .replace(/\bport (\d+)/g, (_, port: string) => `port ${this.port(port)}`)
      .replace(/\b((?:fast|down)?inter) \d+m?s/g, "$1 200ms");
  }

  port(written: string): number {
    const known = this.#ports.get(written) ?? freePort();
    this.#ports.set(written, known);
    return known;
  }
}

/** Who answers behind a port; `nobody`. */
async function who(port: number, isTls = false): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let text = "";
  try {
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      ...(isTls ? { tls: { rejectUnauthorized: false } } : {}),
      socket: {
        open: (s: Socket) => void s.write("WHO\n"),
        data(_, bytes) {
          text += bytes.toString("latin1");
          const name = /<([\d.]+)>/.exec(text)?.[1];
          if (name !== undefined) resolve(name);
        },
        close: () => resolve("nobody"),
        error: () => resolve("nobody"),
        connectError: () => resolve("nobody"),
      },
    });
    const name = await within("a server's name", promise);
    socket.end();
    return name;
  } catch {
    return "nobody";
  }
}

/** Everybody who answers behind a port, several times over, in order. */
async function everybody(port: number, isTls = false): Promise<string> {
  const names = new Set<string>();
  for (let i = 0; i < 9; i++) names.add(await who(port, isTls));
  return [...names].toSorted().join(" ");
}

/** Waits until exactly these answer. */
async function served(port: number, hosts: string, isTls = false): Promise<void> {
  let found = "";
  await until(`port ${port} to lead to ${hosts}`, async () => {
    found = await everybody(port, isTls);
    return found === hosts;
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}; it leads to ${found}`);
  });
}

/** MariaDB's greeting (protocol 10), and what it says to a login. */
const HELLO =
  "\x0a11.4.0\0\x01\0\0\0abcdefgh\0\xff\xf7\x08\x02\0\x0f\x80\x15" +
  `${"\0".repeat(10)}abcdefghijkl\0`;
const GREETING = `${String.fromCharCode(HELLO.length)}\0\0\0${HELLO}`;
const WELCOME = "\x07\0\0\x02\0\0\0\x02\0\0\0";

type Scene = (name: BalancerName) => Promise<void>;

const SCENES: Record<string, Scene> = {
  "redis-sentinel": async (name) => {
    using cast = new Cast();
    const example = new Example("redis-sentinel");
    const port = example.port("6379");
    let master = "127.0.1.21";
    for (const host of ["127.0.1.21", "127.0.1.22", "127.0.1.23"]) {
      cast.play(host, port, (text) => {
        if (text.includes("PING")) return "+PONG\r\n";
        if (text.includes("QUIT")) return "+END+OK\r\n";
        return `$20\r\n# Replication\r\nrole:${host === master ? "master" : "slave"}\r\n`;
      });
    }
    const any = example.port("6380");
    await using _ = await startBalancer(name, { config: example.text, ports: [port, any] });
    await served(port, master);
    await served(any, "127.0.1.21 127.0.1.22 127.0.1.23");
    master = "127.0.1.23";
    await served(port, master);
    await served(any, "127.0.1.21 127.0.1.22 127.0.1.23");
  },
  patroni: async (name) => {
    using cast = new Cast();
    const example = new Example("patroni");
    const [write, read] = [example.port("5432"), example.port("5433")];
    let leader = "127.0.0.21";
    let well = ["127.0.0.22", "127.0.0.23"];
    for (const host of ["127.0.0.21", "127.0.0.22", "127.0.0.23"]) {
      cast.play(host, write, () => undefined);
      cast.play(host, example.port("8008"), (text) => {
        const isPrimary = text.startsWith("GET /primary ");
        const isReplica = text.startsWith("GET /replica?lag=16MB ");
        const isYes = (isPrimary && host === leader) || (isReplica && well.includes(host));
        return httpAnswer(isYes ? 200 : 503, "{}");
      });
    }
    await using _ = await startBalancer(name, { config: example.text, ports: [write, read] });
    await served(write, "127.0.0.21");
    await served(read, "127.0.0.22 127.0.0.23");
    [leader, well] = ["127.0.0.22", ["127.0.0.21"]];
    await served(write, "127.0.0.22");
    await served(read, "127.0.0.21");
    // With no replica left, the leader is read.
    well = [];
    await served(read, "127.0.0.22");
  },
  galera: async (name) => {
    using cast = new Cast();
    const example = new Example("galera");
    const [write, read] = [example.port("3306"), example.port("3307")];
    let donor = "";
    let locked = "";
    for (const host of ["127.0.4.11", "127.0.4.12", "127.0.4.13"]) {
      const denied = "\x0f\0\0\x02\xff\x15\x04#28000denied";
      cast.play(host, write, () => (locked === host ? denied : WELCOME), GREETING);
      cast.play(host, example.port("9200"), () => {
        return donor === host ? httpAnswer(503, "donor") : httpAnswer(200, "Node is synced.");
      });
    }
    await using _ = await startBalancer(name, { config: example.text, ports: [write, read] });
    await served(write, "127.0.4.11");
    await served(read, "127.0.4.11 127.0.4.12 127.0.4.13");
    donor = "127.0.4.12";
    locked = "127.0.4.11";
    await served(read, "127.0.4.11 127.0.4.13");
    await served(write, "127.0.4.12");
  },
  "kubernetes-api": async (name) => {
    using cast = new Cast();
    const example = new Example("kubernetes-api");
    const port = example.port("6443");
    let starting = "127.0.3.12";
    for (const host of ["127.0.3.11", "127.0.3.12", "127.0.3.13"]) {
      const answer: Answer = (text) => {
        const isAsked = /^GET \/readyz HTTP\/1\.1\r\nhost: kubernetes\.default\.svc\r\n/i.test(
          text,
        );
        return httpAnswer(isAsked && starting !== host ? 200 : 500, "");
      };
      cast.play(host, port, answer, "", true);
    }
    const text = example.text.replace("slowstart 30s", "");
    await using _ = await startBalancer(name, { config: text, ports: [port] });
    await served(port, "127.0.3.11 127.0.3.13", true);
    starting = "";
    await served(port, "127.0.3.11 127.0.3.12 127.0.3.13", true);
  },
};

for (const name of ["haproxy", "sluice"] as const) {
  describe(`examples with checks, ${name}`, () => {
    for (const [example, scene] of Object.entries(SCENES)) {
      test.skipIf(findBalancer(name) === undefined)(example, () => scene(name));
    }
  });
}
