/** Values of words that QUIC listeners and servers share. Pure. */
import type { QuicTransportSpec } from "../../tables/spec.ts";
import { parsed, parseSize, refused } from "../numbers.ts";
import type { Parsed } from "../numbers.ts";
import type { Congestion } from "./tuning.ts";

/** Longest name of a protocol, and longest list, in TLS (RFC 7301). */
const ALPN_NAME_MAX = 255;
const ALPN_LIST_MAX = 65_535;

/** `alpn h3,doq`. */
export function parseAlpn(text: string): Parsed<string[]> {
  const names = text.split(",");
  if (names.some((name) => name === "")) return refused(`an empty name in '${text}'`);
  const long = names.find((name) => Buffer.byteLength(name) > ALPN_NAME_MAX);
  if (long !== undefined) return refused(`'${long}' is longer than ${ALPN_NAME_MAX} bytes`);
  const bytes = names.reduce((sum, name) => sum + 1 + Buffer.byteLength(name), 0);
  if (bytes > ALPN_LIST_MAX) return refused("the list is too long");
  return parsed(names);
}

const ALGORITHMS: readonly QuicTransportSpec["congestion"][] = ["cubic", "newreno", "bbr"];

/** Sizes of a congestion window (manual 5.1, `quic-cc-algo`): 10k to 4g. */
export function parseWindow(text: string): Parsed<number> {
  return parseSize(text, 10 * 1_024, 4 * 1_024 ** 3);
}

/** `quic-cc-algo cubic(1m)`. */
export function parseCongestion(text: string): Parsed<Congestion> {
  const match = /^([a-z0-9_-]+)(?:\(([^()]*)\))?$/u.exec(text);
  const name = match?.[1] ?? "";
  if (name === "nocc") {
    return refused("'nocc' is not available: a window that ignores losses harms the network");
  }
  const algorithm = ALGORITHMS.find((known) => known === name);
  if (match === null || algorithm === undefined) {
    return refused(`expects 'cubic', 'newreno' or 'bbr', with '(<size>)' (got '${text}')`);
  }
  const [size = "", ...more] = (match[2] ?? "").split(",");
  const extra = more.find((word) => word !== "");
  if (extra !== undefined) return refused(`'${extra}' is not built yet: only a size is taken`);
  if (size === "") return parsed({ algorithm, cwndMax: 0 });
  const window = parseWindow(size);
  return window.ok ? parsed({ algorithm, cwndMax: window.value }) : refused(window.message);
}
