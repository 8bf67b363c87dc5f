/**
 * What the servers of the QUIC benchmarks do with a stream; its first byte says it:
 *
 *   u …   swallow, answer with a byte for each RECEIPT_BYTES
 *   e …   echo, and end with the client
 */
import { type Conduit, type ConduitOwner, FRONT, WRITE_CLOSED } from "../../src/conduit/conduit.ts";

const UPLOAD = 117;
const ECHO = 101;
/** What each byte that answers an upload stands for. */
export const RECEIPT_BYTES = 8_192;
const RECEIPTS = Buffer.alloc(4_096, "k");

class Served implements ConduitOwner {
  readonly #conduit: Conduit;
  #mode = 0;
  #received = 0;
  #receipts = 0;

  constructor(conduit: Conduit) {
    this.#conduit = conduit;
  }

  onData(_side: number, bytes: Uint8Array, offset: number, length: number): number {
    if (this.#mode === 0) this.#mode = bytes[offset]!;
    if (this.#mode === UPLOAD) {
      this.#received += length;
      this.#sendReceipts();
      return length;
    }
    if (this.#mode === ECHO) {
      const taken = this.#conduit.write(bytes, offset, length);
      return taken === WRITE_CLOSED ? length : taken;
    }
    return length;
  }

  #sendReceipts(): void {
    const due = Math.floor(this.#received / RECEIPT_BYTES) - this.#receipts;
    if (due <= 0) return;
    const taken = this.#conduit.write(RECEIPTS, 0, Math.min(due, RECEIPTS.length));
    if (taken > 0) this.#receipts += taken;
  }

  onDrain(): void {
    if (this.#mode === UPLOAD) this.#sendReceipts();
    else this.#conduit.resume();
  }

  onEnd(): void {
    this.#conduit.close();
  }

  onReset(): void {
    this.#conduit.abort();
  }

  onStop(): void {
    this.#conduit.abort();
  }

  onOpen(): void {}
  onEndAhead(): void {}
  onMoved(): void {}
  onClose(): void {}
}

/** Serves a conduit that has just been accepted. */
export function serve(conduit: Conduit): void {
  conduit.setOwner(new Served(conduit), FRONT);
  conduit.resume();
}
