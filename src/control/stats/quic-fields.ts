/**
 * The columns of `show stat` behind the column `-`, as data: QUIC of a frontend or a backend, since
 * when it has a QUIC listener or server. HAProxy's names come first, in its order (counters of its
 * QUIC module); what sluice has no source for stays empty. Then sluice's own.
 *
 * HAProxy counts blocked frames that it received, sluice the times that a peer's window stopped it:
 * the other direction, so they have names of their own (`quic_tx_…`).
 */
import * as quic from "../../tables/generated/quic-count.ts";
import type { FieldType, StatField, StatRow } from "./fields.ts";

/** What a column is read from. */
export type QuicReading = {
  /** By field offset / 2 (QUIC_COUNT_*). */
  readonly cells: Float64Array;
  /** Connections that the peer closed, by its code. */
  readonly codes: ReadonlyMap<bigint, number>;
  /** Handshakes under way. */
  readonly halfOpen: number;
  /** Connections that are not released yet. */
  readonly current: number;
};

type Value = StatRow[number];

/** A column, and how its value is found. */
export type QuicField = StatField & {
  /** HAProxy has a column of this name. */
  readonly isHaproxys: boolean;
  read(reading: QuicReading): Value;
};

const COUNTER = "MCPP";
const GAUGE = "MGPP";

/** A column of a counter; several fields are added up. */
function counter(name: string, about: string, ...fields: readonly number[]): QuicField {
  const read = ({ cells }: QuicReading): Value =>
    fields.reduce((sum, field) => sum + cells[field >> 1]!, 0);
  return { name, type: "u64", tags: COUNTER, about, isHaproxys: true, read };
}

/** A column that HAProxy has and sluice does not count. */
const uncounted = (name: string, about: string): QuicField => ({
  ...counter(name, about),
  read: () => undefined,
});

const own = (field: QuicField): QuicField => ({ ...field, isHaproxys: false });

/** A column of sluice's own. */
function other(
  name: string,
  type: FieldType,
  tags: string,
  about: string,
  read: QuicField["read"],
): QuicField {
  return { name, type, tags, about, isHaproxys: false, read };
}

/** Transport errors by index (conduit/quic/account.ts): names as HAProxy's columns have them. */
const ERROR_NAMES = [
  "no_error",
  "internal_error",
  "connection_refused",
  "flow_control_error",
  "stream_limit_error",
  "stream_state_error",
  "final_size_error",
  "frame_encoding_error",
  "transport_parameter_error",
  "connection_id_limit",
  "protocol_violation_error",
  "invalid_token",
  "application_error",
  "crypto_buffer_exceeded",
  "key_update_error",
  "aead_limit_reached",
  "no_viable_path",
  "crypto_error",
  "unknown_error",
] as const;

const errorsReceived = ERROR_NAMES.map((name, index) =>
  counter(
    `quic_transp_err_${name}`,
    `Connections that the peer closed with ${name.toUpperCase()}`,
    quic.QUIC_COUNT_ERRORS_RECEIVED + 2 * index,
  ),
);

const HAPROXYS: readonly QuicField[] = [
  uncounted("quic_rxbuf_full", "Receptions given up for want of a buffer; not counted"),
  counter(
    "quic_dropped_pkt",
    "Packets that were received and dropped",
    quic.QUIC_COUNT_PACKETS_DROPPED,
    quic.QUIC_COUNT_INITIALS_DROPPED,
  ),
  uncounted("quic_dropped_pkt_bufoverrun", "Packets dropped for want of room; not told apart"),
  counter(
    "quic_dropped_parsing_pkt",
    "Datagrams that were no QUIC packets",
    quic.QUIC_COUNT_MALFORMED,
  ),
  counter("quic_socket_full", "Times that a socket took no more", quic.QUIC_COUNT_SEND_BLOCKED),
  uncounted("quic_sendto_err", "Errors of sending; not counted"),
  uncounted("quic_sendto_err_unknwn", "Unknown errors of sending; not counted"),
  counter("quic_sent_pkt", "Packets sent", quic.QUIC_COUNT_PACKETS_SENT),
  counter("quic_lost_pkt", "Packets sent and lost", quic.QUIC_COUNT_PACKETS_LOST),
  uncounted("quic_too_short_dgram", "Initials in short datagrams; among the dropped"),
  counter("quic_retry_sent", "Retry packets sent", quic.QUIC_COUNT_RETRIES_SENT),
  counter("quic_retry_validated", "Retry tokens that were right", quic.QUIC_COUNT_RETRIES_VALID),
  counter(
    "quic_retry_error",
    "Retry tokens that were wrong or too old",
    quic.QUIC_COUNT_RETRIES_INVALID,
  ),
  {
    name: "quic_half_open_conn",
    type: "u64",
    tags: GAUGE,
    about: "Handshakes under way",
    isHaproxys: true,
    read: ({ halfOpen }) => halfOpen,
  },
  counter("quic_hdshk_fail", "Handshakes that failed", quic.QUIC_COUNT_HANDSHAKES_FAILED),
  counter("quic_stless_rst_sent", "Stateless resets sent", quic.QUIC_COUNT_RESETS_SENT),
  counter(
    "quic_conn_migration_done",
    "Changes of a peer's address that were validated",
    quic.QUIC_COUNT_MIGRATIONS,
  ),
  ...errorsReceived,
  uncounted("quic_data_blocked", "DATA_BLOCKED received; not counted, see quic_tx_data_blocked"),
  uncounted("quic_stream_data_blocked", "STREAM_DATA_BLOCKED received; not counted"),
  uncounted("quic_streams_blocked_bidi", "STREAMS_BLOCKED received; not counted"),
  uncounted("quic_streams_blocked_uni", "The same of unidirectional streams; not counted"),
  uncounted("quic_ncbuf_gap_limit", "Data refused for its gaps; not counted"),
];

/** Reads an average; undefined = nothing to average. */
const average =
  (sum: number, samples: number): QuicField["read"] =>
  ({ cells }) => {
    const count = cells[samples >> 1]!;
    return count === 0 ? undefined : Math.round(cells[sum >> 1]! / count);
  };

/** Reads an extreme value; undefined = there is none yet. */
const extreme =
  (field: number): QuicField["read"] =>
  ({ cells }) => {
    const value = cells[field >> 1]!;
    return value === 0 ? undefined : Math.round(value);
  };

/** `protocol_violation_error=2 crypto_error=1`; undefined = none. */
function errorsSentText({ cells }: QuicReading): Value {
  const words = ERROR_NAMES.flatMap((name, index) => {
    const count = cells[(quic.QUIC_COUNT_ERRORS_SENT >> 1) + index]!;
    return count === 0 ? [] : [`${name}=${count}`];
  });
  return words.length === 0 ? undefined : words.join(" ");
}

/** `0x0=12 0x10c=3 other=1`, by code; undefined = none. */
function codesText({ cells, codes }: QuicReading): Value {
  const sorted = [...codes].toSorted(([left], [right]) => (left < right ? -1 : 1));
  const words = sorted.map(([code, count]) => `0x${code.toString(16)}=${count}`);
  const rest = cells[quic.QUIC_COUNT_CODES_OTHER >> 1]!;
  if (rest > 0) words.push(`other=${rest}`);
  return words.length === 0 ? undefined : words.join(" ");
}

/** Ends by CAUSE_* of conduit/quic/transport.ts, from 1 on. */
const ENDS: readonly (readonly [name: string, about: string])[] = [
  ["local", "Connections that we closed in order"],
  ["app", "Connections that the peer closed with an application's code"],
  ["transp", "Connections that the peer closed with a transport error"],
  ["idle", "Connections that were silent too long"],
  ["hdshk", "Connections whose handshake took too long"],
  ["stless_rst", "Connections that the peer did not know any more"],
  ["refused", "Connections to where nobody listens"],
  ["proto", "Connections that we closed for a fault of the peer, TLS included"],
  ["version", "Connections without a common version"],
  ["internal", "Connections that ended by an error inside the library"],
];

const OWN: readonly QuicField[] = [
  other("quic_conn_cur", "u64", GAUGE, "Connections now, those that are closing included", (one) =>
    Math.max(0, one.current),
  ),
  ...[
    counter("quic_conn_open", "Connections begun", quic.QUIC_COUNT_OPENED),
    counter("quic_conn_released", "Connections over and counted", quic.QUIC_COUNT_RELEASED),
    counter("quic_hdshk_done", "Handshakes completed", quic.QUIC_COUNT_HANDSHAKES_DONE),
    counter("quic_resumed", "TLS sessions resumed", quic.QUIC_COUNT_RESUMED),
    counter("quic_0rtt_used", "Connections with 0-RTT", quic.QUIC_COUNT_EARLY_ACCEPTED),
    counter("quic_0rtt_rejected", "0-RTT offered and refused", quic.QUIC_COUNT_EARLY_REJECTED),
    counter("quic_sent_bytes", "Bytes sent, of UDP payload", quic.QUIC_COUNT_BYTES_SENT),
    counter("quic_recv_pkt", "Packets received", quic.QUIC_COUNT_PACKETS_RECEIVED),
    counter("quic_recv_bytes", "Bytes received, of UDP payload", quic.QUIC_COUNT_BYTES_RECEIVED),
    counter("quic_lost_bytes", "Bytes of lost packets", quic.QUIC_COUNT_BYTES_LOST),
    counter(
      "quic_resent_bytes",
      "Bytes of streams sent again",
      quic.QUIC_COUNT_STREAM_BYTES_RESENT,
    ),
    counter("quic_initial_dropped", "Initials not answered", quic.QUIC_COUNT_INITIALS_DROPPED),
    counter("quic_conn_refused", "Refused at the limit of connections", quic.QUIC_COUNT_REFUSED),
    counter("quic_fwd_pkt", "Packets handed to their worker", quic.QUIC_COUNT_FORWARDED),
    counter("quic_vers_nego_sent", "Version Negotiations", quic.QUIC_COUNT_VERSION_NEGOTIATIONS),
    counter("quic_stless_rst_recv", "Stateless resets received", quic.QUIC_COUNT_RESETS_RECEIVED),
    counter(
      "quic_strm_bidi_local",
      "Bidirectional streams opened by us",
      quic.QUIC_COUNT_STREAMS_BIDI_LOCAL,
    ),
    counter(
      "quic_strm_bidi_remote",
      "Bidirectional streams opened by peers",
      quic.QUIC_COUNT_STREAMS_BIDI_REMOTE,
    ),
    counter(
      "quic_strm_uni_local",
      "Unidirectional streams opened by us",
      quic.QUIC_COUNT_STREAMS_UNI_LOCAL,
    ),
    counter(
      "quic_strm_uni_remote",
      "Unidirectional streams opened by peers",
      quic.QUIC_COUNT_STREAMS_UNI_REMOTE,
    ),
    counter("quic_strm_rst_sent", "RESET_STREAM sent", quic.QUIC_COUNT_STREAM_RESETS_SENT),
    counter("quic_strm_rst_recv", "RESET_STREAM received", quic.QUIC_COUNT_STREAM_RESETS_RECEIVED),
    counter("quic_strm_stop_sent", "STOP_SENDING sent", quic.QUIC_COUNT_STOPS_SENT),
    counter("quic_strm_stop_recv", "STOP_SENDING received", quic.QUIC_COUNT_STOPS_RECEIVED),
    counter(
      "quic_tx_data_blocked",
      "Times that a peer's connection window stopped us",
      quic.QUIC_COUNT_BLOCKED_CONNECTION,
    ),
    counter(
      "quic_tx_strm_data_blocked",
      "Times that a stream's window stopped us",
      quic.QUIC_COUNT_BLOCKED_STREAM,
    ),
    counter(
      "quic_tx_strms_blocked",
      "Times that a peer's limit of streams stopped us",
      quic.QUIC_COUNT_BLOCKED_STREAMS,
    ),
    counter("quic_dgram_sent", "DATAGRAM frames sent", quic.QUIC_COUNT_DATAGRAMS_SENT),
    counter("quic_dgram_recv", "DATAGRAM frames received", quic.QUIC_COUNT_DATAGRAMS_RECEIVED),
    counter("quic_dgram_dropped", "DATAGRAM frames dropped", quic.QUIC_COUNT_DATAGRAMS_DROPPED),
    counter("quic_glitches", "Small offences of peers", quic.QUIC_COUNT_GLITCHES),
    ...ENDS.map(([name, about], index) =>
      counter(`quic_end_${name}`, about, quic.QUIC_COUNT_ENDED + 2 * (index + 1)),
    ),
  ].map(own),
  other("quic_transp_err_sent", "str", "MOPP", "Transport errors we closed with", errorsSentText),
  other(
    "quic_app_err_codes",
    "str",
    "MOPP",
    "Codes that peers' applications closed with",
    codesText,
  ),
  other(
    "quic_rtt_avg",
    "u64",
    "MaPP",
    "Round-trip time of ended connections, µs, an average",
    average(quic.QUIC_COUNT_RTT_SUM, quic.QUIC_COUNT_RTT_SAMPLES),
  ),
  other("quic_rtt_min", "u64", "MmPP", "Shortest of them", extreme(quic.QUIC_COUNT_RTT_MIN)),
  other("quic_rtt_max", "u64", "MMPP", "Longest of them", extreme(quic.QUIC_COUNT_RTT_MAX)),
  other(
    "quic_cwnd_avg",
    "u64",
    "MaPP",
    "Congestion window of ended connections, bytes, an average",
    average(quic.QUIC_COUNT_CWND_SUM, quic.QUIC_COUNT_CWND_SAMPLES),
  ),
  other("quic_cwnd_min", "u64", "MmPP", "Smallest of them", extreme(quic.QUIC_COUNT_CWND_MIN)),
  other("quic_cwnd_max", "u64", "MMPP", "Largest of them", extreme(quic.QUIC_COUNT_CWND_MAX)),
];

/** All columns behind `-`, in their order. */
export const QUIC_STAT_FIELDS: readonly QuicField[] = [...HAPROXYS, ...OWN];

/** Place of each by its name, from 0. */
export const AT_QUIC: Readonly<Record<string, number>> = Object.fromEntries(
  QUIC_STAT_FIELDS.map(({ name }, at) => [name, at]),
);

/** Fills the values of one side of a proxy. */
export function fillQuicRow(reading: QuicReading, row: StatRow): void {
  for (let at = 0; at < QUIC_STAT_FIELDS.length; at++) {
    row[at] = QUIC_STAT_FIELDS[at]!.read(reading);
  }
}
