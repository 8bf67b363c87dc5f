/**
 * node:quic as both ends of a benchmark, to compare with: the same jobs, as far as it can do them,
 * by its own means. A process of its own, as peer.ts.
 */
import { writeSync } from "node:fs";

import {
  connectNode,
  type NodeSession,
  type NodeStream,
  serveNode,
  writeAll,
} from "../../test/support/quic-node.ts";
import type { Job, JobResult } from "./client.ts";
import { RECEIPT_BYTES } from "./server.ts";

const ALPN = "bench";
const UPLOAD = 117;
const CHUNK = Buffer.alloc(262_144, "u");
const ECHO = Buffer.alloc(262_144, "e");
const REQUEST_BYTES = 100;

const say = (line: string): void => void writeSync(1, `${line}\n`);

async function serve(stream: NodeStream): Promise<void> {
  let received = 0;
  let receipts = 0;
  let mode = 0;
  for await (const chunks of stream) {
    for (const chunk of chunks) {
      if (mode === 0) mode = chunk[0] ?? 0;
      received += chunk.length;
      if (mode !== UPLOAD) {
        if (!(await writeAll(stream, chunk))) return;
        continue;
      }
      const due = Math.floor(received / RECEIPT_BYTES) - receipts;
      if (due > 0) await writeAll(stream, ECHO.subarray(0, due));
      receipts += due;
    }
  }
  stream.writer.endSync();
}

/** Bytes and requests since the measurement began. */
const count = { bytes: 0, whole: 0, latencies: [] as number[] };

async function upload(session: NodeSession, isEcho: boolean): Promise<void> {
  const stream = await session.createBidirectionalStream();
  stream.closed.catch(() => {});
  const write = async (): Promise<void> => {
    while (await writeAll(stream, isEcho ? ECHO : CHUNK));
  };
  void write().catch(() => {});
  for await (const chunks of stream) {
    for (const chunk of chunks) count.bytes += chunk.length * (isEcho ? 1 : RECEIPT_BYTES);
  }
}

async function requests(session: NodeSession): Promise<void> {
  for (;;) {
    const began = performance.now();
    const stream = await session.createBidirectionalStream();
    stream.closed.catch(() => {});
    stream.writer.writeSync(ECHO.subarray(0, REQUEST_BYTES));
    stream.writer.endSync();
    for await (const _ of stream);
    count.whole++;
    count.latencies.push(performance.now() - began);
  }
}

async function pingPong(session: NodeSession): Promise<void> {
  const stream = await session.createBidirectionalStream();
  stream.closed.catch(() => {});
  let began = performance.now();
  let received = 0;
  stream.writer.writeSync(ECHO.subarray(0, REQUEST_BYTES));
  for await (const chunks of stream) {
    for (const chunk of chunks) received += chunk.length;
    if (received < REQUEST_BYTES) continue;
    count.whole++;
    count.latencies.push(performance.now() - began);
    received = 0;
    began = performance.now();
    stream.writer.writeSync(ECHO.subarray(0, REQUEST_BYTES));
  }
}

async function handshakes({ port, name, authority }: Job): Promise<void> {
  for (;;) {
    const session = await connectNode(port, name, ALPN, authority);
    const stream = await session.createBidirectionalStream();
    stream.closed.catch(() => {});
    stream.writer.writeSync(ECHO.subarray(0, 1));
    stream.writer.endSync();
    for await (const _ of stream);
    await session.close();
    count.whole++;
  }
}

async function idle(sessions: readonly NodeSession[], streams: number): Promise<void> {
  for (const session of sessions) {
    for (let i = 0; i < streams; i++) {
      const stream = await session.createBidirectionalStream();
      stream.closed.catch(() => {});
      stream.writer.writeSync(ECHO.subarray(0, 1));
      await stream[Symbol.asyncIterator]().next();
    }
  }
  say("IDLE");
}

async function runJob(job: Job): Promise<void> {
  if (job.what === "handshakes") {
    for (let i = 0; i < job.connections; i++) void handshakes(job);
  } else {
    const sessions: NodeSession[] = [];
    for (let i = 0; i < job.connections; i++) {
      sessions.push(await connectNode(job.port, job.name, ALPN, job.authority));
    }
    if (job.what === "idle") return await idle(sessions, job.streams);
    for (const session of sessions) {
      for (let i = 0; i < job.streams; i++) {
        if (job.what === "latency") void pingPong(session);
        else if (job.what === "streams" || job.what === "fresh") void requests(session);
        else void upload(session, job.what === "echo");
      }
    }
  }
  await Bun.sleep(job.warmupMs);
  Object.assign(count, { bytes: 0, whole: 0, latencies: [] });
  say("BEGIN");
  const from = performance.now();
  await Bun.sleep(job.measureMs);
  const sorted = count.latencies.sort((a, b) => a - b);
  const at = (part: number): number => sorted[Math.floor(sorted.length * part)] ?? 0;
  const result: JobResult = {
    seconds: (performance.now() - from) / 1_000,
    bytes: count.bytes,
    count: count.whole,
    p50Us: Math.round(at(0.5) * 1_000),
    p99Us: Math.round(at(0.99) * 1_000),
  };
  say(`RESULT ${JSON.stringify(result)}`);
  process.exit(0);
}

const [, , role = "", text = "{}"] = process.argv;
if (role === "server") {
  const setup = JSON.parse(text) as { port: number; certificate: { chain: string; key: string } };
  await serveNode(setup.port, setup.certificate, ALPN, serve);
  say("READY");
} else {
  await runJob(JSON.parse(text) as Job);
}
