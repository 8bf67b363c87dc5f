/** A name server that lies, is slow, or is somebody else: over real sockets. */
import { afterEach, describe, expect, test } from "bun:test";

import { DNS_PORT_UNASKED_MAX } from "../../../../src/base/limits.ts";
import { makeQuestion } from "../../../../src/control/names/message.ts";
import type { Answer } from "../../../../src/control/names/message.ts";
import { Nameserver } from "../../../../src/control/names/nameserver.ts";
import { systemTransport } from "../../../../src/control/names/sockets.ts";
import { DnsServer, encodeReply, RCODE } from "../../../support/dns-server.ts";
import type { DnsQuestion, DnsReply } from "../../../support/dns-server.ts";
import { until } from "../../../support/procs.ts";

const open: (AsyncDisposable | { close(): void })[] = [];

afterEach(async () => {
  for (const one of open.splice(0)) {
    if ("close" in one) one.close();
    else await one[Symbol.asyncDispose]();
  }
});

/** A server with a script, and the client that asks it. */
async function pair(
  script?: (question: DnsQuestion) => DnsReply | "table",
  wants: { isTcp?: boolean; maxconn?: number; bytesMax?: number; random32?: () => number } = {},
): Promise<{ server: DnsServer; client: Nameserver }> {
  const server = await DnsServer.start();
  server.addresses("a.test", "10.0.0.1");
  server.script = script;
  const { isTcp = false, maxconn = 0, bytesMax = 512, random32 } = wants;
  const address = { family: "ipv4", host: "127.0.0.1", port: server.port } as const;
  const client = new Nameserver({ name: "ns", address, isTcp, maxconn }, bytesMax, {
    transport: systemTransport,
    random32: random32 ?? (() => crypto.getRandomValues(new Uint32Array(1))[0]!),
    nowMs: () => performance.now(),
    soon: (run) => run(),
  });
  open.push(server, client);
  return { server, client };
}

/** What a question is answered with; `answered` stays empty while nothing comes. */
function ask(client: Nameserver, name = "a.test"): { answered: Answer[]; cancel(): void } {
  const answered: Answer[] = [];
  const asked = client.ask(makeQuestion(name, "A", 512), (answer) => void answered.push(answer));
  return { answered, cancel: () => client.cancel(asked) };
}

const GOOD: Answer = {
  kind: "addresses",
  hasAlias: false,
  addresses: [{ family: 4, host: "10.0.0.1" }],
};

describe("over UDP", () => {
  test("a good answer, once", async () => {
    const { client } = await pair((question) => {
      const [one] = encodeReply(question, {
        answers: [{ name: "a.test", type: "A", data: "10.0.0.1" }],
      });
      return { bytes: [one!, one!] };
    });
    const { answered } = ask(client);
    await until("the second copy", () => client.counters.outdated === 1);
    expect(answered).toEqual([GOOD]);
    expect(client.counters).toMatchObject({ sent: 1, sendErrors: 0 });
  });

  test("another id is nobody's answer: the right one still counts", async () => {
    const { client } = await pair((question) => {
      const answers = [{ name: "a.test", type: "A", data: "6.6.6.6" } as const];
      const wrong = encodeReply(question, { answers, id: question.id ^ 1 });
      const good = [{ name: "a.test", type: "A", data: "10.0.0.1" } as const];
      return { bytes: [...wrong, ...encodeReply(question, { answers: good })] };
    });
    const { answered } = ask(client);
    await until("an answer", () => answered.length > 0);
    expect(answered).toEqual([GOOD]);
    expect(client.counters.outdated).toBe(1);
  });

  test("what comes from another address or port is not seen", async () => {
    const other = await Bun.udpSocket({
      hostname: "127.0.0.1",
      port: 0,
      socket: { error: () => undefined },
    });
    open.push(other);
    let liar: Buffer | undefined;
    const { client } = await pair((question) => {
      const answers = [{ name: "a.test", type: "A", data: "6.6.6.6" } as const];
      liar ??= encodeReply(question, { answers })[0]!;
      other.send(liar, question.from, "127.0.0.1");
      return "table";
    });
    const { answered } = ask(client);
    await until("an answer", () => answered.length > 0);
    expect(answered).toEqual([GOOD]);
    expect(client.counters.outdated).toBe(0);
  });

  const lies: [name: string, reply: DnsReply, kind: Answer["kind"]][] = [
    ["another name", { question: { name: "b.test", type: "A" } }, "invalid"],
    ["another type", { question: { name: "a.test", type: "AAAA" } }, "invalid"],
    ["nothing", {}, "empty"],
    ["a refusal", { rcode: RCODE.refused }, "refused"],
    ["a name that leads in rings", ringReply(), "alias"],
    ["more than was wanted", hugeReply(), "too-big"],
  ];
  for (const [name, reply, kind] of lies) {
    test(`${name} is no good answer`, async () => {
      const { client } = await pair(() => reply);
      const { answered } = ask(client);
      await until("an answer", () => answered.length > 0);
      expect(answered).toEqual([{ kind } as Answer]);
    });
  }

  test("garbage and silence are no answer at all", async () => {
    const { server, client } = await pair(() => ({ bytes: [Buffer.from("x"), Buffer.alloc(0)] }));
    const { answered, cancel } = ask(client);
    await until("the garbage", () => client.counters.outdated > 0);
    server.script = () => undefined;
    cancel();
    const next = ask(client);
    await until("the question", () => server.asked.length === 2);
    expect([answered, next.answered]).toEqual([[], []]);
  });

  test("an answer that comes after its question was given up", async () => {
    let late: (() => void) | undefined;
    const { server, client } = await pair(() => undefined);
    const first = ask(client);
    await until("the question", () => server.asked.length === 1);
    first.cancel();
    server.script = (question) => {
      // The answer to the first question comes with that to the second.
      const old = server.asked[0]!;
      const answers = [{ name: "a.test", type: "A", data: "10.0.0.1" } as const];
      late?.();
      return {
        bytes: [...encodeReply(old, { answers }), ...encodeReply(question, { answers })],
      };
    };
    const second = ask(client);
    await until("an answer", () => second.answered.length > 0);
    expect([first.answered, second.answered]).toEqual([[], [GOOD]]);
    expect(client.counters.outdated).toBe(1);
  });

  test("a port to which too much comes that nobody asked for is closed", async () => {
    const { server, client } = await pair(() => ({
      bytes: Array.from({ length: DNS_PORT_UNASKED_MAX + 50 }, () => Buffer.from("x")),
    }));
    const first = ask(client);
    await until("the flood", () => client.counters.outdated > DNS_PORT_UNASKED_MAX);
    await Bun.sleep(20);
    expect(client.counters.outdated).toBe(DNS_PORT_UNASKED_MAX + 1);
    server.script = undefined;
    first.cancel();
    const second = ask(client);
    await until("an answer", () => second.answered.length === 1);
    expect(new Set(server.asked.map(({ from }) => from)).size).toBe(2);
    expect([first.answered, second.answered]).toEqual([[], [GOOD]]);
  });

  test("ids differ, and ports change", async () => {
    const { server, client } = await pair();
    const all = Array.from({ length: 200 }, () => ask(client));
    await until("all answers", () => all.every(({ answered }) => answered.length === 1));
    const ports = new Set(server.asked.map(({ from }) => from));
    expect(ports.size).toBe(4);
    const byPort = Map.groupBy(server.asked, ({ from }) => from);
    for (const questions of byPort.values()) {
      expect(new Set(questions.map(({ id }) => id)).size).toBe(questions.length);
    }
  });

  test("ids that chance gives twice are told apart", async () => {
    const { server, client } = await pair(undefined, { random32: () => 7 });
    const all = Array.from({ length: 3 }, () => ask(client));
    await until("all answers", () => all.every(({ answered }) => answered.length === 1));
    expect(server.asked.map(({ id }) => id).toSorted()).toEqual([7, 8, 9]);
  });

  test("nobody listens there", async () => {
    const { server, client } = await pair();
    server.close();
    const first = ask(client);
    ask(client);
    await Bun.sleep(20);
    expect(first.answered).toEqual([]);
    await server.open();
    const third = ask(client);
    await until("an answer", () => third.answered.length === 1);
  });
});

describe("over TCP", () => {
  test("what was truncated is asked for again", async () => {
    const { server, client } = await pair(({ isTcp }) => (isTcp ? "table" : { isTruncated: true }));
    const { answered } = ask(client);
    await until("an answer", () => answered.length > 0);
    expect(answered).toEqual([GOOD]);
    expect(server.asked.map(({ isTcp }) => isTcp)).toEqual([false, true]);
    expect(client.counters).toMatchObject({ sent: 2, truncated: 1 });
  });

  test("an answer may be longer there", async () => {
    const hosts = Array.from({ length: 100 }, (_, i) => `10.0.1.${i}`);
    const { server, client } = await pair();
    server.addresses("a.test", ...hosts);
    server.script = ({ isTcp }) => (isTcp ? "table" : { isTruncated: true });
    const { answered } = ask(client);
    await until("an answer", () => answered.length > 0);
    expect(answered[0]).toMatchObject({ kind: "addresses" });
    const [one] = answered;
    expect(one?.kind === "addresses" ? one.addresses.length : 0).toBe(100);
  });

  test("four questions a connection, and not more connections than may be", async () => {
    const { server, client } = await pair(() => undefined, { isTcp: true, maxconn: 2 });
    const all = Array.from({ length: 12 }, () => ask(client));
    await until("the first questions", () => server.asked.length === 8);
    await Bun.sleep(20);
    expect(server.asked.length).toBe(8);
    expect(new Set(server.asked.map(({ from }) => from)).size).toBe(2);
    server.script = undefined;
    for (const { cancel } of all.slice(0, 8)) cancel();
    await until("the others", () => all.slice(8).every(({ answered }) => answered.length === 1));
    expect(server.asked.every(({ isTcp }) => isTcp)).toBe(true);
  });

  test("nobody listens there: that is known at once, and the next question tries again", async () => {
    const { server, client } = await pair(undefined, { isTcp: true });
    server.close();
    const first = ask(client);
    await until("an end", () => first.answered.length > 0);
    expect(first.answered).toEqual([{ kind: "other" }]);
    await server.open();
    const second = ask(client);
    await until("an answer", () => second.answered.length > 0);
    expect(second.answered).toEqual([GOOD]);
  });

  test("a byte at a time, and two at once", async () => {
    const { port, stop } = trickling();
    open.push({ close: stop });
    const address = { family: "ipv4", host: "127.0.0.1", port } as const;
    const client = new Nameserver({ name: "ns", address, isTcp: true, maxconn: 1 }, 512, {
      transport: systemTransport,
      random32: () => crypto.getRandomValues(new Uint32Array(1))[0]!,
      nowMs: () => performance.now(),
      soon: (run) => run(),
    });
    open.push(client);
    const [first, second] = [ask(client), ask(client)];
    await until("both", () => first.answered.length + second.answered.length === 2);
    expect([first.answered, second.answered]).toEqual([[GOOD], [GOOD]]);
  });
});

function ringReply(): DnsReply {
  return {
    answers: [
      { name: "a.test", type: "CNAME", data: "b.test" },
      { name: "b.test", type: "CNAME", data: "a.test" },
    ],
  };
}

function hugeReply(): DnsReply {
  const answers = Array.from({ length: 60 }, (_, i) => {
    return { name: "a.test", type: "A", data: `10.0.0.${i}` } as const;
  });
  return { answers };
}

/** Answers over TCP: the first answer in single bytes, with half of the next behind it. */
function trickling(): { port: number; stop(): void } {
  const listener = Bun.listen<{ rest: Buffer; answers: Buffer[] }>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => void (socket.data = { rest: Buffer.alloc(0), answers: [] }),
      data: async (socket, bytes) => {
        const { data } = socket;
        data.rest = Buffer.concat([data.rest, bytes]);
        while (data.rest.length > 2 && data.rest.length >= 2 + data.rest.readUInt16BE(0)) {
          const end = 2 + data.rest.readUInt16BE(0);
          const message = data.rest.subarray(2, end);
          const question = { id: message.readUInt16BE(0), name: "a.test", type: "A" };
          const whole = { ...question, isTcp: true, from: 0, bytes: message };
          const answers = [{ name: "a.test", type: "A", data: "10.0.0.1" } as const];
          const [answer] = encodeReply(whole, { answers });
          const length = Buffer.alloc(2);
          length.writeUInt16BE(answer!.length);
          data.answers.push(Buffer.concat([length, answer!]));
          data.rest = data.rest.subarray(end);
        }
        if (data.answers.length < 2) return;
        const [first, second] = data.answers as [Buffer, Buffer];
        for (const byte of first.subarray(0, -1)) {
          socket.write(Buffer.from([byte]));
          socket.flush();
          await Bun.sleep(1);
        }
        socket.write(Buffer.concat([first.subarray(-1), second.subarray(0, 20)]));
        await Bun.sleep(5);
        socket.write(second.subarray(20));
      },
      error: () => undefined,
    },
  });
  return { port: listener.port, stop: () => listener.stop(true) };
}
