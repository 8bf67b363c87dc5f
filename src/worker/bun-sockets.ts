/**
 * A worker on Bun's sockets and loop: without the native module, or with `SLUICE_LOOP=bun`.
 */
import { onNextTurn, startTimer } from "../base/clock.ts";
import type { Conduit } from "../conduit/conduit.ts";
import { nativeModule } from "../conduit/native.ts";
import { Acceptor } from "../conduit/tcp/acceptor.ts";
import type { AcceptSource } from "../conduit/tcp/acceptor.ts";
import { dialTcp, setDialFaultHandler } from "../conduit/tcp/dial.ts";
import type { TcpConduit } from "../conduit/tcp/tcp-conduit.ts";
import { checkDescriptors } from "../data/accept/descriptors.ts";
import type { Engine } from "../data/engine.ts";
import type { BindSpec } from "../tables/spec.ts";
import type { Fault, Sockets } from "./sockets.ts";

/** A descriptor that is always there, to try whether another one can be had. */
const STDERR = 2;

/** Sockets of Bun. */
export function makeBunSockets(fault: Fault): Sockets {
  let engine: Engine | null = null;
  // The highest descriptor seen: a new one may be the last.
  let highest = 0;
  const acceptOne = (conduit: TcpConduit, onAccept: (conduit: Conduit) => void): void => {
    const { fd } = conduit.socket as unknown as { fd: number };
    onAccept(conduit);
    if (fd <= highest || engine === null) return;
    highest = fd;
    checkDescriptors(engine);
  };
  setDialFaultHandler(fault);
  return {
    startTimer,
    nextTurn: onNextTurn,
    dial: dialTcp,
    forgetTarget: () => {},
    listen: (spec, fd, _frontend, onAccept) =>
      new Acceptor(acceptSource(spec, fd), (conduit) => acceptOne(conduit, onAccept), fault),
    hasDescriptor,
    // One read is Bun's to size: up to 512 KiB.
    configure: () => {},
    // Control refuses QUIC where there is no loop of ours.
    configureQuic: () => {},
    start(started) {
      engine = started;
      engine.listenToBell();
    },
    stop: (done) => done(),
    cut: () => {},
  };
}

/** Is a descriptor to be had right now? True where nobody can tell. */
export function hasDescriptor(): boolean {
  const native = nativeModule();
  const copy = native === null ? 0 : native.dup(STDERR);
  if (copy > 0) native!.close(copy);
  return copy >= 0;
}

function acceptSource(spec: BindSpec, fd: number): AcceptSource {
  const native = nativeModule();
  if (fd >= 0 && native !== null) return { kind: "fd", fd, native };
  return { kind: "address", address: spec.address, v6only: spec.v6only };
}
