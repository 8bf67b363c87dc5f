import type { Conduit, ConduitOwner } from "../../../src/conduit/conduit.ts";
import { BACK, CLOSE_REFUSED, FRONT } from "../../../src/conduit/conduit.ts";
import { join, runConduitSuite } from "../../support/conduit-suite.ts";
import type { ConduitCase, SuitePeer } from "../../support/conduit-suite.ts";
import { SimConduit, SimTcpConduit } from "../../support/sim-conduit.ts";
import { Choices } from "../../support/sim-random.ts";
import { CONNECTED, SimSocket } from "../../support/sim-socket.ts";
import type { SocketHabits } from "../../support/sim-socket.ts";

const HABITS: SocketHabits = {
  pieceBytesMax: 30_000,
  roomBytes: 200_000,
  shortWrite: 0,
  spuriousDrain: 0.1,
};
const NOWHERE = { remote: (): void => {}, local: (): void => {} };
/** Rounds without an event after which nothing will come any more. */
const QUIET_ROUNDS = 3;
const ROUNDS_MAX = 200_000;

class SimPeer implements SuitePeer {
  readonly socket: SimSocket;
  private readonly pieces: Uint8Array[] = [];
  private unsent: Uint8Array = new Uint8Array(0);
  private isFinishing = false;
  private isReading = true;

  constructor(socket: SimSocket) {
    this.socket = socket;
  }

  send(bytes: Uint8Array): void {
    this.unsent = join([this.unsent, bytes]);
  }

  finish(): void {
    this.isFinishing = true;
  }

  reset(): void {
    this.socket.reset();
  }

  received(): Uint8Array {
    return join(this.pieces);
  }

  receivedBytes(): number {
    return this.pieces.reduce((sum, piece) => sum + piece.length, 0);
  }

  hasEnd(): boolean {
    return this.socket.sawEnd;
  }

  hasReset(): boolean {
    return this.socket.sawReset;
  }

  setReading(isReading: boolean): void {
    this.isReading = isReading;
  }

  /** Does what it can do now. @returns whether that was anything */
  act(): boolean {
    const taken = this.unsent.length === 0 ? 0 : this.socket.send(this.unsent);
    this.unsent = this.unsent.subarray(taken);
    const piece = this.isReading ? this.socket.take(50_000) : undefined;
    if (piece !== undefined) this.pieces.push(piece);
    if (this.isFinishing && this.unsent.length === 0) {
      this.isFinishing = false;
      this.socket.finish();
      return true;
    }
    return taken > 0 || piece !== undefined;
  }
}

type Make = (
  socket: SimSocket,
  owner: ConduitOwner,
  side: number,
  isConnecting: boolean,
) => Conduit;

function makeCase(name: string, make: Make): ConduitCase {
  const choices = new Choices(7, false, null);
  const sockets: SimSocket[] = [];
  const peers: SimPeer[] = [];
  const connect = (): { socket: SimSocket; peer: SimPeer } => {
    const socket = new SimSocket(sockets.length + 1, HABITS, choices);
    const peer = new SimPeer(socket);
    sockets.push(socket);
    peers.push(peer);
    return { socket, peer };
  };
  const round = (): boolean => {
    let acted = false;
    for (const peer of peers) acted = peer.act() || acted;
    for (const socket of sockets) {
      if (!socket.isReady) continue;
      socket.deliver();
      acted = true;
    }
    return acted;
  };
  const settle = async (): Promise<void> => {
    for (let i = 0, quiet = 0; quiet < QUIET_ROUNDS && i < ROUNDS_MAX; i++) {
      quiet = round() ? 0 : quiet + 1;
    }
  };
  return {
    name,
    settle,
    accept: async (owner) => {
      const { socket, peer } = connect();
      return { peer, conduit: make(socket, owner, FRONT, false) };
    },
    dial: async (owner) => {
      const { socket, peer } = connect();
      socket.isConnecting = true;
      socket.decide(CONNECTED);
      return { conduit: make(socket, owner, BACK, true), peer: async () => peer };
    },
    dialNobody: (owner) => {
      const { socket } = connect();
      socket.isConnecting = true;
      socket.decide(CLOSE_REFUSED);
      return make(socket, owner, BACK, true);
    },
    until: async (condition) => {
      for (let i = 0; !condition(); i++) {
        round();
        if (i > ROUNDS_MAX) throw new Error("the condition never held");
      }
    },
  };
}

runConduitSuite(
  makeCase("the simulator's pipe", (socket, owner, side, isConnecting) => {
    return new SimConduit(socket, NOWHERE, owner, side, isConnecting);
  }),
);
runConduitSuite(
  makeCase("TCP's conduit over simulated sockets", (socket, owner, side, isConnecting) => {
    return new SimTcpConduit(socket, NOWHERE, owner, side, isConnecting);
  }),
);
