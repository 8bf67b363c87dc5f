/**
 * `stats auth`: HTTP's Basic login. Every account is compared, as digests, in constant time: how
 * long an answer takes says nothing about names, passwords, or how many there are.
 */
import { createHash, timingSafeEqual } from "node:crypto";

/** Longest header that is looked at. */
const HEADER_MAX = 4096;

const digest = (bytes: string | Uint8Array): Buffer => createHash("sha256").update(bytes).digest();

/** The accounts of one page. */
export class Accounts {
  readonly #digests: readonly { name: string; digest: Buffer }[];

  constructor(users: readonly { name: string; password: string }[]) {
    this.#digests = users.map(({ name, password }) => ({
      name,
      digest: digest(`${name}:${password}`),
    }));
  }

  /** Nobody has to log in. */
  get isEmpty(): boolean {
    return this.#digests.length === 0;
  }

  /**
   * Who a request comes from.
   * @param header value of `Authorization`
   * @returns the account's name; undefined = nobody that is known
   */
  find(header: string | undefined): string | undefined {
    const given = digest(credentialsOf(header) ?? "");
    let found: string | undefined;
    for (const account of this.#digests) {
      // No early end: each account costs the same.
      const isEqual = timingSafeEqual(account.digest, given);
      found = isEqual ? account.name : found;
    }
    return found;
  }
}

/** The bytes `name:password` of the header. */
function credentialsOf(header: string | undefined): Uint8Array | undefined {
  if (header === undefined || header.length > HEADER_MAX) return undefined;
  const match = /^basic +([A-Za-z0-9+/=_-]+) *$/i.exec(header);
  if (match === null) return undefined;
  const bytes = Buffer.from(match[1] ?? "", "base64");
  return bytes.includes(0x3a) ? bytes : undefined;
}

/** Name and password of a Basic header, for rules with user lists; undefined = none. */
export function readBasic(
  header: string | undefined,
): { name: string; password: string } | undefined {
  const bytes = credentialsOf(header);
  if (bytes === undefined) return undefined;
  const text = Buffer.from(bytes).toString("utf8");
  const colon = text.indexOf(":");
  return { name: text.slice(0, colon), password: text.slice(colon + 1) };
}
