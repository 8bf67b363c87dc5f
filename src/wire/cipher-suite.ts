/** Cipher suites of TLS 1.3 by their numbers (RFC 8446 appendix B.4). Any thread. */

const NAMES: ReadonlyMap<number, string> = new Map([
  [0x1301, "TLS_AES_128_GCM_SHA256"],
  [0x1302, "TLS_AES_256_GCM_SHA384"],
  [0x1303, "TLS_CHACHA20_POLY1305_SHA256"],
  [0x1304, "TLS_AES_128_CCM_SHA256"],
  [0x1305, "TLS_AES_128_CCM_8_SHA256"],
]);

const NUMBERS: ReadonlyMap<string, number> = new Map(
  [...NAMES].map(([number, name]) => [name, number]),
);

/** The name; undefined for a number that is none of them. */
export function cipherName(number: number): string | undefined {
  return NAMES.get(number);
}

/** The number; 0 for a name that is none of them. */
export function cipherNumber(name: string): number {
  return NUMBERS.get(name) ?? 0;
}
