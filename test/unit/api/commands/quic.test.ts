/** `show quic`: formats, filters, ids, pages, silent workers; and QUIC in `show sess`. */
import { describe, expect, test } from "bun:test";

import { runCommand, RunningCall } from "../../../../src/api/call.ts";
import { splitLine } from "../../../../src/api/lines.ts";
import { QUIC_SECTIONS } from "../../../../src/api/quic-lines.ts";
import { FRONT } from "../../../../src/conduit/conduit.ts";
import type { Conduit } from "../../../../src/conduit/conduit.ts";
import { quicPlaceOf, TransportDesk } from "../../../../src/conduit/quic/describe.ts";
import type { QuicDesk } from "../../../../src/conduit/quic/describe.ts";
import type { Told } from "../../../../src/control/ask.ts";
import { formatQuicId, parseQuicId } from "../../../../src/control/quic-list.ts";
import { answerQuestion } from "../../../../src/data/ask/answer.ts";
import type { Engine } from "../../../../src/data/engine.ts";
import { packAnswer, unpackAnswer } from "../../../../src/tables/questions.ts";
import type { AnswerTo, Question } from "../../../../src/tables/questions.ts";
import { makeControlLab } from "../../../support/control-lab.ts";
import type { ControlLab } from "../../../support/control-lab.ts";
import { bindSpec, QuicLab } from "../../../support/quic-lab.ts";

const CONFIG = `defaults d
  mode tcp
  timeout connect 1s
  timeout client 1s
  timeout server 1s
frontend web
  default_backend app
backend app
  server s1 127.0.0.1:1
`;
const PORT = 443;

type Setup = {
  quic: QuicLab;
  lab: ControlLab;
  accepted: Conduit[];
  silent: Set<number>;
  asked: Question[];
  desk: QuicDesk;
  say(line: string): Promise<string>;
};

/** A worker with a QUIC listener of `web`, and control that asks it. */
async function make(): Promise<Setup> {
  const lab = await makeControlLab(CONFIG);
  const quic = new QuicLab();
  const accepted: Conduit[] = [];
  const { row } = lab.control.model.frontends.get("web")!;
  const acceptor = quic.hub.listen(bindSpec(), PORT, { row, timeoutClient: -1 }, (conduit) => {
    conduit.setOwner(null, FRONT);
    accepted.push(conduit);
  });
  expect(acceptor.start()).toBe(0);
  const desk = new TransportDesk(quic.near, 1);
  const engine = { environment: { quic: desk }, clock: quic.clock } as unknown as Engine;
  const silent = new Set<number>();
  const asked: Question[] = [];
  const ask = <Q extends Question>(worker: number, question: Q): Promise<Told<Q>> => {
    asked.push(question);
    if (silent.has(worker)) return Promise.resolve({ kind: "silent" });
    if (worker !== 1) return Promise.resolve({ kind: "gone" });
    const packed = packAnswer(answerQuestion(engine, structuredClone(question)));
    const answer = unpackAnswer(structuredClone(packed)) as AnswerTo<Q>;
    return Promise.resolve({ kind: "answer", answer });
  };
  const control = { ...lab.control, pool: { ...lab.control.pool, serving: () => [1, 2], ask } };
  const say = async (line: string): Promise<string> => {
    const raw = splitLine(line).commands[0]!;
    const call = new RunningCall(control as never, lab.asker, raw);
    const { code, reply } = await runCommand(call, raw);
    if (reply.kind !== "pieces") return code === "OK" ? reply.text : `${code}: ${reply.text}`;
    let text = "";
    for await (const piece of reply.pieces) text += piece;
    return text;
  };
  return { quic, lab, accepted, silent, asked, desk, say };
}

/** A client with streams. */
function connect({ quic, accepted }: Setup, streams: number): number {
  const client = quic.connect(PORT);
  quic.until(() => client.isConnected);
  const before = accepted.length;
  for (let i = 0; i < streams; i++) client.openStream().send(new Uint8Array(10));
  quic.until(() => accepted.length === before + streams);
  const found: number[] = [];
  quic.near.listConnections(0, found, 1000);
  return found.at(-1)!;
}

describe("formats", () => {
  test("a line a connection is the usual form, with HAProxy's columns", async () => {
    const setup = await make();
    const connection = connect(setup, 1);
    const text = await setup.say("show quic");
    expect(text).toBe(await setup.say("show quic oneline"));
    const [head = "", line = "", end] = text.split("\n");
    expect(end).toBe("");
    expect(head).toStartWith("# conn/frontend ");
    const id = formatQuicId({ worker: 1, connection });
    const cells = line.split(/\s+/);
    expect(cells.slice(0, 2)).toEqual([`${id}[01]/web`, "ESTAB"]);
    expect(cells[3]).toBe("-");
    expect(cells[5]).toMatch(/^192\.0\.2\.1:\d+$/);
    expect(cells[6]).toMatch(/^192\.0\.2\.2:\d+$/);
    expect(cells).toHaveLength(9);
    // States stand below their title.
    expect(line.indexOf("ESTAB")).toBe(head.indexOf("state"));
  });

  test("a line a stream", async () => {
    const setup = await make();
    const connection = connect(setup, 3);
    const id = formatQuicId({ worker: 1, connection });
    expect((await setup.say("show quic stream")).split("\n")).toEqual([
      ...[0, 4, 8].map((one) => `${id}.000${one}: client/bidi -- no sluice stream --`),
      "",
    ]);
  });

  test("everything, or parts", async () => {
    const setup = await make();
    const id = formatQuicId({ worker: 1, connection: connect(setup, 1) });
    const full = await setup.say("show quic full");
    expect(full).toStartWith(`* ${id}[01]: scid=`);
    const heads = [
      "loc. TPs:",
      "rem. TPs:",
      "fd=-1 local_addr=",
      "packets:",
      "rtt (us):",
      "window:",
    ];
    for (const head of [...heads, "streams:", "tls: sni=", "counters:"]) {
      expect(full).toContain(`\n  ${head}`);
    }
    expect(full).toContain("sni=example.test ");
    const some = await setup.say("show quic sock,cc");
    expect(some.split("\n").map((line) => line.trim().split(/[:=]/)[0])).toEqual([
      `* ${id}[01]`,
      "state",
      "fd",
      "rtt (us)",
      "window",
      "",
    ]);
    for (const section of QUIC_SECTIONS) {
      expect(await setup.say(`show quic ${section}`)).toContain(`* ${id}`);
    }
  });

  test("JSON has everything of all of them", async () => {
    const setup = await make();
    connect(setup, 2);
    const result = JSON.parse(await setup.say("json show quic")) as {
      connections: Record<string, unknown>[];
      silentWorkers: number[];
    };
    expect(result.connections).toHaveLength(1);
    expect(result.connections[0]).toMatchObject({
      worker: 1,
      side: "front",
      proxy: "web",
      server: null,
      state: "established",
      map: "stream",
      sni: "example.test",
      streamsLeft: 0,
    });
    expect(result.connections[0]!["streams"]).toHaveLength(2);
    expect(result.connections[0]!["counters"]).toMatchObject({ handshakesDone: 1 });
  });

  // A client could write lines of its own into the answer.
  test("a name stays a word, whatever a peer puts into it", async () => {
    const { say, quic } = await make();
    quic.serve(8443);
    const sni = "a\n* 0x1[01]: alpn=x\u001b[2J";
    const server = quic.hub.dial(quic.target(8443), { onOpen: () => {} } as never, {
      sni,
      session: null,
    });
    if (typeof server === "number") throw new Error(`not dialled: ${server}`);
    quic.until(() => (server as unknown as { stream: number }).stream !== 0);
    expect(await say("show quic tls be")).toContain(
      "  tls: sni=a#0A*#200x1[01]:#20alpn=x#1B[2J alpn=",
    );
  });

  test("help, and words that are none", async () => {
    const { say } = await make();
    expect(await say("show quic help")).toStartWith("Usage: show quic [help | <format>]");
    expect(await say("show quic kitchen")).toStartWith("BAD_ARGUMENT: Invalid field");
    expect(await say("show quic tp,kitchen")).toStartWith("BAD_ARGUMENT: Invalid field");
    expect(await say("show quic full kitchen")).toStartWith("BAD_ARGUMENT: Invalid argument");
    expect(await say("show quic full all more")).toStartWith("BAD_ARGUMENT: Too many");
    expect(await say("show quic 0xyz")).toStartWith("BAD_ARGUMENT: Invalid argument");
  });
});

describe("filters", () => {
  const idsIn = (text: string): string[] =>
    [...text.matchAll(/^(0x[0-9a-f]+)\[/gmu)].map((m) => m[1]!);

  test("clients that live, that are closing, servers, all, and one", async () => {
    const setup = await make();
    const { quic, say, lab } = setup;
    const live = formatQuicId({ worker: 1, connection: connect(setup, 1) });
    const closing = connect(setup, 0);
    quic.serve(8443);
    const target = quic.target(8443);
    const server = quic.hub.dial(target, { onOpen: () => {} } as never, { sni: "", session: null });
    if (typeof server === "number") throw new Error(`not dialled: ${server}`);
    quic.until(() => (server as unknown as { stream: number }).stream !== 0);
    quic.near.closeConnection(closing, true, 0n, "");
    const back = formatQuicId({ worker: 1, ...quicPlaceOf(server, setup.desk)! });
    const closed = formatQuicId({ worker: 1, connection: closing });
    expect(idsIn(await say("show quic"))).toEqual([live]);
    expect(idsIn(await say("show quic clo"))).toEqual([closed]);
    expect(idsIn(await say("show quic be"))).toEqual([back]);
    expect(new Set(idsIn(await say("show quic oneline all")))).toEqual(
      new Set([live, closed, back]),
    );
    expect(idsIn(await say(`show quic oneline ${live}`))).toEqual([live]);
    expect(idsIn(await say(`show quic ${closed}`))).toEqual([closed]);
    expect(await say("show quic be")).toContain(`${back}[01](B)/`);
    expect(await say(`show quic ${back}`)).toContain("ESTAB");
    expect(await say("show quic all")).toContain("CLOSE ");
    // Names nothing: not an error, nothing to see.
    for (const id of ["0x1ffffffff", "0x7", "0x0", "0x900000001"]) {
      expect(idsIn(await say(`show quic ${id}`))).toEqual([]);
    }
    expect(lab.control.model.frontends.has("web")).toBe(true);
  });

  test("ids are read as they are written", () => {
    const name = { worker: 12, connection: 0xfedc_ba98 };
    expect(formatQuicId(name)).toBe("0xcfedcba98");
    expect(parseQuicId("0xcfedcba98")).toEqual(name);
    expect(parseQuicId("0XCFEDCBA98")).toEqual(name);
    expect([parseQuicId("0x1"), parseQuicId("12"), parseQuicId("0x")]).toEqual([
      "unknown",
      undefined,
      undefined,
    ]);
  });
});

test("many connections come page by page, each once", async () => {
  const setup = await make();
  const count = 300;
  for (let i = 0; i < count; i++) connect(setup, 0);
  const lines = (await setup.say("show quic")).split("\n").slice(1, -1);
  expect(new Set(lines.map((line) => line.split("[")[0])).size).toBe(count);
  expect(setup.asked.length).toBeGreaterThan(3);
  const full = await setup.say("show quic full");
  expect(full.match(/^\* 0x/gm)).toHaveLength(count);
});

test("a worker that is silent is named", async () => {
  const setup = await make();
  connect(setup, 0);
  setup.silent.add(2);
  expect(await setup.say("show quic")).toEndWith(
    "# Worker 2 did not answer in time: its connections are not listed.\n",
  );
  setup.silent.add(1);
  expect(JSON.parse(await setup.say("json show quic all"))).toMatchObject({
    connections: [],
    silentWorkers: [1, 2],
  });
});

test("names and addresses are hidden from a connection that wants none", async () => {
  const setup = await make();
  connect(setup, 0);
  setup.lab.asker.anonymKey = 9;
  for (const form of ["oneline", "full"]) {
    const text = await setup.say(`show quic ${form}`);
    for (const word of ["web", "192.0.2", "example"]) expect(text).not.toContain(word);
  }
});

test("a conduit says which stream of which connection it is", async () => {
  const setup = await make();
  const connection = connect(setup, 2);
  expect(setup.accepted.map((one) => quicPlaceOf(one, setup.desk))).toEqual([
    { connection, streamId: 0 },
    { connection, streamId: 4 },
  ]);
  expect(quicPlaceOf(setup.accepted[0]!, null)).toBeNull();
  expect(quicPlaceOf({} as Conduit, setup.desk)).toBeNull();
});
