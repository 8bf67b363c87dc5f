/** Socket options of connections to servers, as arrays for the native module. */
import {
  OPT_COUNT,
  OPT_KEEP_COUNT,
  OPT_KEEP_IDLE,
  OPT_KEEP_INTERVAL,
  OPT_KEEPALIVE,
  OPT_MARK,
  OPT_RCVBUF,
  OPT_SNDBUF,
  OPT_TFO,
  OPT_TOS,
  OPT_USER_TIMEOUT,
} from "../../conduit/native.ts";
import type { ProxyHead, WorkerGlobals } from "../../tables/mutations.ts";
import type { KeepaliveSpec, ServerSpec } from "../../tables/spec.ts";

/** Options for connecting to a server; null when all are the system's defaults. */
export function serverDialOptions(
  server: ServerSpec,
  backend: ProxyHead,
  globals: WorkerGlobals,
): Int32Array | null {
  const options = new Int32Array(OPT_COUNT);
  setKeepalive(options, backend.serverKeepalive);
  options[OPT_RCVBUF] = globals.rcvbufServer;
  options[OPT_SNDBUF] = globals.sndbufServer;
  options[OPT_TFO] = server.tfo ? 1 : 0;
  options[OPT_USER_TIMEOUT] = server.tcpUserTimeoutMs;
  options[OPT_MARK] = server.mark;
  options[OPT_TOS] = server.tos;
  return options.some((value) => value !== 0) ? options : null;
}

function setKeepalive(options: Int32Array, spec: KeepaliveSpec): void {
  if (!spec.enabled) return;
  options[OPT_KEEPALIVE] = 1;
  options[OPT_KEEP_IDLE] = spec.idleSeconds;
  options[OPT_KEEP_INTERVAL] = spec.intervalSeconds;
  options[OPT_KEEP_COUNT] = spec.count;
}
