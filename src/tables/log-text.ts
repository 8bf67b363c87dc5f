/**
 * Short texts in records of the log ring: UTF-8 in 32-bit words, the first byte in the lowest bits
 * whatever the machine. One writer, one reader, as of the ring. Cold: only records of TLS clients
 * have texts.
 */

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const scratch = new Uint8Array(256);

/**
 * Writes as many whole characters as there is room for.
 * @param at offset of the text's first word; `at - 1` gets its length in bytes
 * @param room in words, at most 64
 * @returns false when it had to be cut
 */
export function putText(words: Int32Array, at: number, room: number, text: string): boolean {
  const { read, written } = encoder.encodeInto(text, scratch.subarray(0, room * 4));
  words[at - 1] = written;
  for (let index = 0; index < written; index += 4) {
    words[at + (index >> 2)] =
      scratch[index]! |
      (scratch[index + 1]! << 8) |
      (scratch[index + 2]! << 16) |
      (scratch[index + 3]! << 24);
  }
  return read === text.length;
}

/** What `putText` has written. */
export function getText(words: Int32Array, at: number): string {
  const length = Math.min(words[at - 1]!, scratch.length);
  for (let index = 0; index < length; index++) {
    scratch[index] = words[at + (index >> 2)]! >>> ((index & 3) * 8);
  }
  return decoder.decode(scratch.subarray(0, length));
}
