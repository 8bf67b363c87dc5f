/** TCP's conduit over Bun's sockets: the shared suite. */
import { afterAll } from "bun:test";

import type { ConduitOwner } from "../../../src/conduit/conduit.ts";
import { FRONT } from "../../../src/conduit/conduit.ts";
import { nativeModule, OPT_BACKLOG, OPT_COUNT } from "../../../src/conduit/native.ts";
import { encodeSocketAddress } from "../../../src/conduit/sockaddr.ts";
import { Acceptor } from "../../../src/conduit/tcp/acceptor.ts";
import { dialTcp } from "../../../src/conduit/tcp/dial.ts";
import type { TcpConduit } from "../../../src/conduit/tcp/tcp-conduit.ts";
import { runConduitSuite } from "../../support/conduit-suite.ts";
import type { ConduitCase, SuitePeer } from "../../support/conduit-suite.ts";
import { makeTcpFarEnd, targetOf, until } from "../../support/tcp-far-end.ts";

/** How long nothing may happen before nothing will. */
const QUIET_MS = 40;

/** Our side listens: connections come out as conduits. */
function makeAcceptor(): { port: number; next(): Promise<TcpConduit> } {
  const waiting: TcpConduit[] = [];
  const native = nativeModule()!;
  const { bytes } = encodeSocketAddress({ family: "ipv4", host: "127.0.0.1", port: 0 });
  const options = new Int32Array(OPT_COUNT);
  options[OPT_BACKLOG] = 16;
  const fd = native.listen(bytes, bytes.length, options, null);
  const name = new Uint8Array(128);
  native.name(fd, 0, name, name.length);
  const fault = (where: string, text: string): void => {
    throw new Error(`${where}: ${text}`);
  };
  const accept = (conduit: TcpConduit): void => {
    // Held until the test has its owner: nothing may be lost in between.
    conduit.pause();
    waiting.push(conduit);
  };
  const acceptor = new Acceptor({ kind: "fd", fd, native }, accept, fault);
  acceptor.start();
  afterAll(() => {
    acceptor.pause();
    native.close(fd);
  });
  return {
    port: (name[2]! << 8) | name[3]!,
    next: async () => {
      await until(() => waiting.length > 0);
      return waiting.shift()!;
    },
  };
}

async function makeCase(): Promise<ConduitCase> {
  const acceptor = makeAcceptor();
  const far = await makeTcpFarEnd();
  return {
    name: "TCP's conduit over real sockets",
    until,
    settle: () => Bun.sleep(QUIET_MS),
    accept: async (owner: ConduitOwner) => {
      const peer = await far.connect(acceptor.port);
      const conduit = await acceptor.next();
      conduit.setOwner(owner, FRONT);
      conduit.resume();
      return { conduit, peer };
    },
    dial: async (owner) => {
      far.accepted.length = 0;
      const conduit = dialTcp(targetOf(far.port), owner);
      if (typeof conduit === "number") throw new Error(`dialling failed with ${conduit}`);
      const peer = async (): Promise<SuitePeer> => {
        await until(() => far.accepted.length > 0);
        return far.accepted[0]!;
      };
      return { conduit, peer };
    },
    dialNobody: (owner) => dialTcp(targetOf(far.nobodyPort), owner),
  };
}

runConduitSuite(await makeCase());
