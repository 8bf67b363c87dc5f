/**
 * What options of `server` do on QUIC addresses, where that differs from TCP (HAProxy manual 5.2):
 * TLS, the pool of connections and `quic-cc-algo` work there; what is about TCP alone has no
 * effect, or is refused.
 */
import { parseSample, scopeOf } from "../../expr/parse.ts";
import type { LoadContext } from "../context.ts";
import { parseInteger, parseTime } from "../numbers.ts";
import { SYSTEM_CA, within } from "../quic/pem.ts";
import type { ServerTls } from "../quic/server-tls.ts";
import { parseAlpn, parseCongestion } from "../quic/words.ts";
import { oneOf, quicSides, tlsVersionSides } from "./build.ts";
import type { QuicSide } from "./keyword.ts";

/** Sets one option. Answers what is wrong with the value. */
export type ServerTlsParser = (
  tls: ServerTls,
  value: string,
  context: LoadContext,
) => string | undefined;

const INTEGER_MAX = 2 ** 31 - 1;
/** Longest name of a host. */
const HOST_NAME = /^[A-Za-z0-9_*.:-]{1,253}$/u;

function set(change: (tls: ServerTls) => void): ServerTlsParser {
  return (tls) => {
    change(tls);
    return undefined;
  };
}

const parseAlpnWord: ServerTlsParser = (tls, value) => {
  const names = parseAlpn(value);
  if (!names.ok) return `${names.message}.`;
  tls.alpn = names.value;
  return undefined;
};

const parseCaFile: ServerTlsParser = (tls, value, { pem, global }) => {
  tls.authorities = undefined;
  tls.authoritiesFile = undefined;
  if (value === SYSTEM_CA) return undefined;
  const found = pem.authorities(value, global.tls.caBase);
  if (!found.ok) return `${found.message}.`;
  tls.authorities = found.value;
  tls.authoritiesFile = within(global.tls.caBase, value);
  return undefined;
};

const parseCrt: ServerTlsParser = (tls, value, { pem, global }) => {
  const found = pem.certificates(value, global.tls.crtBase);
  if (!found.ok) return `${found.message}.`;
  const [certificate, ...more] = found.value.certificates;
  if (certificate === undefined || more.length > 0) return `'${value}' : one certificate is taken.`;
  tls.certificate = certificate;
  for (const warning of found.value.warnings) tls.warnings.add(warning);
  return undefined;
};

const parseVerify: ServerTlsParser = (tls, value) => {
  const mode = oneOf(value, ["none", "required"]);
  if (!mode.ok) return mode.message;
  tls.verify = mode.value;
  return undefined;
};

function hostName(key: "verifyHost" | "checkSni"): ServerTlsParser {
  return (tls, value) => {
    if (!HOST_NAME.test(value)) return `'${value}' is no name of a host.`;
    tls[key] = value;
    return undefined;
  };
}

const parseSni: ServerTlsParser = (tls, value) => {
  const sample = parseSample(value);
  if (!sample.ok) return `${sample.message}.`;
  const scope = scopeOf(sample.value);
  if (scope === "server" || scope === "close") {
    return `'${value}' : its value is known only when the server has been reached.`;
  }
  tls.sni = sample.value;
  return undefined;
};

const parseAlgorithm: ServerTlsParser = (tls, value) => {
  const congestion = parseCongestion(value);
  if (!congestion.ok) return `${congestion.message}.`;
  tls.congestion = congestion.value;
  return undefined;
};

function count(key: "poolMaxConn" | "maxReuse"): ServerTlsParser {
  return (tls, value) => {
    const number = parseInteger(value, -1, INTEGER_MAX);
    if (!number.ok) return `${number.message}.`;
    tls[key] = number.value;
    return undefined;
  };
}

/** No delay keeps no idle connection at all. */
const parsePurgeDelay: ServerTlsParser = (tls, value) => {
  const time = parseTime(value);
  if (!time.ok) return `${time.message}.`;
  tls.poolPurgeDelayMs = time.value;
  if (time.value === 0) tls.poolMaxConn = 0;
  return undefined;
};

const parseProto: ServerTlsParser = (_, value) =>
  value === "quic" ? undefined : `'${value}' cannot be spoken over QUIC here.`;

const DONE: readonly (readonly [name: string, parse: ServerTlsParser])[] = [
  ["alpn", parseAlpnWord],
  ["ca-file", parseCaFile],
  ["check-sni", hostName("checkSni")],
  // A check of a QUIC server is a handshake anyway.
  ["check-ssl", set(() => {})],
  ["crt", parseCrt],
  ["max-reuse", count("maxReuse")],
  ["no-ssl", set((tls) => (tls.hasSsl = false))],
  ["no-verifyhost", set((tls) => (tls.verifyHost = undefined))],
  ["pool-max-conn", count("poolMaxConn")],
  ["pool-purge-delay", parsePurgeDelay],
  ["proto", parseProto],
  ["quic-cc-algo", parseAlgorithm],
  ["sni", parseSni],
  ["ssl", set((tls) => (tls.hasSsl = true))],
  ["verify", parseVerify],
  ["verifyhost", hostName("verifyHost")],
];

/**
 * About TCP, TLS 1.2 and older, or HTTP. And early data: a stream is opened when the handshake is
 * done, with a session that is resumed if there is one.
 */
const INERT =
  "allow-0rtt check-alpn check-sni-auto ciphers ktls npn pool-conn-name pool-low-conn sni-auto " +
  "ssl-reuse tcp-ut tfo tls-tickets no-check-sni-auto no-check-ssl no-sni-auto";

/** Would weaken or strengthen what is checked, or who can follow a client. */
const COMING = "ciphersuites client-sigalgs crl-file curves no-ssl-reuse no-tls-tickets sigalgs";

/** What each option does on QUIC addresses; those that are not here do the same as on TCP. */
export const SERVER_QUIC: ReadonlyMap<string, QuicSide<ServerTlsParser>> = new Map<
  string,
  QuicSide<ServerTlsParser>
>([
  ...DONE.map(([name, parse]): [string, QuicSide<ServerTlsParser>] => {
    return [name, { state: "done", parse }];
  }),
  ...quicSides<ServerTlsParser>(INERT, { state: "inert" }),
  ...quicSides<ServerTlsParser>(COMING, { state: "coming" }),
  ...quicSides<ServerTlsParser>("cc", {
    state: "refused",
    why: "it is about TCP: 'quic-cc-algo' chooses for QUIC.",
  }),
  ...quicSides<ServerTlsParser>("tcp-md5sig", { state: "refused", why: "it is about TCP." }),
  ...tlsVersionSides(),
]);
