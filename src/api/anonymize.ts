/**
 * Names and addresses as `set anon on` shows them: hashes of 24 bits under the connection's key,
 * the same for the same name, too short to be turned back. Whoever shows a name asks here first.
 */
import type { Asker } from "./command.ts";

const BITS_24 = 0xff_ffff;

/** A name, or its hash when the connection wants no names. */
export function anonymName(asker: Asker, name: string): string {
  return asker.anonymKey === 0 || name === "" ? name : hash(asker.anonymKey, name);
}

/** An address, or a hash of its host; the port stays, as in HAProxy. */
export function anonymAddress(asker: Asker, address: string): string {
  if (asker.anonymKey === 0) return address;
  const found = /^(.*?)(:\d+)?$/s.exec(address);
  const [host = "", port = ""] = found?.slice(1) ?? [];
  return host === "" || host === "*" ? address : `${hash(asker.anonymKey, host)}${port}`;
}

function hash(key: number, text: string): string {
  const value = Bun.hash.xxHash32(text, key) & BITS_24;
  return value.toString(16).padStart(6, "0");
}
