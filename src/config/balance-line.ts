/** The words after `balance` and `hash-type` (HAProxy manual 4.2). */
import { DRAWS_MAX } from "../base/limits.ts";
import { parseSample } from "../expr/parse.ts";
import type { BalanceSpec } from "../tables/spec.ts";
import { alertLine } from "./context.ts";
import type { Line } from "./context.ts";
import type { ProxyDraft } from "./draft.ts";
import { parseInteger, parseTime } from "./numbers.ts";
import { didYouMean } from "./suggest.ts";

const PLAIN: readonly BalanceSpec["algorithm"][] = [
  "roundrobin",
  "static-rr",
  "leastconn",
  "first",
  "source",
];

/** `decay` of `peak-ewma` where it is not given. */
const PEAK_EWMA_DECAY_MS = 10_000;

/** Algorithms that need HTTP or a persistence cookie. */
const LATER = ["uri", "url_param", "hdr", "rdp-cookie", "log-hash", "sticky"];

/** `balance ALGORITHM`. */
export function parseBalance(line: Line, proxy: ProxyDraft): void {
  const { balance } = proxy.settings;
  const [written, ...rest] = line.args;
  if (written === undefined) {
    balance.algorithm = "roundrobin";
    return;
  }
  const name = written.replace(/\(.*$/u, "");
  const plain = PLAIN.find((algorithm) => algorithm === written);
  if (plain !== undefined) {
    if (rest.length > 0) {
      alertLine(line, `'balance' cannot handle unexpected argument '${rest[0] ?? ""}'.`);
      return;
    }
    balance.algorithm = plain;
    delete balance.sample;
  } else if (name === "random") {
    parseRandom(line, balance, written);
  } else if (name === "peak-ewma") {
    parsePeakEwma(line, balance, written, rest);
  } else if (written === "hash") {
    parseHash(line, balance, rest);
  } else if (LATER.includes(name)) {
    line.context.coming(line.origin, `'balance ${name}'`, "it (roundrobin is used)");
  } else {
    const known = [...PLAIN, "random", "peak-ewma", "hash"];
    const list = known.map((word) => `'${word}'`).join(", ");
    const hint = didYouMean(name, [...known, ...LATER]);
    alertLine(line, `balance only supports ${list} (got '${written}')${hint}`);
  }
}

function parseRandom(line: Line, balance: BalanceSpec, written: string): void {
  const match = /^random(?:\(([^)]*)\))?$/u.exec(written);
  const draws = match === null ? undefined : parseInteger(match[1] ?? "2", 1, 65535);
  if (draws?.ok !== true || line.args.length > 1) {
    alertLine(line, "balance random : number of draws must be at least 1.");
    return;
  }
  balance.algorithm = "random";
  balance.draws = draws.value;
}

/** `peak-ewma[(<draws>)] [decay <time>] [first-byte]`: this program's own (docs/outliers.md). */
function parsePeakEwma(
  line: Line,
  balance: BalanceSpec,
  written: string,
  rest: readonly string[],
): void {
  const match = /^peak-ewma(?:\(([^)]*)\))?$/u.exec(written);
  const draws = match === null ? undefined : parseInteger(match[1] ?? "2", 1, DRAWS_MAX);
  if (draws?.ok !== true) {
    alertLine(line, `balance peak-ewma : number of draws must be between 1 and ${DRAWS_MAX}.`);
    return;
  }
  let decayMs = PEAK_EWMA_DECAY_MS;
  let timesFirstByte = false;
  const words = [...rest];
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word === "first-byte") {
      timesFirstByte = true;
      continue;
    }
    if (word !== "decay") {
      const list = "'decay <time>' and 'first-byte'";
      alertLine(line, `balance peak-ewma : only supports ${list} (got '${word}').`);
      return;
    }
    const decay = parseTime(words.shift() ?? "");
    if (!decay.ok || decay.value === 0) {
      const why = decay.ok ? "the time must be above 0" : decay.message;
      alertLine(line, `balance peak-ewma : 'decay' : ${why}.`);
      return;
    }
    decayMs = decay.value;
  }
  Object.assign(balance, { algorithm: "peak-ewma", draws: draws.value, decayMs, timesFirstByte });
}

function parseHash(line: Line, balance: BalanceSpec, rest: readonly string[]): void {
  const text = rest[0];
  if (text === undefined) {
    alertLine(line, "balance hash requires a sample expression.");
    return;
  }
  const sample = parseSample(text);
  if (!sample.ok) {
    const isLater = sample.kind !== "mistake" && sample.kind !== "unknown";
    if (isLater) line.context.coming(line.origin, `'balance hash ${text}'`, "it");
    else alertLine(line, `balance hash : ${sample.message}`);
    return;
  }
  if (rest.length > 1) {
    alertLine(line, `'balance hash' cannot handle unexpected argument '${rest[1] ?? ""}'.`);
    return;
  }
  balance.algorithm = "hash";
  balance.sample = sample.value;
}

const METHODS: readonly BalanceSpec["hashType"][] = ["map-based", "consistent"];
const FUNCTIONS: readonly BalanceSpec["hashFunction"][] = ["sdbm", "djb2", "wt6", "crc32", "none"];

/** `hash-type METHOD [FUNCTION] [avalanche]`. */
export function parseHashType(line: Line, proxy: ProxyDraft): void {
  const [method = "", ...rest] = line.args;
  const hashType = METHODS.find((name) => name === method);
  if (hashType === undefined) {
    // The form before 1.5: `avalanche` alone meant map-based with it.
    if (method === "avalanche" && rest.length === 0) {
      Object.assign(proxy.settings.balance, { hashType: "map-based", avalanche: true });
      return;
    }
    const hint = didYouMean(method, METHODS);
    alertLine(line, `'hash-type' only supports 'consistent' and 'map-based'${hint}.`);
    return;
  }
  let hashFunction: BalanceSpec["hashFunction"] = "sdbm";
  // Without a function, consistent hashing needs the finishing step to spread well.
  let avalanche = rest.length === 0 && hashType === "consistent";
  const words = [...rest];
  if (words[0] !== undefined && words[0] !== "avalanche") {
    const found = FUNCTIONS.find((name) => name === words[0]);
    if (found === undefined) {
      const list = "'sdbm', 'djb2', 'crc32', 'wt6' or 'none'";
      const hint = didYouMean(words[0], FUNCTIONS);
      alertLine(line, `'hash-type' only supports ${list} hash functions${hint}.`);
      return;
    }
    hashFunction = found;
    words.shift();
  }
  if (words[0] !== undefined) {
    if (words[0] !== "avalanche" || words.length > 1) {
      alertLine(line, "'hash-type' only supports 'avalanche' as a modifier for hash functions.");
      return;
    }
    avalanche = true;
  }
  Object.assign(proxy.settings.balance, { hashType, hashFunction, avalanche });
}

/** `hash-balance-factor PERCENT`. */
export function parseBalanceFactor(line: Line, proxy: ProxyDraft): void {
  const value = parseInteger(line.args[0] ?? "", 0, 65535);
  if (!value.ok || (value.value > 0 && value.value <= 100)) {
    alertLine(line, "'hash-balance-factor' must be 0 or greater than 100.");
    return;
  }
  proxy.settings.balance.balanceFactor = value.value;
}
