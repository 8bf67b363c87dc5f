/**
 * Streams as `show sess` shows them: one line in HAProxy's shape, or some lines, or JSON. What has
 * no meaning here keeps its place with the value of something that never happens (`calls=0`), so
 * that whoever cuts the line into fields finds each.
 */
import { humanTime } from "../base/human-time.ts";
import type { Json } from "../base/json.ts";
import type { Model } from "../control/model.ts";
import { formatQuicId } from "../control/quic-list.ts";
import { formatStreamId } from "../control/stream-id.ts";
import { formatLocalSecond } from "../expr/log-dates.ts";
import type { SideRecord, StreamRecord, StreamStateName } from "../tables/questions.ts";
import { anonymAddress, anonymName } from "./anonymize.ts";
import type { Asker } from "./command.ts";

/** What the lines are made with. */
export type StreamShow = { model: Model; asker: Asker };

/** HAProxy's states of the server's side: number and name. */
const BACK_STATES: Record<StreamStateName, readonly [number, string]> = {
  header: [0, "INI"],
  route: [1, "REQ"],
  queue: [2, "QUE"],
  retry: [3, "TAR"],
  connect: [5, "CON"],
  relay: [8, "EST"],
};
const ESTABLISHED = [8, "EST"] as const;
const CLOSED = [10, "CLO"] as const;

/** The one-line form. @param hasDoubt say what is suspicious about it */
export function streamLine(show: StreamShow, stream: StreamRecord, hasDoubt: boolean): string {
  const { asker } = show;
  const { front, back, worker, expiresMs } = stream;
  const [frontState] = front.fd < 0 && front.isBroken ? CLOSED : ESTABLISHED;
  const [backState] = backStateOf(stream);
  const waits = stream.state !== "relay" && stream.state !== "header";
  return (
    `${formatStreamId(stream)}: proto=${protocolOf(show, stream)} src=${sourceOf(show, stream)}` +
    ` fe=${anonymName(asker, stream.frontend)} be=${backendOf(show, stream)}` +
    ` srv=${serverOf(show, stream, "<none>")} ts=00 epoch=0 age=${humanTime(stream.ageMs / 1000)}` +
    " calls=0 rate=0 cpu=0 lat=0 rq[f=000000h,i=0,an=00h,ax=] rp[f=000000h,i=0,an=00h,ax=]" +
    ` scf=[${frontState},0h,fd=${worker}/${front.fd}${sideTimes(front)}]` +
    ` scb=[${backState},1h,fd=${worker}/${back?.fd ?? -1}${sideTimes(back)}]` +
    ` exp=${timeLeft(expiresMs, "")} rc=${stream.retries}` +
    ` c_exp=${waits ? timeLeft(expiresMs, "") : ""}` +
    ` worker=${worker} state=${stream.state} in=${stream.bytesUp} out=${stream.bytesDown}` +
    ` idle=${humanTime(idleOf(stream) / 1000)}` +
    `${quicWord(" fquic=", stream, front)}${quicWord(" bquic=", stream, back)}` +
    `${hasDoubt ? ` susp="${stream.doubt}"` : ""}\n`
  );
}

/** The form of `show sess <id>` and `show sess all`. */
export function streamLines(show: StreamShow, stream: StreamRecord): string {
  const { asker } = show;
  const { front, back } = stream;
  const seconds = Math.floor(stream.acceptedEpochMicros / 1e6);
  const micros = String(Math.floor(stream.acceptedEpochMicros % 1e6)).padStart(6, "0");
  const waits = stream.state !== "relay" && stream.state !== "header";
  const listener = show.model.listenerByRow.get(stream.listenerRow);
  const [backNumber, backName] = backStateOf(stream);
  return [
    `${formatStreamId(stream)}: [${formatLocalSecond(seconds)}.${micros}] id=${stream.counter}` +
      ` proto=${protocolOf(show, stream)} source=${sourceOf(show, stream)}`,
    `  flags=0x0, conn_retries=${stream.retries},` +
      ` conn_exp=${waits ? timeLeft(stream.expiresMs, "<NEVER>") : "<NEVER>"}` +
      ` redispatched=${Number(stream.wasRedispatched)}` +
      ` waiting=${Number(stream.state === "queue")} epoch=0`,
    `  frontend=${anonymName(asker, stream.frontend)} (id=${proxyId(show, stream.frontendRow)}` +
      ` mode=tcp), listener=${listener?.spec.name ?? "?"} (id=${listener?.spec.id ?? 0})` +
      addressWord(show, front.local),
    stream.backend === ""
      ? "  backend=<NONE> (id=-1 mode=-)"
      : `  backend=${backendOf(show, stream)} (id=${proxyId(show, stream.backendRow)} mode=tcp)` +
        addressWord(show, back?.local ?? ""),
    stream.backend === ""
      ? "  server=<NONE> (id=-1)"
      : `  server=${serverOf(show, stream, "<none>")}` +
        ` (id=${show.model.serverByRow.get(stream.serverRow)?.spec.id ?? 0})` +
        addressWord(show, back?.remote ?? ""),
    `  worker=${stream.worker} slot=${stream.slot} generation=${stream.generation >>> 0}` +
      ` state=${stream.state} exp=${timeLeft(stream.expiresMs, "<NEVER>")}` +
      ` age=${humanTime(stream.ageMs / 1000)} idle=${humanTime(idleOf(stream) / 1000)}`,
    `  scf: state=EST ${sideLine(show, front, stream.bytesUp, stream.bytesDown)}` +
      quicWord(" quic=", stream, front),
    `  scb: state=${backName} ${
      back === null
        ? `flags=none fd=-1 (${backNumber})`
        : sideLine(show, back, stream.bytesDown, stream.bytesUp) + quicWord(" quic=", stream, back)
    }`,
    ...(stream.state === "queue"
      ? [`  queue: place=${stream.queuePlace} waited=${humanTime(stream.queuedMs / 1000)}`]
      : []),
    ...(stream.doubt === "" ? [] : [`  susp: ${stream.doubt}`]),
    "",
  ].join("\n");
}

/** A stream for programs. */
export function streamJson(show: StreamShow, stream: StreamRecord): Json {
  const { asker } = show;
  const { front, back } = stream;
  return {
    id: formatStreamId(stream),
    number: stream.counter,
    worker: stream.worker,
    state: stream.state,
    protocol: protocolOf(show, stream),
    source: sourceOf(show, stream),
    frontend: anonymName(asker, stream.frontend),
    backend: stream.backend === "" ? null : backendOf(show, stream),
    server: stream.server === "" ? null : anonymName(asker, stream.server),
    acceptedAt: stream.acceptedEpochMicros / 1e6,
    ageMs: stream.ageMs,
    idleMs: idleOf(stream),
    expiresMs: stream.expiresMs === -1 ? null : stream.expiresMs,
    bytesIn: stream.bytesUp,
    bytesOut: stream.bytesDown,
    retries: stream.retries,
    redispatched: stream.wasRedispatched,
    queue:
      stream.state === "queue" ? { place: stream.queuePlace, waitedMs: stream.queuedMs } : null,
    suspicious: stream.doubt === "" ? null : stream.doubt,
    client: sideJson(show, front, stream.worker),
    upstream: back === null ? null : sideJson(show, back, stream.worker),
  };
}

function backStateOf(stream: StreamRecord): readonly [number, string] {
  if (stream.state === "relay" && stream.back === null) return CLOSED;
  return BACK_STATES[stream.state];
}

/** Who has moved nothing for the shorter time counts: a stream is idle when both sides are. */
function idleOf({ front, back }: StreamRecord): number {
  return back === null ? front.idleMs : Math.min(front.idleMs, back.idleMs);
}

function protocolOf({ model }: StreamShow, stream: StreamRecord): string {
  const family = model.listenerByRow.get(stream.listenerRow)?.spec.address.family;
  if (stream.front.quic !== null) return family === "ipv6" ? "quic6" : "quic4";
  const isUnix = family === "unix" || family === "abns";
  if (isUnix || stream.client === "unix") return "unix_stream";
  if (family === "ipv4" || family === "ipv6") return family === "ipv4" ? "tcpv4" : "tcpv6";
  return stream.client.indexOf(":") === stream.client.lastIndexOf(":") ? "tcpv4" : "tcpv6";
}

function sourceOf({ model, asker }: StreamShow, { client, listenerRow }: StreamRecord): string {
  if (client === "unix") return `unix:${model.listenerByRow.get(listenerRow)?.spec.id ?? 0}`;
  return client === "" ? "?" : anonymAddress(asker, client);
}

const backendOf = ({ asker }: StreamShow, { backend }: StreamRecord): string =>
  backend === "" ? "<NONE>" : anonymName(asker, backend);

const serverOf = ({ asker }: StreamShow, { server }: StreamRecord, none: string): string =>
  server === "" ? none : anonymName(asker, server);

const proxyId = ({ model }: StreamShow, row: number): number =>
  model.proxyByRow.get(row)?.spec.id ?? 0;

const addressWord = ({ asker }: StreamShow, address: string): string =>
  address === "" ? "" : ` addr=${anonymAddress(asker, address)}`;

/** `none` when there is no limit, `?` when it has passed. */
function timeLeft(ms: number, none: string): string {
  return ms === -1 ? none : humanTime(ms / 1000);
}

/** When the side is no longer waited for: to send, or, where it takes nothing, to take. */
function sideTimes(side: SideRecord | null): string {
  if (side === null) return ",rex=,wex=";
  const left = timeLeft(side.expiresMs, "");
  return side.isBlocked ? `,rex=,wex=${left}` : `,rex=${left},wex=`;
}

function sideLine(show: StreamShow, side: SideRecord, inBytes: number, outBytes: number): string {
  const words = [
    side.hasEnded ? "ended" : "",
    side.isBlocked ? "blocked" : "",
    side.isBroken ? "broken" : "",
  ].filter((word) => word !== "");
  const left = timeLeft(side.expiresMs, "<NEVER>");
  return (
    `flags=${words.join("|") || "none"} fd=${side.fd} in=${inBytes} out=${outBytes}` +
    ` idle=${humanTime(side.idleMs / 1000)} rex=${side.isBlocked ? "<NEVER>" : left}` +
    ` wex=${side.isBlocked ? left : "<NEVER>"}` +
    (side.remote === "" ? "" : ` remote=${anonymAddress(show.asker, side.remote)}`)
  );
}

/** ` quic=<connection>.<stream>`, `-` for a whole connection; "" = the side is no QUIC. */
function quicWord(lead: string, { worker }: StreamRecord, side: SideRecord | null): string {
  const place = side?.quic ?? null;
  if (place === null) return "";
  const { connection, streamId } = place;
  return `${lead}${formatQuicId({ worker, connection })}.${streamId < 0 ? "-" : streamId}`;
}

function quicSideJson({ quic }: SideRecord, worker: number): Json {
  if (quic === null) return null;
  const { connection, streamId } = quic;
  const stream = streamId < 0 ? null : streamId;
  return { connection: formatQuicId({ worker, connection }), stream };
}

function sideJson({ asker }: StreamShow, side: SideRecord, worker: number): Json {
  return {
    remote: side.remote === "" ? null : anonymAddress(asker, side.remote),
    local: side.local === "" ? null : anonymAddress(asker, side.local),
    fd: side.fd,
    ended: side.hasEnded,
    blocked: side.isBlocked,
    broken: side.isBroken,
    idleMs: side.idleMs,
    expiresMs: side.expiresMs === -1 ? null : side.expiresMs,
    quic: quicSideJson(side, worker),
  };
}
