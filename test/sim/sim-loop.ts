/**
 * A worker's own event loop (src/conduit/loop) over simulated descriptors: the production loop and
 * its conduits, turned by the simulation.
 */
import type { Conduit, ConduitOwner } from "../../src/conduit/conduit.ts";
import { FRONT } from "../../src/conduit/conduit.ts";
import { ListeningDescriptor } from "../../src/conduit/loop/loop-acceptor.ts";
import { dialOnLoop } from "../../src/conduit/loop/loop-conduit.ts";
import { GO_ON, NativeLoop } from "../../src/conduit/loop/native-loop.ts";
import type { DialTarget } from "../../src/conduit/tcp/dial.ts";
import { checkDescriptors } from "../../src/data/accept/descriptors.ts";
import type { ListeningSocket } from "../../src/data/views.ts";
import { SimLoopConduit } from "../support/sim-conduit.ts";
import { SimNative } from "../support/sim-native.ts";
import type { SimSocket } from "../support/sim-socket.ts";
import type { Backlog, SimWorker } from "./sim-worker.ts";
import { tcpOf } from "./world.ts";
import type { World } from "./world.ts";

/** What the simulation does with a loop that is private to its thread. */
type LoopInside = {
  turn(mayRest: boolean): void;
  again: readonly unknown[];
  atTurnEnd: readonly unknown[];
};

const NO_BELL = -1;

export class SimLoop {
  private readonly world: World;
  private readonly worker: SimWorker;
  private readonly native: SimNative;
  private readonly loop: NativeLoop;

  constructor(world: World, worker: SimWorker) {
    this.world = world;
    this.worker = worker;
    this.native = new SimNative(world.choices);
    this.native.nameOf = (socket, peer) => world.nameOf(socket, peer);
    this.native.trace = (line) => world.trace(() => `  ${line()}`);
    const hooks = {
      prepareSleep: () => GO_ON,
      woken: () => {},
      fault: (_where: string, error: unknown): void => {
        throw error;
      },
    };
    const { native } = this;
    const adopt = (loop: NativeLoop, fd: number, generation: number): SimLoopConduit => {
      const conduit = new SimLoopConduit(loop, fd, generation, null, FRONT, false);
      const socket = native.socketOf(fd);
      conduit.onOwner = (owner) => world.owned(socket, owner);
      return conduit;
    };
    this.loop = new NativeLoop(native.asNative(), NO_BELL, world.clock, hooks, adopt);
    // As long as the longest delivery, so that reads are often as long as the buffer.
    this.loop.readBuffer = new Uint8Array(world.options.habits.pieceBytesMax);
  }

  private get inside(): LoopInside {
    return this.loop as unknown as LoopInside;
  }

  get isReady(): boolean {
    const { again, atTurnEnd } = this.inside;
    return again.length > 0 || atTurnEnd.length > 0 || this.native.hasEvents;
  }

  /** One turn: a poll, its events, readers that have more, what was put off to the end. */
  turn(): void {
    this.inside.turn(true);
  }

  nextTurn(run: () => void): void {
    this.loop.nextTurn(run);
  }

  dial(socket: SimSocket, target: DialTarget, owner: ConduitOwner): Conduit | number {
    this.native.dialling = socket;
    return dialOnLoop(this.loop, target, owner);
  }

  listen(backlog: Backlog, onAccept: (conduit: Conduit) => void): ListeningSocket {
    const { world, worker } = this;
    const fd = this.native.makeListener({
      isEmpty: () => backlog.clients.length === 0,
      take: () => {
        if (world.failsAccept()) return undefined;
        const client = backlog.clients.shift()!;
        world.trace(() => `w${worker.number} accepts ${client}`);
        world.admit(worker, client);
        return tcpOf(client);
      },
    });
    return new ListeningDescriptor(this.loop, fd, onAccept, () => checkDescriptors(worker.engine));
  }
}
