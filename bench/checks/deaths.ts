/** Which servers are said to be down, and when: the balancer's log, received over UDP. */
import { nativeModule } from "../../src/conduit/native.ts";

const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
/** Ten thousand lines may come at once. */
const RECEIVE_BYTES = 4_194_304;
const DOWN = /Server (\S+) is DOWN/;

/** Receives a log. */
export interface DeathWatch extends Disposable {
  readonly port: number;
  /** When each server was first said to be down, ms of this process, by `backend/server`. */
  readonly downAtMs: ReadonlyMap<string, number>;
  /** Forgets what was said. */
  clear(): void;
}

/** Begins to receive. */
export async function watchDeaths(): Promise<DeathWatch> {
  const downAtMs = new Map<string, number>();
  const decoder = new TextDecoder();
  const socket = await Bun.udpSocket({
    hostname: "127.0.0.1",
    socket: {
      data(_socket, bytes) {
        const name = DOWN.exec(decoder.decode(bytes))?.[1];
        if (name !== undefined && !downAtMs.has(name)) downAtMs.set(name, performance.now());
      },
    },
  });
  const fd = "fd" in socket ? Number(socket.fd) : -1;
  if (fd >= 0) nativeModule()?.setInt(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BYTES);
  return {
    port: socket.port,
    downAtMs,
    clear: () => downAtMs.clear(),
    [Symbol.dispose]: () => socket.close(),
  };
}
