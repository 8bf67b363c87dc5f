/**
 * QUIC connections as `show quic` shows them: one line each with HAProxy's columns, the streams one
 * a line, or everything in sections, which can be chosen; and JSON.
 */
import { humanTime } from "../base/human-time.ts";
import type { Json } from "../base/json.ts";
import { QUIC_MOMENTS, QUIC_NUMBERS } from "../conduit/quic/transport.ts";
import type { Model } from "../control/model.ts";
import { formatQuicId } from "../control/quic-list.ts";
import { formatStreamId } from "../control/stream-id.ts";
import { escapeUnprintable } from "../expr/log-format.ts";
import type { QuicRecord, QuicStateName, QuicStreamRecord } from "../tables/questions.ts";
import { anonymAddress, anonymName } from "./anonymize.ts";
import type { Asker } from "./command.ts";

/** What the lines are made with. */
export type QuicShow = { model: Model; asker: Asker };

/** Sections of the full form, in their order: HAProxy's names, then sluice's. */
export const QUIC_SECTIONS = ["tp", "sock", "pktns", "cc", "mux", "tls", "counters"] as const;
export type QuicSection = (typeof QUIC_SECTIONS)[number];

type QuicNumber = (typeof QUIC_NUMBERS)[number] | (typeof QUIC_MOMENTS)[number];

const PLACES = new Map<string, number>(
  [...QUIC_NUMBERS, ...QUIC_MOMENTS].map((name, at) => [name, at]),
);

const numberOf = ({ numbers }: QuicRecord, name: QuicNumber): number =>
  Math.round(numbers[PLACES.get(name)!] ?? 0);

const STATES: Readonly<Record<QuicStateName, string>> = {
  handshake: "HDSHK",
  established: "ESTAB",
  closing: "CLOSE",
  draining: "DRAIN",
  over: "CLOSE",
};

/** Widths of the columns of the one-line form. */
const WIDTHS = { name: 36, state: 8, address: 24 } as const;

/** First line of the one-line form. */
export const QUIC_HEADER =
  "# conn/frontend                     state   in_flight infl_p lost_p         Local Address" +
  "           Foreign Address      local & remote CIDs\n";

/** Name of the frontend; of a connection to a server, the server's. */
function sideName({ model, asker }: QuicShow, record: QuicRecord): string {
  const server = model.serverByRow.get(record.serverRow);
  if (!record.isFront && server !== undefined) return anonymName(asker, server.spec.name);
  const proxy = model.proxyByRow.get(record.proxyRow);
  return proxy === undefined ? "?" : anonymName(asker, proxy.spec.name);
}

/** The one-line form. */
export function quicLine(show: QuicShow, record: QuicRecord): string {
  const { worker, isFront, state, local, remote, scid, dcid } = record;
  const tag = isFront ? "" : "(B)";
  const thread = String(worker).padStart(2, "0");
  const name = `${formatQuicId(record)}[${thread}]${tag}/${sideName(show, record)}`;
  const inFlight = String(numberOf(record, "inFlight")).padStart(9);
  const lost = String(numberOf(record, "packetsLost")).padStart(6);
  const address = (text: string): string =>
    anonymAddress(show.asker, text || "-").padStart(WIDTHS.address);
  return (
    `${name.padEnd(WIDTHS.name)}${STATES[state].padEnd(WIDTHS.state)}` +
    // How many packets that is the transport does not say.
    `${inFlight} ${"-".padStart(6)} ${lost} ${address(local)} ${address(remote)}` +
    `   ${scid || "-"} ${dcid || "-"}\n`
  );
}

const KINDS = ["client/bidi", "server/bidi", "client/uni", "server/uni"] as const;

/** Streams of a connection, one a line. */
export function quicStreamLines(record: QuicRecord): string {
  const id = formatQuicId(record);
  let text = "";
  for (const stream of record.streams) text += `${id}.${streamWords(record, stream)}\n`;
  if (record.streamsLeft > 0) text += `${id}: ${record.streamsLeft} more streams\n`;
  return text;
}

function streamWords({ worker, isSession }: QuicRecord, stream: QuicStreamRecord): string {
  const { id, slot, generation, ageMs, bytesIn, bytesOut, isBlocked, hasEnded } = stream;
  const head = `${String(id).padStart(4, "0")}: ${KINDS[id & 3]}`;
  if (slot === 0) return `${head} -- ${isSession ? "mapped" : "no sluice stream"} --`;
  const flags = [...(isBlocked ? ["blocked"] : []), ...(hasEnded ? ["ended"] : [])];
  return (
    `${head} age=${humanTime(ageMs / 1000)} rx=${bytesIn} tx=${bytesOut}` +
    ` flags=${flags.join("|") || "none"} stream=${formatStreamId({ worker, slot, generation })}`
  );
}

/** The form of several lines. @param sections which of it */
export function quicLines(
  show: QuicShow,
  record: QuicRecord,
  sections: ReadonlySet<QuicSection>,
): string {
  const { model, asker } = show;
  const { worker, isFront, scid, dcid, state } = record;
  const thread = String(worker).padStart(2, "0");
  const proxy = model.proxyByRow.get(record.proxyRow);
  const server = model.serverByRow.get(record.serverRow);
  const lines = [
    `* ${formatQuicId(record)}[${thread}]${isFront ? "" : "(B)"}: scid=${scid} dcid=${dcid}`,
    `  state=${state} ${isFront ? "frontend" : "backend"}=` +
      (proxy === undefined ? "?" : anonymName(asker, proxy.spec.name)) +
      (isFront
        ? ""
        : ` server=${server === undefined ? "-" : anonymName(asker, server.spec.name)}`) +
      ` map=${record.isSession ? "session" : "stream"}` +
      ` age=${humanTime(numberOf(record, "ageMillis") / 1000)}` +
      ` idle=${humanTime(numberOf(record, "idleMillis") / 1000)}`,
  ];
  for (const section of QUIC_SECTIONS) {
    if (sections.has(section)) lines.push(...SECTIONS[section](show, record));
  }
  return `${lines.join("\n")}\n`;
}

/** `name=value` of numbers. */
function pairs(record: QuicRecord, names: readonly QuicNumber[]): string {
  return names.map((name) => `${name}=${numberOf(record, name)}`).join(" ");
}

const PACKETS = ["packetsSent", "packetsReceived", "packetsLost", "packetsDropped"] as const;
const BYTES = ["bytesSent", "bytesReceived", "bytesLost", "streamBytesResent"] as const;

const SECTIONS: Readonly<
  Record<QuicSection, (show: QuicShow, record: QuicRecord) => readonly string[]>
> = {
  tp: (_show, { localParameters, remoteParameters }) => [
    `  loc. TPs: ${localParameters || "-"}`,
    `  rem. TPs: ${remoteParameters || "-"}`,
  ],
  sock: ({ asker }, { fd, local, remote }) => [
    `  fd=${fd} local_addr=${anonymAddress(asker, local || "-")}` +
      ` foreign_addr=${anonymAddress(asker, remote || "-")}`,
  ],
  pktns: (_show, record) => [
    `  packets: ${pairs(record, PACKETS)}`,
    `  bytes: ${pairs(record, BYTES)}`,
  ],
  cc: (_show, record) => [
    `  rtt (us): ${pairs(record, [
      "rttSmoothMicros",
      "rttVarianceMicros",
      "rttMinMicros",
      "rttLatestMicros",
    ])}`,
    `  window: ${pairs(record, ["cwnd", "ssthresh", "inFlight"])}`,
  ],
  mux: (_show, record) => [
    `  streams: ${pairs(record, ["streamsNow", "unread", "unsent"])}`,
    ...quicStreamLines(record)
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => `    ${line}`),
  ],
  tls: ({ asker }, { sni, alpn, cipher, group, isResumed, isEarly, isVerified }) => [
    `  tls: sni=${sni === "" ? "-" : anonymName(asker, oneWord(sni))}` +
      ` alpn=${oneWord(alpn) || "-"}` +
      ` cipher=${cipher || "-"} group=${group || "-"} resumed=${Number(isResumed)}` +
      ` early=${Number(isEarly)} verified=${Number(isVerified)}`,
  ],
  counters: (_show, record) => {
    const counted = QUIC_NUMBERS.filter((name) => numberOf(record, name) !== 0);
    return [`  counters: ${pairs(record, counted) || "-"}`];
  },
};

/** What a peer has chosen, as one word of one line, whatever is in it. */
function oneWord(text: string): string {
  return escapeUnprintable(text).replaceAll(" ", "#20");
}

/** A connection for programs. */
export function quicJson(show: QuicShow, record: QuicRecord): Json {
  const { model, asker } = show;
  const name = (text: string): string | null => (text === "" ? null : anonymName(asker, text));
  const proxy = model.proxyByRow.get(record.proxyRow);
  const server = model.serverByRow.get(record.serverRow);
  const { worker } = record;
  return {
    id: formatQuicId(record),
    worker,
    side: record.isFront ? "front" : "back",
    proxy: proxy === undefined ? null : anonymName(asker, proxy.spec.name),
    server: server === undefined ? null : anonymName(asker, server.spec.name),
    state: record.state,
    map: record.isSession ? "session" : "stream",
    fd: record.fd,
    local: record.local === "" ? null : anonymAddress(asker, record.local),
    remote: record.remote === "" ? null : anonymAddress(asker, record.remote),
    scid: record.scid,
    dcid: record.dcid,
    sni: name(record.sni),
    alpn: record.alpn === "" ? null : record.alpn,
    cipher: record.cipher === "" ? null : record.cipher,
    group: record.group === "" ? null : record.group,
    resumed: record.isResumed,
    early: record.isEarly,
    verified: record.isVerified,
    localParameters: record.localParameters,
    remoteParameters: record.remoteParameters,
    counters: namedNumbers(record, QUIC_NUMBERS),
    now: namedNumbers(record, QUIC_MOMENTS.slice(0, -1)),
    streams: record.streams.map(({ id, slot, generation, ...rest }) => ({
      id,
      kind: KINDS[id & 3]!,
      stream: slot === 0 ? null : formatStreamId({ worker, slot, generation }),
      ...rest,
    })),
    streamsLeft: record.streamsLeft,
  };
}

function namedNumbers(record: QuicRecord, names: readonly QuicNumber[]): Record<string, Json> {
  return Object.fromEntries(names.map((name) => [name, numberOf(record, name)]));
}
