/**
 * What clients and servers send: bytes that follow from who sends them and from their offset, so
 * that a byte that is lost, doubled, moved or delivered to somebody else is seen at once.
 */
import { seededRandom32 } from "../../src/base/prng.ts";

const TABLE_BYTES = 65_536;
/** Distance of two senders in the table: odd, so that all starts differ. */
const KEY_STEP = 1009;

const table = makeTable();

function makeTable(): Uint8Array {
  const random32 = seededRandom32(1);
  const bytes = new Uint8Array(TABLE_BYTES);
  for (let i = 0; i < bytes.length; i++) bytes[i] = random32() & 0xff;
  return bytes;
}

/** The bytes of a sender from `offset` on. */
export function contentOf(key: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = (key * KEY_STEP + offset) % TABLE_BYTES;
  for (let i = 0; i < length; i++) {
    bytes[i] = table[at]!;
    at = at + 1 === TABLE_BYTES ? 0 : at + 1;
  }
  return bytes;
}

/** Are these the bytes of the sender from `offset` on? */
export function isContentOf(key: number, offset: number, bytes: Uint8Array): boolean {
  let at = (key * KEY_STEP + offset) % TABLE_BYTES;
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] !== table[at]!) return false;
    at = at + 1 === TABLE_BYTES ? 0 : at + 1;
  }
  return true;
}
