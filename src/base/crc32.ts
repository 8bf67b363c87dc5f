/**
 * The two cyclic redundancy checks in use: CRC-32 (IEEE 802.3, of zlib) and CRC-32C (Castagnoli,
 * RFC 3720 appendix B.4, of the PROXY protocol's CRC32C TLV). Both reflected, initial value and
 * final exclusive-or all ones. Pure, any thread. O(bytes).
 */

const CRC32_TABLE = makeTable(0xedb88320);
const CRC32C_TABLE = makeTable(0x82f63b78);

function makeTable(polynomial: number): Uint32Array {
  const table = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    let word = i;
    for (let bit = 0; bit < 8; bit++)
      word = (word & 1) === 1 ? (word >>> 1) ^ polynomial : word >>> 1;
    table[i] = word;
  }
  return table;
}

function run(table: Uint32Array, bytes: Uint8Array, start: number, end: number): number {
  let crc = 0xffffffff;
  for (let i = start; i < end; i++) crc = table[(crc ^ bytes[i]!) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** CRC-32 of `bytes[start..end)`. @returns an unsigned 32-bit number */
export function crc32(bytes: Uint8Array, start = 0, end = bytes.length): number {
  return run(CRC32_TABLE, bytes, start, end);
}

/** CRC-32C of `bytes[start..end)`. @returns an unsigned 32-bit number */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length): number {
  return run(CRC32C_TABLE, bytes, start, end);
}
