/**
 * A name server that does as it is told: a table of records, and a script that may answer each
 * question otherwise: late, not at all, with other bytes, from another socket. UDP and TCP on one
 * port.
 */
import dns from "dns-packet";

import { freeUdpPort } from "./quic-programs.ts";

/** Types that tests ask for. */
export type DnsType = "A" | "AAAA" | "SRV" | "CNAME";

/** A record as dns-packet takes it. */
export type DnsRecord =
  | { name: string; type: "A" | "AAAA" | "CNAME"; ttl?: number; data: string }
  | {
      name: string;
      type: "SRV";
      ttl?: number;
      data: { priority?: number; weight?: number; port: number; target: string };
    };

/** One question as it came. */
export type DnsQuestion = {
  id: number;
  name: string;
  type: string;
  isTcp: boolean;
  /** Port that it came from. */
  from: number;
  /** Bytes of the whole message. */
  bytes: Buffer;
};

/** What is sent back: records, a code, or bytes as they are; nothing = silence. */
export type DnsReply =
  | {
      rcode?: number;
      answers?: readonly DnsRecord[];
      additionals?: readonly DnsRecord[];
      isTruncated?: boolean;
      /** Instead of the one asked. */
      id?: number;
      question?: { name: string; type: DnsType };
    }
  | { bytes: readonly Buffer[] }
  | undefined;

/** Code of the RFC 1035 section 4.1.1 by its name. */
export const RCODE = { ok: 0, formErr: 1, servFail: 2, nx: 3, notImp: 4, refused: 5 } as const;

/** The bytes of a reply to a question. */
export function encodeReply(question: DnsQuestion, reply: Exclude<DnsReply, undefined>): Buffer[] {
  if ("bytes" in reply) return [...reply.bytes];
  const asked = reply.question ?? { name: question.name, type: question.type as DnsType };
  const isTruncated = reply.isTruncated === true ? dns.TRUNCATED_RESPONSE : 0;
  return [
    dns.encode({
      type: "response",
      id: reply.id ?? question.id,
      flags: dns.AUTHORITATIVE_ANSWER | isTruncated | (reply.rcode ?? 0),
      questions: [{ type: asked.type, name: asked.name }],
      answers: withTtl(reply.answers),
      additionals: withTtl(reply.additionals),
    }),
  ];
}

function withTtl(records: readonly DnsRecord[] = []): dns.Answer[] {
  return records.map((record) => ({ ttl: 1, class: "IN", ...record }) as dns.Answer);
}

/** A running server. */
export class DnsServer implements AsyncDisposable {
  readonly port: number;
  /** Records, by lower case name and type. */
  readonly #records = new Map<string, DnsRecord[]>();
  /** Answers a question; left out, or answering "table": from the records. */
  script: ((question: DnsQuestion) => DnsReply | "table") | undefined;
  /** Questions so far, the oldest first. */
  readonly asked: DnsQuestion[] = [];
  #udp: Bun.udp.Socket<"buffer"> | undefined;
  #tcp: Bun.TCPSocketListener<{ rest: Buffer }> | undefined;

  private constructor(port: number) {
    this.port = port;
  }

  static async start(port = freeUdpPort()): Promise<DnsServer> {
    const server = new DnsServer(port);
    await server.open();
    return server;
  }

  /** Listens (again). */
  async open(): Promise<void> {
    const hostname = "127.0.0.1";
    this.#udp = await Bun.udpSocket({
      hostname,
      port: this.port,
      binaryType: "buffer",
      socket: {
        data: (socket, bytes, port, address) => {
          for (const one of this.#answer(Buffer.from(bytes), false, port)) {
            socket.send(one, port, address);
          }
        },
        // Whoever asked may be gone.
        error: () => undefined,
      },
    });
    this.#tcp = Bun.listen<{ rest: Buffer }>({
      hostname,
      port: this.port,
      socket: {
        open: (socket) => void (socket.data = { rest: Buffer.alloc(0) }),
        data: (socket, bytes) => {
          socket.data.rest = Buffer.concat([socket.data.rest, bytes]);
          for (;;) {
            const { rest } = socket.data;
            if (rest.length < 2 || rest.length < 2 + rest.readUInt16BE(0)) return;
            const end = 2 + rest.readUInt16BE(0);
            socket.data.rest = rest.subarray(end);
            const message = Buffer.from(rest.subarray(2, end));
            for (const one of this.#answer(message, true, socket.remotePort)) {
              const length = Buffer.alloc(2);
              length.writeUInt16BE(one.length);
              socket.write(Buffer.concat([length, one]));
            }
          }
        },
        error: () => undefined,
      },
    });
  }

  /** Stops listening: questions meet a closed port. */
  close(): void {
    this.#udp?.close();
    this.#tcp?.stop(true);
    this.#udp = undefined;
    this.#tcp = undefined;
  }

  /** The records of a name and type; none removes them. A name without any is NX. */
  set(name: string, type: DnsType, records: readonly DnsRecord[]): void {
    const key = keyOf(name, type);
    if (records.length === 0) this.#records.delete(key);
    else this.#records.set(key, [...records]);
  }

  /** Addresses of a name: of version 6 where they have a colon. */
  addresses(name: string, ...hosts: string[]): void {
    const record = (type: "A" | "AAAA") => (data: string) => ({ name, type, data }) as const;
    this.set(name, "A", hosts.filter((host) => !host.includes(":")).map(record("A")));
    this.set(name, "AAAA", hosts.filter((host) => host.includes(":")).map(record("AAAA")));
  }

  /** SRV records of a name: `target:port`, with `weight` where one is given. */
  services(name: string, ...services: { target: string; port: number; weight?: number }[]): void {
    this.set(
      name,
      "SRV",
      services.map(({ target, port, weight = 0 }) => {
        return { name, type: "SRV", data: { priority: 0, weight, port, target } };
      }),
    );
  }

  #answer(bytes: Buffer, isTcp: boolean, from: number): Buffer[] {
    let message: dns.DecodedPacket;
    try {
      message = dns.decode(bytes);
    } catch {
      return [];
    }
    const [first] = message.questions ?? [];
    if (first === undefined) return [];
    const id = message.id ?? 0;
    const question: DnsQuestion = { id, name: first.name, type: first.type, isTcp, from, bytes };
    this.asked.push(question);
    let reply = this.script?.(question) ?? (this.script === undefined ? "table" : undefined);
    if (reply === "table") reply = this.#look(question);
    return reply === undefined ? [] : encodeReply(question, reply);
  }

  #look({ name, type }: DnsQuestion): DnsReply {
    const found = this.#records.get(keyOf(name, type));
    if (found !== undefined) return { answers: found };
    const all: DnsType[] = ["A", "AAAA", "SRV", "CNAME"];
    const isThere = all.some((one) => this.#records.has(keyOf(name, one)));
    return isThere ? {} : { rcode: RCODE.nx };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await Promise.resolve();
  }
}

function keyOf(name: string, type: string): string {
  return `${name.toLowerCase().replace(/\.$/, "")} ${type}`;
}
