/**
 * `ssl_c_s_dn`: entries of a certificate's distinguished name. Cold, any thread. The name comes as
 * OpenSSL's one line: `/C=FR/O=Example/CN=client one`.
 */
import type { SampleContext } from "./context.ts";

/**
 * The subject of the client's certificate, or a part of it (manual 7.3.4).
 * @param entry `CN`, `OU`…; "" = all of it
 * @param occurrence which of several: from 1, or from the end where negative; 0 = the first
 * @param format "" or `rfc2253`: of the whole name
 * @returns undefined when there is none
 */
export function fetchSubject(
  context: SampleContext,
  entry: string,
  occurrence: number,
  format: string,
): string | undefined {
  const subject = context.text("ssl_c_s_dn") ?? "";
  if (subject === "") {
    // A log record has the common name alone.
    const isFirst = entry === "CN" && (occurrence === 0 || occurrence === 1);
    const commonName = isFirst ? context.text("ssl_c_cn") : undefined;
    return commonName === "" ? undefined : commonName;
  }
  const entries = entriesOf(subject);
  if (entry === "") return format === "rfc2253" ? rfc2253(entries) : subject;
  const values = entries.filter(([name]) => name === entry).map(([, value]) => value);
  return occurrence === 0 ? values[0] : values.at(occurrence > 0 ? occurrence - 1 : occurrence);
}

function entriesOf(subject: string): [name: string, value: string][] {
  return subject
    .split(/\/(?=[A-Za-z][A-Za-z0-9.]*=|[0-9.]+=)/u)
    .filter((part) => part !== "")
    .map((part): [string, string] => {
      const at = part.indexOf("=");
      return [part.slice(0, at), part.slice(at + 1)];
    });
}

/** RFC 2253: the last entry first, separated by commas, special characters escaped. */
function rfc2253(entries: readonly (readonly [string, string])[]): string {
  const escape = (value: string): string =>
    value.replace(/[,+"\\<>;]|^[ #]| $/gu, (char) => `\\${char}`);
  return entries
    .toReversed()
    .map(([name, value]) => `${name}=${escape(value)}`)
    .join(",");
}
