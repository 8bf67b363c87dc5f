/**
 * Accepting on the worker's own loop. The descriptor is control's: to pause is to stop watching it,
 * and the kernel goes on queueing connections.
 *
 * @hot
 */
import type { Conduit } from "../conduit.ts";
import { EMFILE, ENFILE } from "../errno.ts";
import type { LoopConduit } from "./loop-conduit.ts";
import type { LoopAcceptor, NativeLoop } from "./native-loop.ts";

/** A listening descriptor of one worker on its own loop. */
export class ListeningDescriptor implements LoopAcceptor {
  isAccepting = false;
  private readonly loop: NativeLoop;
  private readonly fd: number;
  private readonly onAccept: (conduit: Conduit) => void;
  private readonly onStarved: () => void;

  /** @param onStarved called when accept(2) found no free descriptor */
  constructor(
    loop: NativeLoop,
    fd: number,
    onAccept: (conduit: Conduit) => void,
    onStarved: () => void,
  ) {
    this.loop = loop;
    this.fd = fd;
    this.onAccept = onAccept;
    this.onStarved = onStarved;
  }

  /** Begins or goes on accepting. @returns 0 or -errno */
  start(): number {
    if (this.isAccepting) return 0;
    const result = this.loop.listen(this.fd, this);
    this.isAccepting = result === 0;
    return result;
  }

  /** Stops accepting; connections go on. */
  pause(): void {
    if (!this.isAccepting) return;
    this.isAccepting = false;
    this.loop.unlisten(this.fd);
  }

  /** Lets in whoever the kernel has already greeted, before the listener goes. */
  drain(): void {
    if (this.isAccepting) this.loop.acceptAll(this.fd);
  }

  accepted(conduit: LoopConduit): void {
    this.onAccept(conduit);
  }

  failed(errno: number): void {
    if (errno === EMFILE || errno === ENFILE) this.onStarved();
  }
}
