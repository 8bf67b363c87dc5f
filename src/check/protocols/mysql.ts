/**
 * `option mysql-check`: the server's greeting, and with a user a login without password and its
 * answer, then COM_QUIT. HAProxy manual 4.2; packets: MySQL's internals manual, "Client/Server
 * Protocol" (Initial Handshake Packet, HandshakeResponse320, HandshakeResponse41, ERR_Packet).
 *
 * HAProxy says everything at once; here the login waits for the greeting, as the protocol has it,
 * so that a server that refuses us before is heard to say so.
 */
import type { CheckEnvironment, Dialogue } from "../probe.ts";
import { inItsWords } from "../result.ts";
import type { Judgement, TalkStep } from "./talk.ts";
import { Talk, textUpToNul } from "./talk.ts";

/** How the login is put: before 4.1, since, and since 8.0 with the name of the method. */
export type MysqlVersion = "pre-41" | "post-41" | "post-80";

const HEADER_BYTES = 4;
const ERROR = 0xff;
const COM_QUIT = 1;

const CLIENT_PROTOCOL_41 = 0x200;
const CLIENT_SECURE_CONNECTION = 0x8000;
const CLIENT_PLUGIN_AUTH = 0x80000;
const PACKET_BYTES_MAX_320 = 0x010000;
const PACKET_BYTES_MAX_41 = 0x01000000;
/** utf8_general_ci. */
const CHARACTER_SET = 33;
const RESERVED_BYTES = 23;

/** The dialogue of one check. @param user undefined: only the greeting is looked at */
export function makeMysqlDialogue(
  environment: CheckEnvironment,
  user: string | undefined,
  version: MysqlVersion,
): Dialogue {
  const hear = (number: number): TalkStep => ({ number, expect: judgePacket, emptyCode: "L7RSP" });
  const login = user === undefined ? undefined : loginPacket(user, version);
  const quit = packet(0, Uint8Array.of(COM_QUIT));
  return new Talk(environment, {
    steps: login === undefined ? [hear(2)] : [hear(3), { send: login }, hear(4), { send: quit }],
    result: { code: "L7OK" },
    // A reset counts as an aborted connect, and enough of those block us.
    isOrderly: true,
  });
}

/** Any packet that is not an error is well, whatever is in it. */
function judgePacket(bytes: Uint8Array, isLast: boolean): Judgement {
  const length = (bytes[0] ?? 0) | ((bytes[1] ?? 0) << 8) | ((bytes[2] ?? 0) << 16);
  const isWhole = bytes.length >= HEADER_BYTES && bytes.length >= HEADER_BYTES + length;
  if (!isWhole) return isLast ? { code: "L7RSP" } : "wait";
  const body = bytes.subarray(HEADER_BYTES, HEADER_BYTES + length);
  if (body[0] !== ERROR) return { read: HEADER_BYTES + length };
  const number = (body[1] ?? 0) | ((body[2] ?? 0) << 8);
  return { ...inItsWords("L7STS", textUpToNul(body, 3)), number };
}

function loginPacket(user: string, version: MysqlVersion): Uint8Array {
  if (version === "pre-41") {
    const head = Buffer.alloc(5);
    head.writeUInt16LE(CLIENT_SECURE_CONNECTION, 0);
    head.writeUIntLE(PACKET_BYTES_MAX_320, 2, 3);
    return packet(1, Buffer.concat([head, Buffer.from(`${user}\0\0`)]));
  }
  const isNamed = version === "post-80";
  const head = Buffer.alloc(9 + RESERVED_BYTES);
  const plugin = isNamed ? CLIENT_PLUGIN_AUTH : 0;
  head.writeUInt32LE(CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION | plugin, 0);
  head.writeUInt32LE(PACKET_BYTES_MAX_41, 4);
  head.writeUInt8(CHARACTER_SET, 8);
  // An empty password: no bytes of an answer to the server's challenge.
  const tail = `${user}\0\0${isNamed ? "mysql_native_password\0" : ""}`;
  return packet(1, Buffer.concat([head, Buffer.from(tail)]));
}

function packet(sequence: number, body: Uint8Array): Uint8Array {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUIntLE(body.length, 0, 3);
  header.writeUInt8(sequence, 3);
  return Buffer.concat([header, body]);
}
