/**
 * Servers that come back gently, and those that real connections show to be ill: control's slow
 * starts on simulated time, and an oracle for what workers report of connection errors in a row.
 */
import type { ServerObject } from "../../src/control/model.ts";
import { SlowStart } from "../../src/control/slowstart.ts";
import { STREAM_RELAY } from "../../src/data/stream.ts";
import type { Stream } from "../../src/data/stream.ts";
import { SERVER_STATE_DRAIN, SERVER_STATE_UP } from "../../src/tables/generated/enums.ts";
import { SERVER_CONNECT_FAILURES, SERVER_THROTTLE } from "../../src/tables/generated/server.ts";
import { CONTROL_THREAD } from "../../src/tables/inbox.ts";
import { require } from "./violation.ts";
import type { SimServer, World } from "./world.ts";

/** What is known of a server's connections. */
type Tally = {
  /** Failed attempts before the step under way. */
  before: number;
  /** … before the step in which a connection was seen to succeed last. */
  atSuccess: number;
};

export class ComingBack {
  private readonly world: World;
  private readonly slowStart: SlowStart;
  private readonly begunAtMs = new Map<SimServer, number>();
  /** By row and generation. */
  private readonly tallies = new Map<string, Tally>();
  /** Connections that were seen already: when each stream was connected. */
  private readonly seen = new WeakMap<Stream, string>();

  constructor(world: World) {
    this.world = world;
    const { clock, tables, lb } = world;
    this.slowStart = new SlowStart({
      tables,
      lb,
      nowMs: () => clock.nowMs(),
      startTimer: (delayMs, run) => clock.start(CONTROL_THREAD, delayMs, run),
      ended: ({ spec }) => {
        world.trace(() => `${spec.name} has all of its weight again`);
        world.marks.hit("slow start ended");
      },
    });
  }

  /** Control gives a server another state: balancing is refreshed next. */
  change(server: SimServer, old: number, state: number): void {
    const { object } = server;
    const isServing = state === SERVER_STATE_UP || state === SERVER_STATE_DRAIN;
    const wasServing = old === SERVER_STATE_UP || old === SERVER_STATE_DRAIN;
    if (!isServing) this.slowStart.cancel(object);
    else if (!wasServing || this.slowStart.elapsedMs(object) !== undefined) {
      this.begunAtMs.set(server, this.world.clock.nowMs());
      this.slowStart.begin(object);
    }
  }

  /** The slow starts, for whoever else lets servers back. */
  get ramps(): SlowStart {
    return this.slowStart;
  }

  /** Control has let a server back that was ejected. */
  returned(object: ServerObject): void {
    const server = this.world.servers.find((one) => one.object === object)!;
    this.begunAtMs.set(server, this.world.clock.nowMs());
  }

  /** The turn of control's loop. */
  turn(): void {
    const { clock, servers, tables } = this.world;
    while (clock.isDue(CONTROL_THREAD)) clock.fire(CONTROL_THREAD);
    for (const server of servers) {
      if (server.isGone) continue;
      const { row, spec } = server.object;
      if (tables.servers.words[row + SERVER_THROTTLE] === 0) continue;
      const elapsedMs = clock.nowMs() - (this.begunAtMs.get(server) ?? -Infinity);
      require(elapsedMs < spec.slowstartMs, "a slow start ends in time", () =>
        `${spec.name}: ${elapsedMs} of ${spec.slowstartMs} ms`);
    }
  }

  /** A worker says that so many connections in a row have failed. */
  report(row: number, generation: number, count: number): void {
    const { world } = this;
    const failed = world.tables.servers.words[row + SERVER_CONNECT_FAILURES]!;
    const since = this.tallies.get(`${row}/${generation}`)?.atSuccess ?? 0;
    world.trace(() => `a worker reports ${count} errors in a row, ${failed - since} there were`);
    world.marks.hit("connection errors reported");
    require(failed - since >= count, "connection errors that are reported came in a row", () =>
      `${count} told, ${failed - since} since the last success`);
  }

  /** After a step: who has been connected in it. */
  settle(): void {
    const { workers, servers, tables } = this.world;
    for (const worker of workers) {
      if (!worker.isRunning) continue;
      for (const stream of worker.engine.streams) {
        if (stream === null || stream.state !== STREAM_RELAY || stream.server === null) continue;
        const { row, generation } = stream.server;
        const connection = `${stream.generation} ${row} ${stream.connectedAtMs}`;
        if (this.seen.get(stream) === connection) continue;
        this.seen.set(stream, connection);
        const tally = this.tallyOf(row, generation);
        tally.atSuccess = tally.before;
      }
    }
    for (const { object, isGone } of servers) {
      if (isGone) continue;
      const failed = tables.servers.words[object.row + SERVER_CONNECT_FAILURES]!;
      this.tallyOf(object.row, object.generation).before = failed;
    }
  }

  private tallyOf(row: number, generation: number): Tally {
    const key = `${row}/${generation}`;
    let tally = this.tallies.get(key);
    if (tally === undefined) {
      tally = { before: 0, atSuccess: 0 };
      this.tallies.set(key, tally);
    }
    return tally;
  }
}
