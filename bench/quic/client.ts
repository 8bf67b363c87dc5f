/** What the clients of the QUIC benchmarks do, over conduits of either kind. */
import { CLOSE_CLEAN, type Conduit, type ConduitOwner } from "../../src/conduit/conduit.ts";
import { type Ends, fail, type QuicClient } from "./ends.ts";
import { RECEIPT_BYTES } from "./server.ts";

/** One measurement. */
export type Job = {
  what: "bulk" | "echo" | "streams" | "handshakes" | "latency" | "fresh" | "idle";
  port: number;
  isQuic: boolean;
  /** QUIC connections; of TCP, `connections × streams` are opened. */
  connections: number;
  /** Streams at a time on each connection. */
  streams: number;
  warmupMs: number;
  measureMs: number;
  /** Ends after so many streams or requests, if not 0. */
  countMax: number;
  /** Ends after so many bytes, if not 0. */
  bytesMax: number;
  name: string;
  authority: string;
};

/** What came of it. */
export type JobResult = {
  seconds: number;
  bytes: number;
  count: number;
  p50Us: number;
  p99Us: number;
};

const CHUNK = Buffer.alloc(262_144, "c");
CHUNK[0] = "u".charCodeAt(0);
const ECHO_CHUNK = Buffer.alloc(262_144, "e");
const REQUEST_BYTES = 100;

/** Tells the driver. */
export type Say = (line: string) => void;

/** Opens streams or connections, and keeps time. */
export class Client {
  readonly #ends: Ends;
  readonly #job: Job;
  readonly #say: Say;
  readonly #connections: QuicClient[] = [];
  /** By connection: who waits for the room for a stream. */
  readonly #waiting = new Map<QuicClient, Worker[]>();
  #measuredFrom = 0;
  #bytes = 0;
  #count = 0;
  #latencies: number[] = [];
  #isOver = false;

  constructor(ends: Ends, job: Job, say: Say) {
    this.#ends = ends;
    this.#job = job;
    this.#say = say;
  }

  /** Connects and begins. */
  start(): void {
    const { what, isQuic } = this.#job;
    if (what === "handshakes") return this.#startHandshakes();
    if (!isQuic) return this.#begin(() => this.#openTcp());
    this.#connectMany(() => this.#begin(() => this.#openQuic()));
  }

  /** All connections, a few handshakes at a time, then `then`. */
  #connectMany(then: () => void): void {
    const { connections } = this.#job;
    let begun = 0;
    let done = 0;
    const next = (): void => {
      if (begun >= connections) return;
      begun++;
      const connection = this.#connect();
      this.#connections.push(connection);
      connection.onReady = () => {
        done++;
        if (done === connections) then();
        else next();
      };
    };
    for (let i = 0; i < 16; i++) next();
  }

  #connect(): QuicClient {
    const { port, name, authority } = this.#job;
    return this.#ends.connectQuic(port, name, authority);
  }

  /** Time begins when everybody works. */
  #begin(open: () => void): void {
    const { warmupMs, measureMs, what } = this.#job;
    open();
    if (what === "idle") return;
    const { loop } = this.#ends;
    loop.startTimer(warmupMs, () => {
      this.#measuredFrom = performance.now();
      this.#bytes = 0;
      this.#count = 0;
      this.#latencies = [];
      this.#say("BEGIN");
      if (this.#job.countMax === 0) loop.startTimer(measureMs, () => this.finish());
    });
  }

  /** Tells the result and ends. */
  finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const sorted = this.#latencies.sort((a, b) => a - b);
    const at = (part: number): number => sorted[Math.floor(sorted.length * part)] ?? 0;
    const result: JobResult = {
      seconds: (performance.now() - this.#measuredFrom) / 1_000,
      bytes: this.#bytes,
      count: this.#count,
      p50Us: Math.round(at(0.5) * 1_000),
      p99Us: Math.round(at(0.99) * 1_000),
    };
    this.#say(`RESULT ${JSON.stringify(result)}`);
    for (const connection of this.#connections) {
      connection.onGone = () => {};
      connection.close();
    }
    this.#ends.loop.startTimer(20, () => process.exit(0));
  }

  counted(bytes: number, isWhole: boolean, latencyMs: number): void {
    this.#bytes += bytes;
    const { countMax, bytesMax } = this.#job;
    if (isWhole) {
      this.#count++;
      if (latencyMs > 0) this.#latencies.push(latencyMs);
    }
    if (this.#measuredFrom === 0) return;
    if (countMax > 0 && this.#count >= countMax) this.finish();
    if (bytesMax > 0 && this.#bytes >= bytesMax) this.finish();
  }

  #openTcp(): void {
    const { connections, streams } = this.#job;
    let opened = 0;
    const next = (): void => {
      if (opened >= connections * streams) return;
      opened++;
      this.#openOne((owner) => this.#ends.dialTcp(this.#job.port, owner), next);
    };
    for (let i = 0; i < Math.min(64, connections * streams); i++) next();
  }

  #openQuic(): void {
    const { streams } = this.#job;
    const left = this.#connections.map(() => streams);
    const next = (i: number): void => {
      if ((left[i] ?? 0) <= 0) return;
      left[i]!--;
      const connection = this.#connections[i]!;
      this.#openOne(
        (owner) => connection.open(owner),
        () => next(i),
      );
    };
    for (const connection of this.#connections) {
      const waiting: Worker[] = [];
      this.#waiting.set(connection, waiting);
      connection.onRoom = () => {
        for (const worker of waiting.splice(0)) worker.begin();
      };
    }
    for (let i = 0; i < this.#connections.length; i++) {
      for (let k = 0; k < Math.min(16, streams); k++) next(i);
    }
  }

  /** One worker's place: opened now, and opened anew after each stream where the job wants it. */
  #openOne(open: (owner: ConduitOwner) => Conduit | null, onFirst: () => void): void {
    const worker = new Worker(this, this.#job, open, onFirst);
    worker.begin();
  }

  #idleOpen = 0;

  /** An idle stream has been answered. */
  idled(): void {
    this.#idleOpen++;
    const { connections, streams } = this.#job;
    if (this.#idleOpen === connections * streams) this.#say("IDLE");
  }

  /** Connects, one stream, closes: as many at a time as there are connections. */
  #startHandshakes(): void {
    const { connections, countMax, measureMs, warmupMs } = this.#job;
    const again = (): void => {
      if (this.#isOver) return;
      const connection = this.#connect();
      connection.onReady = () => {
        const owner = new Echoing(1, () => {
          connection.onGone = () => {};
          connection.close();
          this.counted(0, true, 0);
          again();
        });
        const conduit = connection.open(owner);
        if (conduit === null) fail("no stream on a fresh connection");
        else owner.begin(conduit);
      };
    };
    for (let i = 0; i < connections; i++) again();
    this.#ends.loop.startTimer(warmupMs, () => {
      this.#measuredFrom = performance.now();
      this.#count = 0;
      this.#say("BEGIN");
      if (countMax === 0) this.#ends.loop.startTimer(measureMs, () => this.finish());
    });
  }
}

/** Sends one request and waits for its echo and the end. */
class Echoing implements ConduitOwner {
  readonly #bytes: number;
  readonly #onDone: () => void;
  #conduit: Conduit | null = null;
  #received = 0;
  #isDone = false;

  constructor(bytes: number, onDone: () => void) {
    this.#bytes = bytes;
    this.#onDone = onDone;
  }

  begin(conduit: Conduit): void {
    this.#conduit = conduit;
    if (conduit.write(ECHO_CHUNK, 0, this.#bytes) !== this.#bytes) fail("a request was not taken");
    conduit.finish();
    conduit.resume();
  }

  #over(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    if (this.#received !== this.#bytes) fail(`${this.#received} of ${this.#bytes} bytes came back`);
    this.#onDone();
  }

  onOpen(): void {
    if (this.#conduit !== null) this.begin(this.#conduit);
  }

  /** Of TCP: begins when it is connected. */
  waitFor(conduit: Conduit): void {
    this.#conduit = conduit;
  }

  onData(_side: number, _bytes: Uint8Array, _offset: number, length: number): number {
    this.#received += length;
    return length;
  }

  onEnd(): void {
    this.#conduit?.close();
    this.#over();
  }

  onClose(_side: number, code: number): void {
    if (code !== CLOSE_CLEAN) fail(`a stream was broken off (${code})`);
    this.#over();
  }

  onReset(): void {
    fail("a stream was reset");
  }

  onStop(): void {
    fail("a stream was stopped");
  }

  onDrain(): void {}
  onEndAhead(): void {}
  onMoved(): void {}
}

/** One place at which streams are opened, one after the other. */
class Worker implements ConduitOwner {
  readonly #client: Client;
  readonly #job: Job;
  readonly #open: (owner: ConduitOwner) => Conduit | null;
  #onFirst: (() => void) | null;
  #conduit: Conduit | null = null;
  #sent = 0;
  #received = 0;
  #beganMs = 0;

  constructor(
    client: Client,
    job: Job,
    open: (owner: ConduitOwner) => Conduit | null,
    onFirst: () => void,
  ) {
    this.#client = client;
    this.#job = job;
    this.#open = open;
    this.#onFirst = onFirst;
  }

  begin(): void {
    this.#sent = 0;
    this.#received = 0;
    this.#beganMs = performance.now();
    const conduit = this.#open(this);
    if (conduit === null) return;
    this.#conduit = conduit;
    // A TCP connection is not open yet: onOpen begins.
    if (this.#job.isQuic) this.onOpen();
  }

  onOpen(): void {
    this.#first();
    this.#conduit!.resume();
    this.onDrain();
  }

  #first(): void {
    const tell = this.#onFirst;
    this.#onFirst = null;
    tell?.();
  }

  onDrain(): void {
    const { what } = this.#job;
    const conduit = this.#conduit!;
    if (what === "bulk" || what === "echo") {
      const chunk = what === "bulk" ? CHUNK : ECHO_CHUNK;
      for (;;) {
        // The first byte says what is wanted; what follows is read by nobody.
        const taken = conduit.write(chunk, 0, chunk.length);
        if (taken < chunk.length) return;
      }
    }
    const wanted = what === "idle" ? 1 : REQUEST_BYTES;
    if (this.#sent >= wanted) return;
    const taken = conduit.write(ECHO_CHUNK, this.#sent, wanted - this.#sent);
    if (taken > 0) this.#sent += taken;
    if (this.#sent === wanted && (what === "streams" || what === "fresh")) conduit.finish();
  }

  onData(_side: number, _bytes: Uint8Array, _offset: number, length: number): number {
    const { what } = this.#job;
    this.#received += length;
    if (what === "echo") this.#client.counted(length, false, 0);
    else if (what === "bulk") this.#client.counted(length * RECEIPT_BYTES, false, 0);
    else if (what === "idle") this.#client.idled();
    else if (what === "latency" && this.#received === REQUEST_BYTES) {
      this.#client.counted(0, true, performance.now() - this.#beganMs);
      this.#sent = 0;
      this.#received = 0;
      this.#beganMs = performance.now();
      this.onDrain();
    }
    return length;
  }

  #over(): void {
    const { what } = this.#job;
    if (what !== "streams" && what !== "fresh") fail(`a stream of '${what}' ended`);
    if (this.#received !== REQUEST_BYTES) fail(`${this.#received} bytes came back`);
    this.#client.counted(0, true, performance.now() - this.#beganMs);
    this.begin();
  }

  onEnd(): void {
    this.#conduit?.close();
    this.#over();
  }

  onClose(_side: number, code: number): void {
    if (code !== CLOSE_CLEAN) fail(`a stream was broken off (${code})`);
    this.#over();
  }

  onReset(): void {
    fail("a stream was reset");
  }

  onStop(): void {
    fail("a stream was stopped");
  }

  onEndAhead(): void {}
  onMoved(): void {}
}
