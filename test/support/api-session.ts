/** A session of the runtime API over a socket that a test plays, with commands of its own. */
import { runCommand } from "../../src/api/call.ts";
import type { Outcome, RunningCall } from "../../src/api/call.ts";
import type { Asker, Reply } from "../../src/api/command.ts";
import type { RawCommand } from "../../src/api/lines.ts";
import { Session } from "../../src/api/session.ts";
import type { Control } from "../../src/control/control.ts";
import { adminAsker } from "./rig-control.ts";
import { SimClock } from "./sim-clock.ts";

/** What a test's command does: it may set `call.endsAt`, wait, throw. */
export type FakeCommand = (call: RunningCall) => Reply | Promise<Reply>;

/** A session and both ends of its socket. */
export class SessionRig {
  readonly clock = new SimClock();
  readonly session: Session;
  readonly asker: Asker;
  /** What the client has got. */
  received = "";
  /** Bytes that the socket takes before it is full. */
  room = Infinity;
  /** Sizes of writes. */
  readonly writes: number[] = [];
  isPaused = false;
  hasShutDown = false;
  isClosed = false;
  endedCount = 0;
  /** `severity text` of the journal. */
  readonly told: string[] = [];
  readonly #decoder = new TextDecoder();
  #turns: (() => void)[] = [];
  /** Number of the last change in the log, and those who wait for the workers to have it. */
  sequence = 0;
  readonly waiters: (() => void)[] = [];
  /** Turns of the event loop that passed. */
  turnCount = 0;

  constructor(commands: Record<string, FakeCommand> = {}, asker: Partial<Asker> = {}) {
    this.asker = { ...adminAsker(), ...asker };
    const control = {
      clock: this.clock,
      startedAtMs: this.clock.nowMs(),
      environment: new Map([["HOME", "/"]]),
      // A command that fails may hold locks of backends: here are none.
      shop: { lb: { backends: [] } },
      say: (severity: string, text: string) => void this.told.push(`${severity} ${text}`),
    } as unknown as Control;
    const wire = {
      write: (bytes: Uint8Array, offset: number, length: number) =>
        this.#write(bytes.subarray(offset, offset + length)),
      pause: () => void (this.isPaused = true),
      resume: () => void (this.isPaused = false),
      shutdown: () => void (this.hasShutDown = true),
      close: () => void (this.isClosed = true),
    };
    this.session = new Session(control, this.asker, wire, {
      clock: this.clock,
      startTimer: (delayMs, run) => this.clock.start(0, delayMs, run),
      onNextTurn: (run) => void this.#turns.push(run),
      settling: {
        sequence: () => this.sequence,
        settle: () => new Promise((resolve) => void this.waiters.push(resolve)),
      },
      run: (call, raw) => runFake(commands, call, raw),
      ended: () => void this.endedCount++,
    });
  }

  #write(bytes: Uint8Array): number {
    if (this.isClosed) return -1;
    const taken = Math.min(this.room, bytes.length);
    this.room -= taken;
    if (taken > 0) this.writes.push(taken);
    this.received += this.#decoder.decode(bytes.subarray(0, taken), { stream: true });
    return taken;
  }

  /** The client sends; everything that follows from it happens. */
  async send(...texts: string[]): Promise<void> {
    for (const text of texts) {
      this.session.received(Buffer.from(text));
      await this.settle();
    }
  }

  /** The client reads so much more. */
  async take(bytes: number): Promise<void> {
    this.room += bytes;
    this.session.drained();
    await this.settle();
  }

  /** The client closes its side. */
  async endInput(): Promise<void> {
    this.session.inputEnded();
    await this.settle();
  }

  /** The client is gone. */
  async vanish(): Promise<void> {
    this.isClosed = true;
    this.session.vanished();
    await this.settle();
  }

  /** Time passes. */
  async pass(ms: number): Promise<void> {
    this.clock.advance(ms);
    while (this.clock.fire(0) !== undefined);
    await this.settle();
  }

  /** Lets promises and turns of the event loop go on until nothing moves. */
  async settle(): Promise<void> {
    for (;;) {
      for (let i = 0; i < 30; i++) await undefined;
      const due = this.#turns.splice(0);
      if (due.length === 0) return;
      this.turnCount++;
      for (const run of due) run();
    }
  }

  /** Takes what the client has got so far. */
  text(): string {
    const text = this.received;
    this.received = "";
    return text;
  }
}

function runFake(
  commands: Record<string, FakeCommand>,
  call: RunningCall,
  raw: RawCommand,
): Outcome | Promise<Outcome> {
  const command = commands[call.words[0] ?? ""];
  return runCommand(call, raw, command === undefined ? undefined : () => command(call));
}
