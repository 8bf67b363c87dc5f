/**
 * What options of `bind` do on QUIC addresses, where that differs from TCP (HAProxy manual 5.1):
 * TLS and `quic-…` words work there; what is about TCP alone has no effect, or is refused.
 */
import type { LoadContext } from "../context.ts";
import type { BindDraft } from "../draft.ts";
import type { Parsed } from "../numbers.ts";
import { SYSTEM_CA, within } from "../quic/pem.ts";
import type { FoundCertificates } from "../quic/pem.ts";
import { parseAlpn, parseCongestion } from "../quic/words.ts";
import type { BindParser } from "./bind.ts";
import { oneOf, quicSides, tlsVersionSides } from "./build.ts";
import type { QuicSide } from "./keyword.ts";

function set(change: (bind: BindDraft) => void): BindParser {
  return (bind) => {
    change(bind);
    return undefined;
  };
}

function addCertificates({ tls }: BindDraft, found: Parsed<FoundCertificates>): string | undefined {
  tls.hasCrt = true;
  if (!found.ok) return `${found.message}.`;
  tls.certificates = [...tls.certificates, ...found.value.certificates];
  for (const warning of found.value.warnings) tls.warnings.add(warning);
  return undefined;
}

const parseCrt: BindParser = (bind, value, { pem, global }) =>
  addCertificates(bind, pem.certificates(value, global.tls.crtBase));

const parseCrtList: BindParser = (bind, value, { pem, global }) =>
  addCertificates(bind, pem.list(value, global.tls.crtBase));

/** The certificate for clients whose name fits none goes first. */
const parseDefaultCrt: BindParser = (bind, value, context) => {
  const { certificates } = bind.tls;
  bind.tls.certificates = [];
  const problem = parseCrt(bind, value, context);
  bind.tls.certificates = [...bind.tls.certificates, ...certificates];
  return problem;
};

const parseCaFile: BindParser = ({ tls }, value, { pem, global }: LoadContext) => {
  if (value === SYSTEM_CA) {
    tls.authorities = {};
    return undefined;
  }
  const found = pem.authorities(value, global.tls.caBase);
  if (!found.ok) return `${found.message}.`;
  tls.authorities = { pem: found.value, file: within(global.tls.caBase, value) };
  return undefined;
};

const parseVerify: BindParser = ({ tls }, value) => {
  const mode = oneOf(value, ["none", "optional", "required"]);
  if (!mode.ok) return mode.message;
  tls.verify = mode.value;
  return undefined;
};

const parseAlpnWord: BindParser = ({ tls }, value) => {
  const names = parseAlpn(value);
  if (!names.ok) return `${names.message}.`;
  tls.alpn = names.value;
  return undefined;
};

const parseAlgorithm: BindParser = ({ tls }, value) => {
  const congestion = parseCongestion(value);
  if (!congestion.ok) return `${congestion.message}.`;
  tls.congestion = congestion.value;
  return undefined;
};

const parseSocket: BindParser = ({ tls }, value) => {
  const mode = oneOf(value, ["connection", "listener"]);
  if (!mode.ok) return mode.message;
  if (mode.value === "connection") {
    tls.warnings.add(
      "'quic-socket connection': connections have no sockets of their own here; each worker has " +
        "one, and packets of moved clients find it by their connection ID.",
    );
  }
  return undefined;
};

const parseMap: BindParser = ({ tls }, value) => {
  const map = oneOf(value, ["stream", "session"]);
  if (!map.ok) return map.message;
  tls.map = map.value;
  return undefined;
};

const parseProto: BindParser = (_, value) =>
  value === "quic" ? undefined : `'${value}' cannot be spoken over QUIC here.`;

const DONE: readonly (readonly [name: string, parse: BindParser])[] = [
  ["allow-0rtt", set(({ tls }) => (tls.early = true))],
  ["alpn", parseAlpnWord],
  ["ca-file", parseCaFile],
  ["crt", parseCrt],
  ["crt-list", parseCrtList],
  ["default-crt", parseDefaultCrt],
  ["no-alpn", set(({ tls }) => (tls.alpn = []))],
  ["no-strict-sni", set(({ tls }) => (tls.strictSni = false))],
  ["proto", parseProto],
  ["quic-cc-algo", parseAlgorithm],
  ["quic-force-retry", set(({ tls }) => (tls.forceRetry = true))],
  ["quic-map", parseMap],
  ["quic-socket", parseSocket],
  ["ssl", set(({ tls }) => (tls.hasSsl = true))],
  ["strict-sni", set(({ tls }) => (tls.strictSni = true))],
  ["verify", parseVerify],
];

/** About TCP, TLS 1.2 and older, or files that are not looked at. */
const INERT =
  "ciphers defer-accept ecdhe ktls mss no-ca-names npn prefer-client-ciphers tcp-ss tcp-ut tfo " +
  "tls-tickets";

/** What each option does on QUIC addresses; those that are not here do the same as on TCP. */
export const BIND_QUIC: ReadonlyMap<string, QuicSide<BindParser>> = new Map<
  string,
  QuicSide<BindParser>
>([
  ...DONE.map(([name, parse]): [string, QuicSide<BindParser>] => [name, { state: "done", parse }]),
  ...quicSides<BindParser>(INERT, { state: "inert" }),
  ...quicSides<BindParser>("accept-proxy accept-netscaler-cip", {
    state: "refused",
    why: "such a header cannot precede a QUIC connection.",
  }),
  ...quicSides<BindParser>("cc", {
    state: "refused",
    why: "it is about TCP: 'quic-cc-algo' chooses for QUIC.",
  }),
  ...quicSides<BindParser>("tcp-md5sig", { state: "refused", why: "it is about TCP." }),
  ...tlsVersionSides(),
]);
