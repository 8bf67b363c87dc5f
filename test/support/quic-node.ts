/**
 * `node:quic` as bun brings it (lsquic and BoringSSL), as one more peer of other people's making:
 * an echo server and a client. Its codes are bigints, so that 62 bits of them can be tried. What
 * its types say and what it does differ; the parts used here are declared as they are.
 */
import { createPrivateKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import * as nodeQuic from "node:quic";

import { within } from "./procs.ts";
import type { Certificate } from "./quic-certificates.ts";

const DRAINABLE = Symbol.for("Stream.drainableProtocol");

/** A stream of node:quic, as far as it is used. */
export interface NodeStream extends AsyncIterable<Uint8Array[]> {
  readonly writer: {
    writeSync(bytes: Uint8Array): boolean;
    endSync(): number;
    /** null = it takes no more. */
    readonly desiredSize: number | null;
    [DRAINABLE](): Promise<unknown>;
  };
  readonly closed: Promise<void>;
  onreset: ((error: { errorCode: bigint }) => void) | undefined;
  resetStream(code: bigint): void;
  stopSending(code: bigint): void;
}

/** A session of node:quic, as far as it is used. */
export interface NodeSession {
  readonly opened: Promise<{ protocol: string; servername: string }>;
  readonly closed: Promise<void>;
  onstream: ((stream: NodeStream) => void) | undefined;
  createBidirectionalStream(): Promise<NodeStream>;
  close(options?: { code: bigint; type: "application" }): Promise<void>;
}

/** An endpoint of node:quic, as far as it is used. */
export interface NodeEndpoint {
  readonly address: { port: number };
  destroy(): void;
}

interface NodeQuic {
  listen(
    onSession: (session: NodeSession) => void,
    options: {
      endpoint: { address: string };
      alpn: string[];
      sni: Record<string, { keys: KeyObject[]; certs: Buffer[] }>;
    },
  ): Promise<NodeEndpoint>;
  connect(
    address: string,
    options: { alpn: string; servername: string; ca: Buffer; reuseEndpoint: boolean },
  ): Promise<NodeSession>;
}

const { listen, connect } = nodeQuic as unknown as NodeQuic;

/** Writes all of `bytes`. @returns false: the stream takes no more */
export async function writeAll(stream: NodeStream, bytes: Uint8Array): Promise<boolean> {
  const { writer } = stream;
  while (!writer.writeSync(bytes)) {
    if (writer.desiredSize === null) return false;
    await writer[DRAINABLE]();
  }
  return true;
}

/** An echo server of node:quic. */
export interface NodeServer extends AsyncDisposable {
  readonly port: number;
  /** Codes of the resets that it has received. */
  readonly resets: bigint[];
}

/** Serves each stream of each client with `serve`, at `port` (0 = any). */
export async function serveNode(
  port: number,
  certificate: Pick<Certificate, "chain" | "key">,
  alpn: string,
  serve: (stream: NodeStream) => Promise<void>,
): Promise<NodeEndpoint> {
  const keys = [createPrivateKey(readFileSync(certificate.key))];
  const certs = [readFileSync(certificate.chain)];
  return await listen(
    (session) => {
      session.opened.catch(() => {});
      session.closed.catch(() => {});
      session.onstream = (stream) => {
        stream.closed.catch(() => {});
        void serve(stream).catch(() => {});
      };
    },
    { endpoint: { address: `127.0.0.1:${port}` }, alpn: [alpn], sni: { "*": { keys, certs } } },
  );
}

/** Starts it. A stream that begins with `r` is answered with a reset of that code: `r123`. */
export async function startNodeEcho(certificate: Certificate, alpn: string): Promise<NodeServer> {
  const resets: bigint[] = [];
  const serve = async (stream: NodeStream): Promise<void> => {
    stream.onreset = (error) => void resets.push(error.errorCode);
    for await (const chunks of stream) {
      for (const chunk of chunks) {
        const text = new TextDecoder().decode(chunk.subarray(0, 24));
        if (/^r\d+$/.test(text)) return stream.resetStream(BigInt(text.slice(1)));
        await writeAll(stream, chunk);
      }
    }
    stream.writer.endSync();
  };
  const endpoint = await serveNode(0, certificate, alpn, serve);
  return {
    port: endpoint.address.port,
    resets,
    async [Symbol.asyncDispose]() {
      endpoint.destroy();
    },
  };
}

/** A session of node:quic to this port of the loopback, its handshake done. */
export async function connectNode(
  port: number,
  name: string,
  alpn: string,
  authority: string,
): Promise<NodeSession> {
  const ca = readFileSync(authority);
  const options = { alpn, servername: name, ca, reuseEndpoint: false };
  const session = await connect(`127.0.0.1:${port}`, options);
  session.closed.catch(() => {});
  await within("node:quic's handshake", session.opened);
  return session;
}

/** Sends `bytes` on a stream of its own, and returns what comes back. */
export async function echoNode(session: NodeSession, bytes: Uint8Array): Promise<Buffer> {
  const stream = await session.createBidirectionalStream();
  stream.closed.catch(() => {});
  const writing = writeAll(stream, bytes).then(() => stream.writer.endSync());
  const parts: Uint8Array[] = [];
  for await (const chunks of stream) parts.push(...chunks);
  await writing;
  return Buffer.concat(parts);
}

/** Asks the echo server for a reset with `code`; the code that arrived. */
export async function askReset(session: NodeSession, code: bigint): Promise<bigint> {
  const stream = await session.createBidirectionalStream();
  stream.closed.catch(() => {});
  const { promise, resolve } = Promise.withResolvers<bigint>();
  stream.onreset = (error) => resolve(error.errorCode);
  await writeAll(stream, new TextEncoder().encode(`r${code}`));
  return await within(`a reset with ${code}`, promise);
}
