/**
 * `option ssl-hello-chk`: a ClientHello, and a handshake message or an alert in answer: the server
 * speaks TLS. The handshake goes no further. HAProxy manual 4.2; message: RFC 8446, 4.1.2 and 5.1.
 *
 * HAProxy says hello in SSLv3, which servers of today answer by an alert; this hello is one that
 * every version from TLS 1.0 on can take up.
 */
import type { CheckEnvironment, Dialogue } from "../probe.ts";
import type { Judgement } from "./talk.ts";
import { Talk } from "./talk.ts";

const ALERT = 0x15;
const HANDSHAKE = 0x16;
/** Type, version and length of a record. */
const RECORD_HEADER_BYTES = 5;
const CLIENT_HELLO = 1;
const RANDOM_BYTES = 32;
const KEY_BYTES = 32;

const TLS_1_0 = 0x0301;
const TLS_1_2 = 0x0303;
/** From TLS 1.3 to 1.0. */
const VERSIONS = [0x0304, TLS_1_2, 0x0302, TLS_1_0];
/** AES and ChaCha20 of TLS 1.3; ECDHE and RSA of before, with GCM and CBC. */
const CIPHER_SUITES = [
  0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc009, 0xc013, 0xc00a,
  0xc014, 0x009c, 0x009d, 0x002f, 0x0035, 0x000a,
];
const X25519 = 29;
/** x25519, secp256r1, secp384r1. */
const GROUPS = [X25519, 23, 24];
/** ECDSA, RSA-PSS, Ed25519, RSA, and SHA-1 for the oldest. */
const SIGNATURES = [
  0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0807, 0x0401, 0x0501, 0x0601, 0x0201, 0x0203,
];
const EXTENSION = {
  groups: 10,
  pointFormats: 11,
  signatures: 13,
  versions: 43,
  keyShare: 51,
  renegotiation: 0xff01,
};

/** The dialogue of one check. */
export function makeSslHelloDialogue(environment: CheckEnvironment): Dialogue {
  return new Talk(environment, {
    steps: [
      { send: clientHello(environment) },
      { number: 2, expect: judgeRecord, emptyCode: "L6RSP" },
    ],
    result: { code: "L6OK" },
    isOrderly: false,
    lateCode: "L6TOUT",
  });
}

function judgeRecord(bytes: Uint8Array, isLast: boolean): Judgement {
  if (bytes.length < RECORD_HEADER_BYTES && !isLast) return "wait";
  const isTls = bytes[0] === HANDSHAKE || bytes[0] === ALERT;
  return isTls ? { read: bytes.length } : { code: "L6RSP" };
}

/** A whole record with a ClientHello. Any 32 bytes are a key of X25519. */
function clientHello(environment: CheckEnvironment): Uint8Array {
  const key = randomBytes(environment, KEY_BYTES);
  const extensions = Buffer.concat([
    extension(EXTENSION.groups, sized(2, words(GROUPS))),
    extension(EXTENSION.pointFormats, sized(1, Uint8Array.of(0))),
    extension(EXTENSION.signatures, sized(2, words(SIGNATURES))),
    extension(EXTENSION.versions, sized(1, words(VERSIONS))),
    extension(EXTENSION.keyShare, sized(2, Buffer.concat([words([X25519]), sized(2, key)]))),
    extension(EXTENSION.renegotiation, sized(1, new Uint8Array(0))),
  ]);
  const hello = Buffer.concat([
    words([TLS_1_2]),
    randomBytes(environment, RANDOM_BYTES),
    // No session; no compression.
    sized(1, new Uint8Array(0)),
    sized(2, words(CIPHER_SUITES)),
    sized(1, Uint8Array.of(0)),
    sized(2, extensions),
  ]);
  const message = Buffer.concat([Uint8Array.of(CLIENT_HELLO), sized(3, hello)]);
  return Buffer.concat([Uint8Array.of(HANDSHAKE), words([TLS_1_0]), sized(2, message)]);
}

function extension(type: number, body: Uint8Array): Uint8Array {
  return Buffer.concat([words([type]), sized(2, body)]);
}

/** The bytes behind their length, which takes `width` bytes. */
function sized(width: number, bytes: Uint8Array): Uint8Array {
  const length = Buffer.alloc(width);
  length.writeUIntBE(bytes.length, 0, width);
  return Buffer.concat([length, bytes]);
}

function words(values: readonly number[]): Uint8Array {
  return Uint8Array.from(values.flatMap((value) => [value >> 8, value & 255]));
}

function randomBytes(environment: CheckEnvironment, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, () => environment.random32() & 255);
}
