/**
 * Addresses of live sockets: getsockname and getpeername without strings where the native module
 * is loaded, Bun's text otherwise.
 *
 * @hot
 */
import { parseIp } from "../../base/address.ts";
import { nativeModule } from "../native.ts";
import { decodeSocketAddress } from "../sockaddr.ts";
import type { Endpoint } from "../sockaddr.ts";
import type { TcpSocket } from "./tcp-conduit.ts";

const SCRATCH_BYTES = 128;
const scratch = new Uint8Array(SCRATCH_BYTES);

/** Fills `out` with the remote (peer = 1) or local (peer = 0) address; "not known" when gone. */
export function readEndpoint(socket: TcpSocket | null, peer: 0 | 1, out: Endpoint): void {
  out.clear();
  if (socket === null) return;
  const native = nativeModule();
  if (native === null) {
    readByText(socket, peer, out);
    return;
  }
  const fd = (socket as unknown as { fd: number }).fd;
  if (fd < 0) return;
  const length = native.name(fd, peer, scratch, SCRATCH_BYTES);
  if (length > 0) decodeSocketAddress(scratch, length, out);
}

/** @cold */
function readByText(socket: TcpSocket, peer: 0 | 1, out: Endpoint): void {
  const text =
    peer === 1 ? socket.remoteAddress : (socket as { localAddress?: string }).localAddress;
  const port = peer === 1 ? (socket as { remotePort?: number }).remotePort : socket.localPort;
  if (text === undefined || text === "" || !parseIp(text.replace("::ffff:", ""), out.ip)) {
    out.family = 1;
    return;
  }
  out.family = out.ip.family;
  out.port = port ?? 0;
}
