/**
 * Each ended stream leaves a record in its worker's log ring: what it says must agree with what the
 * client, the server and control did, and with how both sides were told.
 */
import {
  LOG_KIND_SESSION_ERROR,
  LOG_KIND_STREAM_CONNECTED,
} from "../../src/tables/generated/enums.ts";
import {
  STREAM_LOG_BYTES_DOWN,
  STREAM_LOG_BYTES_UP,
  STREAM_LOG_CONNECT_MS,
  STREAM_LOG_FLAGS,
  STREAM_LOG_KIND,
  STREAM_LOG_RETRIES,
  STREAM_LOG_TERMINATION,
  STREAM_LOG_TOTAL_MS,
  STREAM_LOG_UNIQUE_COUNTER,
} from "../../src/tables/generated/stream-log.ts";
import { peekRecord, releaseRecord, RING_FULL } from "../../src/tables/log-ring.ts";
import type { Outcome, SimClient, SimLink } from "./far.ts";
import type { Mark } from "./marks.ts";
import type { ProxyOptions } from "./options.ts";
import { QuicStreamSocket } from "./quic-socket.ts";
import { require } from "./violation.ts";
import type { World } from "./world.ts";

/** A session that ended over its header has an error code in place of the letters PR. */
const BAD = 0x5052;

/** Reads the records of all workers, as control's log pump does. */
export function harvestRecords(world: World): void {
  for (const { logRing } of world.tables.perWorker) {
    const { words, floats } = logRing;
    for (let row = peekRecord(words); row !== RING_FULL; row = peekRecord(words)) {
      const client = world.clientsByStream.get(words[row + STREAM_LOG_UNIQUE_COUNTER]!);
      require(client !== undefined, "a record is of a stream that was");
      const kind = words[row + STREAM_LOG_KIND]!;
      const letters = kind === LOG_KIND_SESSION_ERROR ? BAD : words[row + STREAM_LOG_TERMINATION]!;
      const outcome: Outcome = {
        termination: String.fromCharCode(letters >> 8, letters & 255),
        bytesUp: floats[(row + STREAM_LOG_BYTES_UP) >> 1]!,
        bytesDown: floats[(row + STREAM_LOG_BYTES_DOWN) >> 1]!,
        retries: words[row + STREAM_LOG_RETRIES]!,
        totalMs: words[row + STREAM_LOG_TOTAL_MS]!,
        connected: words[row + STREAM_LOG_CONNECT_MS]! >= 0,
      };
      const flags = words[row + STREAM_LOG_FLAGS]!;
      releaseRecord(words);
      world.trace(() => `record of ${client}: ${JSON.stringify(outcome)}`);
      if ((flags & 1) !== 0) world.marks.hit("redispatch");
      else if (outcome.retries > 0) world.marks.hit("retry on the same server");
      if (kind === LOG_KIND_STREAM_CONNECTED) {
        client.isLoggedEarly = true;
        continue;
      }
      require(client.outcome === null, "a stream ends once", () => `${client}`);
      client.outcome = outcome;
      judge(world, client, outcome);
    }
  }
}

const name = (client: SimClient, outcome: Outcome) => (): string =>
  `${client}: ${JSON.stringify(outcome)}`;

/** Causes that reset both sides; whoever never reached a server is closed in order. */
const ABORTING = ["CD", "SD", "PR"];

/** Was everybody who was still there told of the end, in the way that its letters promise? */
function isTold(client: SimClient, termination: string): boolean {
  const isAbort = ABORTING.includes(termination);
  const sockets = client.link === undefined ? [client.socket] : [client.socket, client.link.socket];
  return sockets.every((socket) => {
    if (socket.closeDelivered && !socket.nearClosed) return true;
    // Directions that were broken off one by one need no abort at the end.
    const isOneWay = socket instanceof QuicStreamSocket && (socket.nearBroken || socket.hasBroken);
    if (isOneWay && socket.nearClosed) return true;
    return socket.nearClosed && (!isAbort || socket.nearAborted || socket.closeDelivered);
  });
}

/** Checks what a record says. */
function judge(world: World, client: SimClient, outcome: Outcome): void {
  const { termination } = outcome;
  const detail = name(client, outcome);
  require(client.isOrphan ||
    isTold(client, termination), "an abort is passed on as an abort, an end as an end", detail);
  const proxy = proxyOf(world, client);
  if ("KDU".includes(termination[0]!)) {
    require(world.hasShutDown, "streams are shut down when control asks for it", detail);
    world.marks.hit(outcome.connected ? "shut down by control" : "shut down before a server");
    return;
  }
  switch (termination[1]) {
    case "-":
    case "D":
      judgeData(world, client, outcome, proxy);
      return;
    case "C":
    case "Q":
    case "R":
      judgeEarly(world, client, outcome, proxy);
      return;
    default:
      require(false, "a termination state is known", detail);
  }
}

/** Limits that are in force for a client: its frontend's, and its backend's. */
function proxyOf(world: World, client: SimClient): ProxyOptions {
  const { proxies, sharesBackend } = world.options;
  const front = proxies[client.proxy];
  const first = proxies[0];
  require(front !== undefined && first !== undefined, "a client came to a frontend");
  if (!sharesBackend || client.proxy !== proxies.length - 1 || !first.hasBackend) return front;
  const { client: idle, clientFin } = front.timeouts;
  return { ...first, timeouts: { ...first.timeouts, client: idle, clientFin } };
}

function judgeData(world: World, client: SimClient, outcome: Outcome, proxy: ProxyOptions): void {
  const { marks } = world;
  const { link } = client;
  const detail = name(client, outcome);
  const { timeouts } = proxy;
  if (outcome.termination === "CD" && outcome.connected === false) {
    marks.hit("abort before a server");
    const isQuic = client.socket instanceof QuicStreamSocket;
    require(isQuic ? client.hasBroken : client.hasReset, "who aborted is named", detail);
    return;
  }
  require(link !== undefined && link.isOpen, "data needs a connected server", detail);
  switch (outcome.termination) {
    case "--":
      judgeInOrder(world, client, link, outcome);
      return;
    case "CD":
      marks.hit("client aborted in data");
      require(client.hasBroken, "who aborted is named", detail);
      return;
    case "SD":
      marks.hit("server aborted in data");
      require(link.hasBroken, "who aborted is named", detail);
      return;
    case "cD":
      marks.hit("client timeout");
      requireTime(world, client, [timeouts.client, timeouts.clientFin, timeouts.tunnel], detail);
      return;
    case "sD":
      marks.hit("server timeout");
      requireTime(world, client, [timeouts.server, timeouts.serverFin, timeouts.tunnel], detail);
      return;
    case "RD":
      marks.hit("no room for the header");
      require(link.header !== null, "only a PROXY header needs room at once", detail);
      return;
    default:
      require(false, "a termination state is known", detail);
  }
}

/** Both directions ended; or a side that had ended its own was cut off later. */
function judgeInOrder(world: World, client: SimClient, link: SimLink, outcome: Outcome): void {
  const detail = name(client, outcome);
  const frontEnded = client.hasFinished || client.hasClosed;
  const backEnded = link.hasFinished || link.hasClosed;
  if (frontEnded && client.hasBroken) return;
  if (backEnded && link.hasBroken) return;
  world.marks.hit("stream ended in order");
  require(frontEnded && backEnded, "an end in order needs both ends", detail);
  require(outcome.bytesUp === client.sentPayload, "all of the client's bytes went up", detail);
  require(outcome.bytesDown === link.sentBytes, "all of the server's bytes came down", detail);
  client.isComplete = true;
}

/** A timeout comes when both sides have been still for the shortest of the limits, not before. */
function requireTime(
  world: World,
  client: SimClient,
  limits: readonly number[],
  detail: () => string,
): void {
  const configured = limits.filter((limit) => limit >= 0);
  require(configured.length > 0, "a timeout is one that was configured", detail);
  const still = world.clock.nowMs() - client.movedAtMs;
  require(still >= Math.min(...configured), "a timeout is not early", detail);
}

function judgeEarly(world: World, client: SimClient, outcome: Outcome, proxy: ProxyOptions): void {
  const { marks } = world;
  const detail = name(client, outcome);
  require(outcome.bytesUp === 0 && outcome.bytesDown === 0, "no bytes without a server", detail);
  const { timeouts } = proxy;
  const isQuic = client.socket instanceof QuicStreamSocket;
  const hasBrokenOff = isQuic && client.hasBroken;
  const hasLeft = hasBrokenOff || (client.socket.farFinished && proxy.abortonclose);
  const { termination } = outcome;
  switch (termination) {
    case "CQ":
    case "CC":
    case "CR":
      marks.hit(termination === "CQ" ? "client left while queued" : "client left while connecting");
      require(hasLeft, "who aborted is named", detail);
      return;
    case "PR":
      marks.hit("bad PROXY header");
      require(!client.header.isGood ||
        client.socket.farFinished ||
        timeouts.client >= 0, "a good header is taken", detail);
      return;
    case "sQ":
      marks.hit("queue timeout");
      requireWaited(outcome, timeouts.queue >= 0 ? timeouts.queue : timeouts.connect, detail);
      return;
    case "sC":
      marks.hit("connect timeout");
      requireWaited(outcome, timeouts.connect, detail);
      return;
    case "SC":
      marks.hit(client.links.length === 0 && outcome.retries === 0 ? "no server" : REFUSED);
      return;
    case "SQ":
      marks.hit("queue full");
      return;
    case "RC":
      marks.hit("no resource");
      return;
    case "RQ":
      marks.hit("no queue entry");
      require(world.options.queueEntries <
        world.clients.length, "there are enough queue entries", detail);
      return;
    default:
      require(false, "a termination state is known", detail);
  }
}

const REFUSED: Mark = "connection refused";

function requireWaited(outcome: Outcome, limitMs: number, detail: () => string): void {
  require(limitMs >= 0, "a timeout is one that was configured", detail);
  require(outcome.totalMs >= limitMs, "a timeout is not early", detail);
}
