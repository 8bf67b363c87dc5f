/**
 * A living stream as the context of samples and formats: rules, hashing, dynamic backend names.
 * One object, filled anew for each evaluation: nothing is allocated per stream.
 */
import type { IpAddress } from "../../base/address.ts";
import { isLoopback } from "../../base/address.ts";
import { Endpoint } from "../../conduit/sockaddr.ts";
import type { LogContext } from "../../expr/context.ts";
import { compileLogFormat } from "../../expr/evaluate.ts";
import type {
  AddressField,
  IntegerField,
  ProxyField,
  ServerField,
  TextField,
} from "../../expr/keyword.ts";
import { LISTENER_CURRENT } from "../../tables/generated/listener.ts";
import { PROCESS_CURRENT, PROCESS_STOPPING } from "../../tables/generated/process.ts";
import type { Stream } from "../stream.ts";
import type { ProxyView, ServerView } from "../views.ts";
import { proxyNumber, serverNumber } from "./numbers.ts";
import { tlsInteger, tlsText } from "./tls-samples.ts";

export class StreamContext implements LogContext {
  private stream!: Stream;

  private static readonly shared = new StreamContext();

  /** The one context of this thread, looking at `stream` until the next call. */
  static of(stream: Stream): StreamContext {
    StreamContext.shared.stream = stream;
    return StreamContext.shared;
  }

  private endpoint(field: AddressField): Endpoint {
    const { stream } = this;
    switch (field) {
      case "client":
        return clientOf(stream);
      case "destination":
        return destinationOf(stream);
      case "frontClient":
        stream.front?.remoteEndpoint(scratch);
        return scratch;
      case "frontDestination":
        stream.front?.localEndpoint(scratch);
        return scratch;
      case "backSource":
        stream.back?.localEndpoint(scratch);
        return scratch;
      case "backDestination":
        stream.back?.remoteEndpoint(scratch);
        return scratch;
    }
  }

  address(field: AddressField, out: IpAddress): boolean {
    const endpoint = this.endpoint(field);
    if (endpoint.family !== 4 && endpoint.family !== 6) return false;
    out.copyFrom(endpoint.ip);
    return true;
  }

  port(field: AddressField): number {
    const endpoint = this.endpoint(field);
    return endpoint.family === 4 || endpoint.family === 6 ? endpoint.port : -1;
  }

  isUnix(field: AddressField): boolean {
    return this.endpoint(field).family === 1;
  }

  text(field: TextField): string | undefined {
    const { stream } = this;
    switch (field) {
      case "fe_name":
        return stream.frontend.name;
      case "be_name":
        return stream.backend?.name;
      case "srv_name":
        return stream.server?.name;
      case "so_name":
        return stream.listener!.spec.name ?? `sock-${stream.listener!.spec.id}`;
      case "fe_defbe":
        return stream.frontend.spec.defaultBackend?.name;
      case "hostname":
        return stream.engine.globals.hostName;
      case "fc_pp_authority":
        return stream.header?.authority;
      case "fc_pp_unique_id":
        return stream.header?.uniqueId;
      case "unique-id":
        return uniqueIdOf(stream) || undefined;
      default:
        return tlsText(stream, field);
    }
  }

  integer(field: IntegerField): number | undefined {
    const { stream } = this;
    const { engine, frontend, backend } = stream;
    switch (field) {
      case "act_conn":
        return engine.tables.process.words[PROCESS_CURRENT];
      case "be_id":
        return backend?.spec.id;
      case "fe_id":
        return frontend.spec.id;
      case "so_id":
        return stream.listener!.spec.id;
      case "srv_id":
        return stream.server?.spec.id;
      case "be_connect_timeout":
        return timeout(backend?.timeoutConnect);
      case "be_queue_timeout":
        return timeout(backend?.timeoutQueue);
      case "be_server_timeout":
        return timeout(backend?.timeoutServer);
      case "be_tunnel_timeout":
        return timeout(backend?.timeoutTunnel);
      case "fe_client_timeout":
        return timeout(frontend.timeoutClient);
      case "be_max_retries":
        return backend?.spec.retries;
      case "bytes_in":
        return stream.bytesUp;
      case "bytes_out":
        return stream.bytesDown;
      case "dst_conn":
        return engine.tables.listeners.words[stream.listener!.row + LISTENER_CURRENT];
      case "dst_is_local":
      case "fc_dst_is_local":
        return flag(isLoopback(this.endpoint("destination").ip));
      case "src_is_local":
      case "fc_src_is_local":
        return flag(isLoopback(this.endpoint("client").ip));
      case "fc_rcvd_proxy":
        return flag(stream.header !== null);
      case "fc.timer.handshake":
        return stream.handshakeMs;
      case "fc.timer.total":
        return Math.round(engine.clock.nowMs() - stream.acceptedAtMs);
      case "pid":
        return process.pid;
      case "quic_enabled":
        return flag(engine.globals.isQuicEnabled);
      case "stopping":
        return engine.tables.process.words[PROCESS_STOPPING];
      case "thread":
        return engine.worker;
      case "txn.conn_retries":
        return stream.retries;
      case "txn.redispatched":
        return flag(stream.wasRedispatched);
      case "txn.id32":
        return stream.uniqueCounter >>> 0;
      case "bc_be_queue":
        return stream.backQueueAhead;
      case "bc_srv_queue":
        return stream.serverQueueAhead;
      default:
        return tlsInteger(stream, field);
    }
  }

  proxyInteger(field: ProxyField, name: string): number | undefined {
    const { stream } = this;
    const proxy = this.findProxy(field, name);
    return proxy === undefined ? undefined : proxyNumber(stream.engine, proxy, field);
  }

  private findProxy(field: ProxyField, name: string): ProxyView | undefined {
    const { stream } = this;
    const isFront = field === "fe_conn" || field === "fe_sess_rate";
    if (name === "") return isFront ? stream.frontend : (stream.backend ?? undefined);
    const { frontendsByName, backendsByName } = stream.engine;
    return (isFront ? frontendsByName : backendsByName).get(name);
  }

  serverInteger(field: ServerField, backend: string, server: string): number | undefined {
    const { stream } = this;
    const view = this.findServer(backend, server);
    return view === undefined ? undefined : serverNumber(stream.engine, view, field);
  }

  private findServer(backend: string, server: string): ServerView | undefined {
    const { stream } = this;
    if (server === "") return stream.server ?? undefined;
    const owner = backend === "" ? stream.backend : stream.engine.backendsByName.get(backend);
    return owner?.serversByName.get(server);
  }

  environment(name: string): string | undefined {
    return process.env[name];
  }

  epochMicros(): number {
    return this.stream.engine.clock.epochMicros();
  }

  acceptedMicros(): number {
    return this.stream.acceptedEpochMicros;
  }

  random32(): number {
    return this.stream.engine.environment.random32();
  }

  isPartial(): boolean {
    return true;
  }

  isFrontTls(): boolean {
    return this.stream.listener!.spec.quic !== undefined;
  }

  logCounter(): number {
    return 0;
  }

  origin(): string {
    return "txn_connect";
  }
}

const scratch = new Endpoint();

const flag = (value: boolean): number => (value ? 1 : 0);
const timeout = (value: number | undefined): number | undefined =>
  value === undefined || value < 0 ? undefined : value;

/** Who the client is: as the PROXY header says, else as its socket does; read when first wanted. */
export function clientOf(stream: Stream): Endpoint {
  if (stream.client.family === 0) stream.front?.remoteEndpoint(stream.client);
  return stream.client;
}

/** What the client reached: the PROXY header's destination, else the socket's own address. */
export function destinationOf(stream: Stream): Endpoint {
  if (stream.destination.family === 0) stream.front?.localEndpoint(stream.destination);
  return stream.destination;
}

/** The stream's `unique-id-format`, made when it is first asked for; empty where there is none. */
export function uniqueIdOf(stream: Stream): string {
  const { frontend } = stream;
  const { uniqueIdFormat } = frontend.spec;
  if (uniqueIdFormat === undefined || stream.uniqueId !== "") return stream.uniqueId;
  // A format that asks for the identifier itself finds none.
  stream.uniqueId = "-";
  frontend.uniqueId ??= compileLogFormat(uniqueIdFormat);
  stream.uniqueId = frontend.uniqueId(StreamContext.of(stream));
  return stream.uniqueId;
}
