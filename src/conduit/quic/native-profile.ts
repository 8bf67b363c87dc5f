/**
 * Profiles of the native transport: settings and TLS of a listener, or of the way to a server, made
 * from their specs at the first use.
 *
 * What C made is kept in `made` of the profile and freed when the profile has been collected:
 * connections hold what they use of it. A thread that dies leaves its profiles behind.
 */
import type { Pointer } from "bun:ffi";

import { assert } from "../../base/assert.ts";
import type {
  CertificateSpec,
  QuicBindSpec,
  QuicServerSpec,
  QuicTransportSpec,
} from "../../tables/spec.ts";
import { QUIC_SETTINGS, quicErrorText } from "./native-quic.ts";
import type { Quic, QuicSetting } from "./native-quic.ts";
import { QuicProfile } from "./profile.ts";

/**
 * Unread bytes of one stream of a server, whose connection is shared by many clients: a client that
 * does not read holds no more of them.
 */
const SHARED_WINDOW = 256 * 1024;
const CONGESTION = { cubic: 0, newreno: 1, bbr: 2 };
const VERIFY = { none: 0, optional: 1, required: 2 };
/** Datagrams of a connection that wait in each direction. */
const DATAGRAM_QUEUE = 128;
const RETRY_NEVER = 0;
const RETRY_ALWAYS = 1;
const RETRY_FROM = 2;
/** Bytes of a protocol's name on the wire (RFC 7301 section 3.1). */
const ALPN_BYTES_MAX = 255;

/** Settings as numbers; those that are left out keep the module's default. */
type Settings = Partial<Record<QuicSetting, number>>;

const collected = new FinalizationRegistry<() => void>((free) => free());

/** What C made of a profile, or, as text, why it cannot. */
export function madeOf(quic: Quic, profile: QuicProfile): Pointer | string {
  if (typeof profile.made === "number") return profile.made as Pointer;
  const made = make(quic, profile);
  if (typeof made === "string") return made;
  profile.made = made;
  collected.register(profile, () => quic.profileFree(made));
  return made;
}

/** Why a bind's certificates or settings cannot be used; "" = they can. */
export function problemOfBind(quic: Quic, spec: QuicBindSpec): string {
  return tryProfile(quic, QuicProfile.ofBind(spec));
}

/** Why a server's cannot. */
export function problemOfServer(quic: Quic, spec: QuicServerSpec): string {
  return tryProfile(quic, QuicProfile.ofServer(spec));
}

function tryProfile(quic: Quic, profile: QuicProfile): string {
  const made = make(quic, profile);
  if (typeof made === "string") return made;
  quic.profileFree(made);
  return "";
}

function make(quic: Quic, profile: QuicProfile): Pointer | string {
  const pointer = quic.profileNew(profile.isServer ? 1 : 0);
  if (pointer === null) return "no memory is left";
  const problem =
    profile.bind !== null
      ? fillBind(quic, pointer, profile.bind)
      : fillServer(quic, pointer, profile.server!, profile.isShared);
  if (problem === "") return pointer;
  quic.profileFree(pointer);
  return problem;
}

function fillBind(quic: Quic, pointer: Pointer, spec: QuicBindSpec): string {
  set(quic, pointer, {
    ...transportSettings(spec.transport),
    retry: spec.forceRetry ? RETRY_ALWAYS : spec.retryFrom > 0 ? RETRY_FROM : RETRY_NEVER,
    retryFrom: spec.retryFrom,
    halfOpenMax: spec.halfOpenMax,
    verify: VERIFY[spec.verify],
    migration: 1,
    strictSni: spec.strictSni ? 1 : 0,
    rejectLowPorts: spec.rejectLowPorts ? 1 : 0,
  });
  for (const certificate of spec.certificates) {
    const problem = addCertificate(quic, pointer, certificate);
    if (problem !== "") return problem;
  }
  if (spec.verify !== "none") {
    const problem = setAuthorities(quic, pointer, spec.authorities);
    if (problem !== "") return problem;
  }
  return setAlpn(quic, pointer, spec.alpn);
}

function fillServer(quic: Quic, pointer: Pointer, spec: QuicServerSpec, isShared: boolean): string {
  const settings = { ...transportSettings(spec.transport), verify: VERIFY[spec.verify] };
  if (isShared) {
    settings.shared = 1;
    settings.streamWindow = Math.min(spec.transport.streamWindow, SHARED_WINDOW);
  }
  set(quic, pointer, settings);
  if (spec.certificate !== undefined) {
    const problem = addCertificate(quic, pointer, spec.certificate);
    if (problem !== "") return problem;
  }
  if (spec.verify !== "none") {
    const problem = setAuthorities(quic, pointer, spec.authorities);
    if (problem !== "") return problem;
  }
  return setAlpn(quic, pointer, spec.alpn);
}

function transportSettings(spec: QuicTransportSpec): Settings {
  return {
    idleMs: spec.idleTimeoutMs,
    handshakeMs: spec.handshakeTimeoutMs,
    keepAliveMs: spec.keepAliveMs,
    streamsBidi: spec.streamsBidiMax,
    streamsUni: spec.streamsUniMax,
    streamWindow: spec.streamWindow,
    connectionWindow: spec.connectionWindow,
    sendBuffer: spec.sendBuffer,
    congestion: CONGESTION[spec.congestion],
    cwndMax: spec.cwndMax,
    datagramMax: spec.datagramMax,
    datagramQueue: DATAGRAM_QUEUE,
    udpPayloadMax: spec.udpPayloadMax,
    early: spec.early ? 1 : 0,
    gso: spec.gso ? 1 : 0,
  };
}

function set(quic: Quic, pointer: Pointer, settings: Settings): void {
  for (const [index, name] of QUIC_SETTINGS.entries()) {
    const value = settings[name];
    if (value === undefined) continue;
    const result = quic.profileSet(pointer, index, value);
    assert(result >= 0, "profileSet: a setting and a value that the module knows");
  }
}

function addCertificate(quic: Quic, pointer: Pointer, certificate: CertificateSpec): string {
  const chain = textBytes(certificate.chain);
  const key = textBytes(certificate.key);
  const result = quic.profileCertificate(pointer, chain, chain.length, key, key.length);
  return result >= 0 ? "" : `${certificate.file}: ${quicErrorText()}`;
}

function setAuthorities(quic: Quic, pointer: Pointer, pem: string | undefined): string {
  const bytes = pem === undefined ? null : textBytes(pem);
  const result = quic.profileAuthorities(pointer, bytes, bytes?.length ?? 0);
  return result >= 0 ? "" : `authorities: ${quicErrorText()}`;
}

function setAlpn(quic: Quic, pointer: Pointer, names: readonly string[]): string {
  if (names.length === 0) return "";
  const wire = alpnWire(names);
  const result = quic.profileAlpn(pointer, wire, wire.length);
  return result >= 0 ? "" : `alpn: ${quicErrorText()}`;
}

/**
 * Names of protocols in wire form: a length byte, the name, and so on (RFC 7301 section 3.1).
 * Names that cannot be written are left out: the configuration refuses them.
 */
export function alpnWire(names: readonly string[]): Uint8Array {
  const parts = names
    .map(textBytes)
    .filter(({ length }) => length > 0 && length <= ALPN_BYTES_MAX)
    .flatMap((name) => [name.length, ...name]);
  return Uint8Array.from(parts);
}

/** UTF-8, in memory that C may read. */
export function textBytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
