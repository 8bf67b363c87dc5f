/** `tcp-check connect` and `http-check connect` (HAProxy manual 4.2). */
import type { Address } from "../../tables/spec.ts";
import { parseAddress } from "../address.ts";
import { toAddress } from "../names.ts";
import { parseAlpn } from "../quic/words.ts";
import type { CheckStep } from "./draft.ts";
import type { RuleWords } from "./rule-words.ts";

type Connect = CheckStep<"connect">;

const WORDS =
  "'comment', 'port', 'addr', 'send-proxy', 'ssl', 'sni', 'alpn' or 'via-socks4', 'linger', " +
  "'default'";

const FLAGS: ReadonlyMap<string, (step: Connect) => void> = new Map([
  ["default", (step: Connect) => void (step.usesDefaults = true)],
  ["send-proxy", (step: Connect) => void (step.sendProxy = true)],
  ["linger", (step: Connect) => void (step.linger = true)],
  ["ssl", (step: Connect) => void (step.isTls = true)],
]);

const VALUES: ReadonlyMap<string, (words: RuleWords, step: Connect) => boolean> = new Map([
  ["comment", takeComment],
  ["port", takePort],
  ["addr", takeAddress],
  ["sni", takeSni],
  ["alpn", takeAlpn],
  ["proto", takeProtocol],
  ["via-socks4", refuseSocks],
]);

/** Reads one; undefined after reporting what is wrong. */
export function readConnect(words: RuleWords): Connect | undefined {
  const step: Connect = {
    kind: "connect",
    origin: words.line.origin,
    usesDefaults: false,
    sendProxy: false,
    linger: false,
    isTls: false,
    alpn: [],
  };
  for (let word = words.next(); word !== undefined; word = words.next()) {
    const set = FLAGS.get(word);
    const take = VALUES.get(word);
    if (set !== undefined) set(step);
    else if (take === undefined) return words.wrong(`expects ${WORDS} but got '${word}'`);
    else if (!take(words, step)) return undefined;
  }
  return step;
}

function takeComment(words: RuleWords, step: Connect): boolean {
  const text = words.value("'comment' expects a string");
  if (text !== undefined) step.comment = text;
  return text !== undefined;
}

function takePort(words: RuleWords, step: Connect): boolean {
  const text = words.value("'port' expects a port number or a sample expression");
  if (text === undefined) return false;
  if (/^-?\d+$/u.test(text)) {
    const port = Number(text);
    const range = "a valid TCP port (from range 1 to 65535) or a sample expression";
    if (port < 1 || port > 65_535) words.wrong(`expects ${range}, got ${text}`);
    else step.port = { kind: "port", port };
    return step.port !== undefined;
  }
  const sample = words.sample(text, "error detected while parsing port expression");
  if (sample !== undefined) step.port = { kind: "sample", sample };
  return sample !== undefined;
}

function takeAddress(words: RuleWords, step: Connect): boolean {
  const text = words.value("'addr' expects <ipv4|ipv6>");
  if (text === undefined) return false;
  const address = readAddress(words, text);
  if (address !== undefined) step.address = address;
  return address !== undefined;
}

/** Names are not looked up here, as in HAProxy. */
function readAddress(words: RuleWords, text: string): Address | undefined {
  const result = parseAddress(text, {
    port: "optional",
    range: false,
    offset: false,
    transports: ["stream"],
    variables: words.line.context.environment.lookup,
  });
  if (!result.ok) return words.wrong(`'addr' : ${result.message}`);
  const { value } = result;
  if (value.kind === "fd" || value.kind === "name") {
    return words.wrong(`'addr' : invalid address: '${text}'`);
  }
  return toAddress(value, new Map());
}

function takeSni(words: RuleWords, step: Connect): boolean {
  const name = words.value("'sni' expects a string");
  if (name !== undefined) step.sni = name;
  return name !== undefined;
}

function takeAlpn(words: RuleWords, step: Connect): boolean {
  const text = words.next();
  const names =
    text === undefined
      ? { ok: false as const, message: "missing the comma-delimited ALPN protocol suite" }
      : parseAlpn(text);
  if (names.ok) step.alpn = names.value;
  else words.wrong(`'alpn' : ${names.message}`);
  return names.ok;
}

/** What checks speak anyway is taken; another one is not there. */
function takeProtocol(words: RuleWords): boolean {
  const text = words.value("'proto' expects a MUX protocol");
  if (text === undefined) return false;
  const isHttp = words.name.startsWith("http");
  if (text === (isHttp ? "h1" : "none")) return true;
  const { line } = words;
  if (["none", "h1", "h2", "fcgi", "spop", "quic"].includes(text)) {
    if (isHttp && text === "h2") {
      line.context.coming(line.origin, `'${words.name}' : 'proto h2'`, "it");
      return line.context.skipComing;
    }
    const kind = isHttp ? "http-check" : "tcp-check";
    words.wrong(`'proto' : invalid MUX protocol '${text}' for ${kind}`);
  } else {
    words.wrong(`'proto' : unknown MUX protocol '${text}'`);
  }
  return false;
}

function refuseSocks({ line, name }: RuleWords): boolean {
  line.context.coming(line.origin, `'${name}' : 'via-socks4'`, "it");
  return line.context.skipComing;
}
