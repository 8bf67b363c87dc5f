/**
 * What control asks the owners of streams: pages of descriptions, one stream by its name, shutting
 * down one or many. What they answer is held against the streams themselves.
 */
import { ASK_STREAMS_MAX, SHUTDOWN_STREAMS_PER_TURN } from "../../src/base/limits.ts";
import { formatStreamId, parseStreamId } from "../../src/control/stream-id.ts";
import type { StreamName } from "../../src/control/stream-id.ts";
import { answerQuestion, findStream } from "../../src/data/ask/answer.ts";
import { shutBySelector } from "../../src/data/shutdown.ts";
import { STREAM_FREE, STREAM_QUEUE } from "../../src/data/stream.ts";
import type { Stream } from "../../src/data/stream.ts";
import type { ToWorker } from "../../src/tables/mutations.ts";
import { packAnswer, unpackAnswer } from "../../src/tables/questions.ts";
import type { Answer, Question, StreamFilter, StreamRecord } from "../../src/tables/questions.ts";
import type { SimWorker } from "./sim-worker.ts";
import { require } from "./violation.ts";
import type { World } from "./world.ts";

type Shutdown = ToWorker & { type: "shutdown" };

/** Names that are kept to be used when the streams are long gone. */
const NAMES_MAX = 50;

/** Names of streams that control has heard of. */
export class Names {
  private readonly ids: string[] = [];

  add(name: StreamName): void {
    if (this.ids.length === NAMES_MAX) this.ids.shift();
    this.ids.push(formatStreamId(name));
  }

  /** One of them, old or new. */
  pick(world: World): StreamName | undefined {
    if (this.ids.length === 0) return undefined;
    const name = parseStreamId(world.choices.pick(this.ids));
    require(typeof name === "object", "an id names a stream");
    return name;
  }
}

/** Control asks a worker. */
export function askWorker(world: World): boolean {
  const { choices } = world;
  const running = world.workers.filter((worker) => worker.isRunning);
  if (running.length === 0) return false;
  const worker = choices.pick(running);
  const question = drawQuestion(world);
  world.trace(() => `control asks w${worker.number}: ${JSON.stringify(question)}`);
  worker.messages.push({ type: "ask", id: 1, question });
  return true;
}

function drawQuestion(world: World): Question {
  const { choices, shop } = world;
  const proxy = choices.pick(shop.model.proxies);
  const rows = [...shop.model.serverByRow.keys()];
  const serverRow = rows.length === 0 ? 0 : choices.pick(rows);
  if (choices.chance(0.2)) {
    const filter = choices.chance(0.5) ? { serverRow } : { backendRow: proxy.row };
    return { kind: "holders", filter, from: 1, examples: choices.between(0, 3) };
  }
  const filters: StreamFilter[] = [
    {},
    {},
    { serverRow },
    { backendRow: proxy.row },
    { frontendRow: proxy.row },
    { olderThanMs: choices.below(500) },
    { isSuspicious: true },
  ];
  return {
    kind: "streams",
    filter: choices.pick(filters),
    from: choices.pick([1, 1, 1, choices.between(1, 20)]),
    limit: choices.pick([1, 3, 1000]),
    until: choices.pick([Infinity, world.clock.nowMs() - choices.below(100)]),
    isFull: choices.chance(0.5),
  };
}

/** Control has one stream shut down, by a name that may be stale. */
export function shutOne(world: World): boolean {
  const name = world.names.pick(world);
  if (name === undefined) return false;
  world.hasShutDown = true;
  world.trace(() => `control shuts down ${formatStreamId(name)}`);
  const selector = { kind: "stream", ...name } as const;
  const worker = world.workers[name.worker - 1];
  require(worker !== undefined, "an id names a worker");
  if (!worker.isRunning) return false;
  worker.messages.push({ type: "shutdown", id: 1, selector, cause: "killed" });
  return true;
}

/** A worker reads a question: its answer is looked at where the streams can be. */
export function readQuestion(worker: SimWorker, question: Question): void {
  const { world, engine } = worker;
  const streams = engine.streams.filter((one) => one !== null && one.state !== STREAM_FREE);
  const before = streams.map((one) => one!.state);
  const answer = unpackAnswer(packAnswer(answerQuestion(engine, question)));
  require(streams.every((one, i) => one!.state === before[i]), "a question changes nothing");
  world.marks.hit("workers were asked");
  if (answer.kind === "streams" && question.kind === "streams") {
    checkPage(worker, question, answer);
  } else if (answer.kind === "holders" && question.kind === "holders") {
    checkHolders(worker, question, answer);
  } else require(false, "an answer is of the question's kind");
}

function checkPage(
  worker: SimWorker,
  question: Question & { kind: "streams" },
  { streams, next }: Answer & { kind: "streams" },
): void {
  const { engine, world } = worker;
  require(streams.length <=
    Math.min(question.limit, ASK_STREAMS_MAX), "a page is no longer than asked");
  let last = question.from - 1;
  for (const record of streams) {
    require(record.slot > last, "a page is in the order of slots");
    last = record.slot;
    const stream = findStream(engine, record.slot, record.generation);
    require(stream !== null, "only living streams are described");
    checkRecord(stream, record, question);
    world.names.add(record);
  }
  const stop = next === 0 ? engine.streams.length : next;
  require(streams.length === 0 || last < stop, "a page ends where the next begins");
  // What is suspicious is for a unit test to say.
  if (question.filter.isSuspicious === true) return;
  let matching = 0;
  for (let slot = question.from; slot < stop; slot++) {
    const stream = engine.streams[slot]!;
    if (stream.state !== STREAM_FREE && isAsked(stream, question)) matching++;
  }
  require(matching === streams.length, "a page leaves out nobody", () =>
    `w${worker.number}: ${matching} match, ${streams.length} described`);
}

function isAsked(stream: Stream, { filter, until }: Question & { kind: "streams" }): boolean {
  const { frontendRow, backendRow, serverRow, olderThanMs } = filter;
  const age = stream.engine.clock.nowMs() - stream.acceptedAtMs;
  return (
    stream.acceptedAtMs <= until &&
    (frontendRow === undefined || stream.frontend.row === frontendRow) &&
    (backendRow === undefined || stream.backend?.row === backendRow) &&
    (serverRow === undefined || stream.server?.row === serverRow) &&
    (olderThanMs === undefined || age >= olderThanMs)
  );
}

function checkRecord(
  stream: Stream,
  record: StreamRecord,
  question: Question & { kind: "streams" },
): void {
  const says = (holds: boolean, what: string): void =>
    require(holds, "a description is true", () => `${what}: ${JSON.stringify(record)}`);
  says(isAsked(stream, question), "filter");
  says(record.backend === (stream.backend?.name ?? ""), "backend");
  says(record.server === (stream.server?.name ?? ""), "server");
  says(record.bytesUp === stream.bytesUp && record.bytesDown === stream.bytesDown, "bytes");
  says((record.state === "queue") === (stream.state === STREAM_QUEUE), "state");
  says(record.queuePlace > 0 === (record.state === "queue"), "place in the queue");
  says((record.back !== null) === (stream.back !== null), "back");
  says(record.ageMs >= 0, "age");
}

function checkHolders(
  worker: SimWorker,
  { filter, examples }: Question & { kind: "holders" },
  answer: Answer & { kind: "holders" },
): void {
  const held = worker.engine.streams.filter((stream): stream is Stream => {
    if (stream === null || stream.state === STREAM_FREE) return false;
    if ("serverRow" in filter) return stream.isAttached && stream.server?.row === filter.serverRow;
    return stream.backend?.row === filter.backendRow;
  });
  const ages = held.map((stream) => worker.world.clock.nowMs() - stream.acceptedAtMs);
  require(answer.count === held.length, "all holders are counted");
  require(answer.oldestMs === Math.max(-1, ...ages.map(Math.round)), "the oldest holder is told");
  require(answer.examples.length === Math.min(examples, held.length), "holders are named");
  for (const example of answer.examples) {
    const stream = findStream(worker.engine, example.slot, example.generation);
    require(stream !== null && held.includes(stream), "a named holder is one");
    worker.world.names.add(example);
  }
}

/** A worker reads a request to shut streams down; when it answers, they are gone. */
export function readShutdown(worker: SimWorker, request: Shutdown): void {
  const { world, engine } = worker;
  const { selector } = request;
  const isNamed = selector.kind === "stream";
  const meant = isNamed ? findStream(engine, selector.slot, selector.generation) : null;
  if (isNamed) world.marks.hit(meant === null ? "stale id" : "shut down by id");
  const before = engine.streams.filter((one) => one !== null && one.state !== STREAM_FREE);
  const names = before.map((one) => ({ stream: one!, generation: one!.generation }));
  const perTurn = world.choices.pick([1, 2, SHUTDOWN_STREAMS_PER_TURN]);
  let isOver = false;
  const done = (count: number): void => {
    isOver = true;
    if (count > 0) world.trace(() => `${count} streams shut down`);
    if (isNamed) {
      require(count === (meant === null ? 0 : 1), "an id ends the stream that it names, if any");
      require(findStream(engine, selector.slot, selector.generation) === null, "… wholly");
    }
    if (selector.kind !== "all") return;
    const left = names.filter(
      ({ stream, generation }) => stream.generation === generation && stream.state !== STREAM_FREE,
    );
    require(left.length === 0, "whoever is told that streams were shut down finds none of them");
  };
  shutBySelector(engine, request, done, perTurn);
  if (!isOver) world.marks.hit("shut down over several turns");
}
