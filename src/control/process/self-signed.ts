/**
 * A certificate that signs itself, made in memory for the demo's QUIC listener: ECDSA on P-256,
 * X.509 version 3 (RFC 5280) written as DER by hand, since the runtime makes keys and signatures
 * but no certificates. Of no use but for trying: nobody vouches for it.
 */
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";

import { IpAddress, parseIp, writeIp } from "../../base/address.ts";

/** What it is for. */
export type SelfSignedOptions = {
  /** Common name. */
  name: string;
  /** Names and IP addresses that it is valid for. */
  hosts: readonly string[];
  /** Since when, ms since the epoch, and for how many days. */
  fromMs: number;
  days: number;
};

/** PEM texts. */
export type SelfSigned = { chain: string; key: string };

const DAY_MS = 86_400_000;
const SERIAL_BYTES = 16;
const LINE = 64;

// Tags of DER.
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const UTF8_STRING = 0x0c;
const UTC_TIME = 0x17;
const SEQUENCE = 0x30;
const SET = 0x31;
const VERSION = 0xa0;
const EXTENSIONS = 0xa3;
/** Of a general name (RFC 5280, 4.2.1.6). */
const DNS_NAME = 0x82;
const IP_ADDRESS = 0x87;

// Object identifiers and constants, encoded.
const ECDSA_WITH_SHA256 = Buffer.from("06082a8648ce3d040302", "hex");
const COMMON_NAME = Buffer.from("0603550403", "hex");
const BASIC_CONSTRAINTS = Buffer.from("0603551d13", "hex");
const SUBJECT_ALT_NAME = Buffer.from("0603551d11", "hex");
const TRUE = Buffer.from("0101ff", "hex");
/** Version 3. */
const V3 = Buffer.from("020102", "hex");

/** Makes key and certificate. */
export function makeSelfSigned(options: SelfSignedOptions): SelfSigned {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = der(SEQUENCE, ECDSA_WITH_SHA256);
  const name = nameOf(options.name);
  const body = der(
    SEQUENCE,
    der(VERSION, V3),
    der(INTEGER, serialNumber()),
    algorithm,
    name,
    der(SEQUENCE, time(options.fromMs), time(options.fromMs + options.days * DAY_MS)),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(EXTENSIONS, der(SEQUENCE, mayBeTrusted(), validFor(options.hosts))),
  );
  const signature = sign("sha256", body, privateKey);
  const whole = der(SEQUENCE, body, algorithm, der(BIT_STRING, Buffer.from([0]), signature));
  const key = privateKey.export({ type: "pkcs8", format: "pem" });
  return { chain: pem("CERTIFICATE", whole), key: String(key) };
}

/** Tag, length, content. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const head =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...head]), content]);
}

/** Positive, and without a leading zero byte. */
function serialNumber(): Buffer {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes.writeUInt8(0x40 | (bytes.readUInt8(0) & 0x3f), 0);
  return bytes;
}

function nameOf(commonName: string): Buffer {
  const value = der(UTF8_STRING, Buffer.from(commonName));
  return der(SEQUENCE, der(SET, der(SEQUENCE, COMMON_NAME, value)));
}

/** `YYMMDDhhmmssZ`, which serves up to 2049. */
function time(epochMs: number): Buffer {
  const digits = new Date(epochMs).toISOString().replace(/\D/gu, "");
  return der(UTC_TIME, Buffer.from(`${digits.slice(2, 14)}Z`));
}

/** Whoever wants to trust it may name it as an authority. */
function mayBeTrusted(): Buffer {
  return der(SEQUENCE, BASIC_CONSTRAINTS, TRUE, der(OCTET_STRING, der(SEQUENCE, TRUE)));
}

function validFor(hosts: readonly string[]): Buffer {
  const names = hosts.map((host) => {
    const ip = new IpAddress();
    if (!parseIp(host, ip) || ip.family === 0) return der(DNS_NAME, Buffer.from(host));
    const bytes = Buffer.alloc(ip.family === 4 ? 4 : 16);
    writeIp(ip, bytes, 0);
    return der(IP_ADDRESS, bytes);
  });
  return der(SEQUENCE, SUBJECT_ALT_NAME, der(OCTET_STRING, der(SEQUENCE, ...names)));
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString("base64").match(new RegExp(`.{1,${LINE}}`, "gu")) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}
