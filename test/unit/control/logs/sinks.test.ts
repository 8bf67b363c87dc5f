import { describe, expect, spyOn, test } from "bun:test";
import { createSocket } from "node:dgram";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { LOG_QUEUE_BYTES_MAX } from "../../../../src/base/limits.ts";
import { DatagramSink } from "../../../../src/control/logs/sink-datagram.ts";
import { TcpSink } from "../../../../src/control/logs/sink-tcp.ts";
import { Batch, LineQueue } from "../../../../src/control/logs/sink.ts";
import { TargetWriter } from "../../../../src/control/logs/target.ts";
import type { LogTarget } from "../../../../src/tables/spec.ts";

/** What the sink hands to `Bun.connect`, as far as the test calls it. */
type ConnectHandlers = { open(socket: FakeSocket): void; close(): void; error(): void };

/** A socket of which every write has the same result. */
class FakeSocket {
  writes = 0;
  isEnded = false;
  private readonly result: number;

  constructor(result: number) {
    this.result = result;
  }

  write(): number {
    this.writes++;
    return this.result;
  }

  end(): void {
    this.isEnded = true;
  }

  terminate(): void {
    this.isEnded = true;
  }
}

/** Resolves when `done` says so; events of the loop run meanwhile. */
async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setImmediate(resolve));
}

describe("queue", () => {
  test("first in, first out, over many lines", () => {
    const queue = new LineQueue();
    for (let i = 0; i < 5000; i++) queue.push(`line ${i}`);
    for (let i = 0; i < 5000; i++) {
      expect(queue.peek()).toBe(`line ${i}`);
      queue.shift();
    }
    expect([queue.length, queue.peek()]).toEqual([0, undefined]);
    queue.shift();
    expect(queue.length).toBe(0);
  });
  test("bounded, but one line always fits", () => {
    const queue = new LineQueue();
    expect(queue.push("x".repeat(LOG_QUEUE_BYTES_MAX * 2))).toBe(true);
    expect(queue.push("y")).toBe(false);
    queue.shift();
    expect(queue.push("y")).toBe(true);
    expect(queue.clear()).toBe(1);
  });
});

test("a batch knows which lines are wholly written", () => {
  const batch = new Batch(["one\n", "two\n", "three\n"].map((line) => Buffer.from(line)));
  expect(batch.linesLeft).toBe(3);
  expect(batch.advance(3)).toBe(false);
  expect(batch.linesLeft).toBe(3);
  expect(batch.advance(2)).toBe(false);
  expect([batch.linesLeft, batch.rest.toString()]).toEqual([2, "wo\nthree\n"]);
  expect(batch.advance(9)).toBe(true);
  expect(batch.linesLeft).toBe(0);
});

describe("datagrams", () => {
  for (const host of ["127.0.0.1", "::1"]) {
    test(`UDP to ${host}: one line, one datagram, in order`, async () => {
      const receiver = createSocket(host === "::1" ? "udp6" : "udp4");
      const seen: string[] = [];
      receiver.on("message", (bytes) => seen.push(bytes.toString()));
      await new Promise<void>((resolve) => receiver.bind(0, host, resolve));
      const family = host === "::1" ? "ipv6" : "ipv4";
      const sink = new DatagramSink({ family, host, port: receiver.address().port });
      const lines = Array.from({ length: 50 }, (_, i) => `line ${i} é`);
      for (const line of lines) sink.write(line);
      sink.flush();
      await until(() => seen.length === lines.length);
      expect(seen).toEqual(lines.map((line) => `${line}\n`));
      expect(sink.dropped).toBe(0);
      sink.close();
      receiver.close();
    });
  }
  test("a unix socket, that is not there and then is", async () => {
    const folder = mkdtempSync(join(tmpdir(), "sluice-log-"));
    const path = join(folder, "log");
    const sink = new DatagramSink({ family: "unix", path });
    sink.write("lost");
    sink.flush();
    expect(sink.dropped).toBe(1);
    const python = Bun.which("python3");
    if (python !== null) {
      const script =
        "import socket,sys;s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM);s.bind(sys.argv[1]);" +
        "print('ready',flush=True);print(s.recv(9999).decode()+s.recv(9999).decode(),end='')";
      const child = Bun.spawn([python, "-c", script, path], { stdout: "pipe" });
      const reader = child.stdout.getReader();
      let text = "";
      while (!text.includes("\n")) text += new TextDecoder().decode((await reader.read()).value);
      sink.write("one");
      sink.write("two");
      sink.flush();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        text += new TextDecoder().decode(part.value);
      }
      expect(text).toBe("ready\none\ntwo\n");
      expect(sink.dropped).toBe(1);
    }
    sink.close();
    rmSync(folder, { recursive: true });
  });
  test("a full receiver makes lines wait, then be lost, and be counted", () => {
    // Bound and never read: its buffer fills, the sender is told to wait.
    const folder = mkdtempSync(join(tmpdir(), "sluice-log-"));
    const path = join(folder, "log");
    const python = Bun.which("python3");
    if (python === null) return;
    const script =
      "import socket,sys;s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM);s.bind(sys.argv[1]);" +
      "print('ready',flush=True);sys.stdin.read()";
    const child = Bun.spawn([python, "-c", script, path], { stdin: "pipe", stdout: "pipe" });
    const done = async (): Promise<void> => {
      await child.stdout.getReader().read();
      const sink = new DatagramSink({ family: "unix", path });
      const line = "x".repeat(1000);
      const started = performance.now();
      for (let i = 0; i < 5000; i++) {
        sink.write(line);
        if (i % 100 === 0) sink.flush();
      }
      expect(performance.now() - started).toBeLessThan(2000);
      expect(sink.dropped).toBeGreaterThan(0);
      sink.close();
      void child.stdin.end();
      await child.exited;
      rmSync(folder, { recursive: true });
    };
    return done();
  });
});

describe("streams", () => {
  test("a connection is made, lost and made again; framing counts bytes", async () => {
    let text = "";
    const sockets: Socket[] = [];
    const server = createServer((socket) => {
      sockets.push(socket);
      socket.on("data", (bytes) => (text += bytes.toString()));
      socket.on("error", () => undefined);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const at = server.address();
    if (at === null || typeof at === "string") throw new Error("no address");
    const sink = new TcpSink({ family: "ipv4", host: "127.0.0.1", port: at.port }, "octet-count");
    sink.write("é one");
    sink.write("two");
    sink.flush();
    await until(() => text.length >= 12);
    expect(text).toBe("6 é one3 two");
    sockets[0]?.destroy();
    // What was written before the loss was noticed is gone: nobody acknowledges syslog.
    await until(() => {
      sink.write("tick");
      sink.flush();
      return sockets.length > 1;
    });
    sink.write("four");
    sink.flush();
    await until(() => text.endsWith("4 four"));
    sink.close();
    server.close();
  });
  test("a late word about a lost connection does not touch the one in use", async () => {
    // The `close` of the old socket dropped the new connection, and a failed write left it open.
    const handlers: ConnectHandlers[] = [];
    const sockets: FakeSocket[] = [];
    const connect = spyOn(Bun, "connect");
    const fakeConnect = (options: { socket: ConnectHandlers }): Promise<never> => {
      handlers.push(options.socket);
      return new Promise(() => undefined);
    };
    connect.mockImplementation(fakeConnect as unknown as typeof Bun.connect);
    const openNext = (result: number): FakeSocket => {
      const socket = new FakeSocket(result);
      sockets.push(socket);
      handlers.at(-1)?.open(socket);
      return socket;
    };
    const sink = new TcpSink({ family: "ipv4", host: "127.0.0.1", port: 1 }, "newline");
    sink.write("one");
    sink.write("two");
    sink.flush();
    const first = openNext(-1);
    expect([first.isEnded, sink.dropped]).toEqual([true, 2]);
    sink.write("three");
    await until(() => handlers.length === 2);
    const second = openNext(6);
    handlers[0]?.close();
    handlers[0]?.error();
    sink.write("three");
    sink.flush();
    expect([second.isEnded, second.writes, sink.dropped]).toEqual([false, 2, 2]);
    sink.close();
    expect(second.isEnded).toBe(true);
    connect.mockRestore();
  });
  test("a server that refuses costs nothing but lines beyond the bound", () => {
    const sink = new TcpSink({ family: "ipv4", host: "127.0.0.1", port: 1 }, "newline");
    const line = "x".repeat(10_000);
    for (let i = 0; i < 200; i++) {
      sink.write(line);
      sink.flush();
    }
    expect(sink.dropped).toBeGreaterThan(0);
    sink.close();
    expect(sink.dropped).toBe(200);
  });
});

test("a descriptor: a pipe whose reader sleeps, then reads all", async () => {
  const script = `
    import { DescriptorSink } from ${JSON.stringify(join(import.meta.dir, "../../../../src/control/logs/sink-descriptor.ts"))};
    const sink = new DescriptorSink(1);
    for (let i = 0; i < 3000; i++) { sink.write("line " + i + " " + "x".repeat(i % 90)); if (i % 7 === 0) sink.flush(); }
    sink.write("y".repeat(20000));
    sink.flush();
    const started = performance.now();
    process.stderr.write("blocked " + (started > 60000));
  `;
  const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "pipe" });
  const told = await new Response(child.stderr).text();
  const lines = (await new Response(child.stdout).text()).split("\n");
  expect(told).toBe("blocked false");
  expect(lines.length).toBe(3002);
  expect(lines[2999]).toBe(`line 2999 ${"x".repeat(2999 % 90)}`);
  expect(lines[3000]?.length).toBe(20_000);
});

test("a descriptor without a reader: every line of the lost piece is counted", async () => {
  // One line was counted for a piece of many.
  const module = join(import.meta.dir, "../../../../src/control/logs/sink-descriptor.ts");
  const script = `
    import { DescriptorSink } from ${JSON.stringify(module)};
    process.on("SIGPIPE", () => {});
    const sink = new DescriptorSink(1);
    await Bun.stdin.text();
    for (let i = 0; i < 50; i++) sink.write("line " + i);
    sink.flush();
    sink.write("late");
    process.stderr.write(String(sink.dropped));
  `;
  const child = Bun.spawn([process.execPath, "-e", script], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
  await child.stdout.cancel();
  await child.stdin.end();
  expect(await new Response(child.stderr).text()).toBe("51");
});

describe("one log line of the configuration", () => {
  function run(
    rest: Partial<LogTarget>,
    levels: readonly (0 | 1 | 2 | 3 | 4 | 5 | 6 | 7)[],
  ): string[] {
    const lines: string[] = [];
    const sink = {
      name: "test",
      dropped: 0,
      write: (line: string) => void lines.push(line),
      flush: () => undefined,
      close: () => undefined,
    };
    const target: LogTarget = {
      sink: { kind: "unix", path: "/dev/log" },
      format: "priority",
      facility: 16,
      lengthMax: 1024,
      levelMax: 7,
      levelMin: 0,
      ...rest,
    };
    const writer = new TargetWriter(target, sink, { tag: "t", pid: 1, hostname: "" });
    for (const [index, level] of levels.entries()) writer.send(level, 0, `m${index}`);
    return lines;
  }
  test("levels: less severe ones are left out, more severe ones capped", () => {
    expect(run({ levelMax: 5 }, [0, 5, 6])).toEqual(["<128>m0", "<133>m1"]);
    expect(run({ levelMin: 5 }, [0, 5, 6])).toEqual(["<133>m0", "<133>m1", "<134>m2"]);
  });
  test("sampling takes its share of each period", () => {
    const sample = {
      ranges: [
        { from: 1, to: 1 },
        { from: 3, to: 4 },
      ],
      size: 5,
    };
    const lines = run({ sample, format: "raw" }, Array<6>(12).fill(6));
    expect(lines).toEqual(["m0", "m2", "m3", "m5", "m7", "m8", "m10"]);
  });
  test("length counts all but the end of the line; descriptors have none", () => {
    expect(run({ lengthMax: 6 }, [6])).toEqual(["<134>m"]);
    expect(run({ lengthMax: 6, sink: { kind: "fd", fd: 1 } }, [6])).toEqual(["<134>m0"]);
  });
});
