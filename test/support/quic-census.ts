/**
 * Traffic over QUIC whose every event is counted by both ends themselves, and a comparison of their
 * counts with what `show stat` says: a census, not a sample. Streams come in five kinds, told apart
 * by their first byte:
 *
 *   a   echoed, ended in order        b   the client breaks off, code 7
 *   c   the client refuses, code 8    d   the server breaks off, code 9
 *   e   the server refuses, code 10
 *
 * Whoever is refused answers with RESET_STREAM by itself (RFC 9000 section 3.5), so each refusal is
 * a reset in the other direction too; the peers here do not tell it, the sums below do.
 */
import { until, within } from "./procs.ts";
import { certificates, SERVER_NAME } from "./quic-certificates.ts";
import type { QuicStream } from "./quic-quiche-stream.ts";
import {
  type PeerCounts,
  type PeerOptions,
  type QuicConnection,
  QuicEndpoint,
} from "./quic-quiche.ts";

/** The kinds of streams. */
export const KINDS = ["a", "b", "c", "d", "e"] as const;

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A server that plays its part in each kind. */
export async function startCensusServer(more: PeerOptions = {}): Promise<QuicEndpoint> {
  return await QuicEndpoint.open({
    certificate: certificates().server,
    ...more,
    onConnection(connection) {
      connection.onStream = serveKind;
    },
  });
}

function serveKind(stream: QuicStream): void {
  let kind = "";
  stream.handlers = {
    data(bytes) {
      const text = new TextDecoder().decode(bytes);
      if (kind === "") {
        kind = text.slice(0, 1);
        stream.write(bytesOf("w"));
        if (kind === "e") {
          stream.stop(10);
          stream.finish();
        }
      }
      if (kind === "d" && text.includes("go")) stream.reset(9);
    },
    end: () => stream.finish(),
    reset: () => stream.finish(),
  };
}

/** Plays the client's part of one stream; resolves when both directions are over. */
export async function playKind(connection: QuicConnection, kind: string): Promise<void> {
  const stream = connection.openStream();
  const over = Promise.withResolvers<void>();
  let hasHeard = false;
  const isFinal = (): void => void (connection.end === undefined || over.resolve());
  stream.handlers = {
    data() {
      if (hasHeard) return;
      hasHeard = true;
      if (kind === "a") stream.finish();
      else if (kind === "b") stream.reset(7);
      else if (kind === "d") stream.write(bytesOf("go"));
      else if (kind === "c") {
        stream.stop(8);
        stream.finish();
        over.resolve();
      }
    },
    end: () => over.resolve(),
    reset() {
      stream.finish();
      over.resolve();
    },
    died: () => over.resolve(),
    stop: isFinal,
  };
  stream.write(bytesOf(kind));
  await within(`a stream of kind ${kind}`, over.promise);
}

/** What a row of `show stat` says of QUIC, by column. */
export type QuicRow = ReadonlyMap<string, string>;

/** Rows of `show stat` that speak QUIC, by proxy and side (`fe/FRONTEND`). */
export function quicRows(csv: string): Map<string, QuicRow> {
  const [head = "", ...lines] = csv.split("\n").filter((line) => line !== "");
  const names = head.replace(/^# /, "").split(",");
  return new Map(
    lines.map((line) => {
      const values = line.split(",");
      const row = new Map(names.map((name, i) => [name, values[i] ?? ""]));
      return [`${row.get("pxname")}/${row.get("svname")}`, row];
    }),
  );
}

/** What the peers of one side have counted, as sluice's columns call it. */
export function expected(peers: readonly PeerCounts[], isFront: boolean): Record<string, number> {
  const sum = (name: keyof PeerCounts): number =>
    peers.reduce((total, one) => total + one[name], 0);
  return {
    quic_conn_open: sum("connections"),
    quic_conn_released: sum("connections"),
    quic_conn_cur: 0,
    quic_hdshk_done: sum("handshakes"),
    quic_hdshk_fail: 0,
    quic_strm_bidi_remote: isFront ? sum("streamsOpened") : 0,
    quic_strm_bidi_local: isFront ? 0 : sum("streamsAccepted"),
    quic_strm_rst_recv: sum("resetsSent") + sum("stopsReceived"),
    quic_strm_rst_sent: sum("resetsReceived") + sum("stopsSent"),
    quic_strm_stop_recv: sum("stopsSent"),
    quic_strm_stop_sent: sum("stopsReceived"),
  };
}

/** The same columns of a row. */
export function shown(
  row: QuicRow | undefined,
  like: Record<string, number>,
): Record<string, number> {
  return Object.fromEntries(Object.keys(like).map((name) => [name, Number(row?.get(name))]));
}

/** Waits until every connection of these rows is released; the rows then. */
export async function settled(
  ask: () => Promise<string>,
  names: readonly string[],
): Promise<Map<string, QuicRow>> {
  return await until("all connections to be released", async () => {
    const rows = quicRows(await ask());
    const isOver = names.every((name) => {
      const row = rows.get(name);
      return row !== undefined && row.get("quic_conn_cur") === "0";
    });
    return isOver ? rows : undefined;
  });
}

/** Clients that each open streams of all kinds, one after the other, until `isOver`. */
export async function runClients(
  port: number,
  count: number,
  isOver: (done: number) => boolean,
): Promise<QuicEndpoint[]> {
  const endpoints = await Promise.all(
    Array.from({ length: count }, () =>
      QuicEndpoint.open({ authority: certificates().authority, idleMs: 5_000 }),
    ),
  );
  await Promise.all(
    endpoints.map(async (endpoint) => {
      const connection = await endpoint.connect(port, SERVER_NAME).ready();
      for (let done = 0; !isOver(done) && connection.end === undefined; done++) {
        await playKind(connection, KINDS[done % KINDS.length] ?? "a");
      }
    }),
  );
  return endpoints;
}

/** Closes connections with an application's code, and waits until that has gone out. */
export async function closeAll(endpoints: readonly QuicEndpoint[], code: number): Promise<void> {
  for (const endpoint of endpoints) {
    for (const connection of endpoint.connections) connection.close(code);
  }
  for (const endpoint of endpoints) {
    for (const connection of endpoint.connections) {
      await within("a connection to end", connection.ended.promise);
    }
  }
}
