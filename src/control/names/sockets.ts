/** The system's sockets as name servers' wires. Main thread. */
import type { Endpoint, Transport, Wire, WireEars } from "./transport.ts";

/** An address that only a default route leads to; nothing is sent there. */
const FAR_IPV6 = "2001:db8::1";
const ANY_PORT = 53;

/** Sockets of this machine. */
export const systemTransport: Transport = { openUdp, openTcp, hasIpv6 };

function openUdp({ host, port }: Endpoint, ears: WireEars): Wire {
  let socket: Bun.udp.ConnectedSocket<"buffer"> | undefined;
  let early: Buffer[] = [];
  let isClosed = false;
  Bun.udpSocket({
    connect: { hostname: host, port },
    binaryType: "buffer",
    socket: {
      data: (_socket, bytes) => {
        if (!isClosed) ears.onData(bytes);
      },
      // A closed port says so: the question is not answered, which is known in time.
      error: () => undefined,
    },
  }).then(
    (opened) => {
      if (isClosed) return opened.close();
      socket = opened;
      for (const bytes of early) sendOn(opened, bytes);
      early = [];
    },
    () => {
      if (!isClosed) ears.onClose();
    },
  );
  return {
    send: (bytes) => {
      if (socket !== undefined) return sendOn(socket, bytes);
      early.push(bytes);
      return !isClosed;
    },
    close: () => {
      isClosed = true;
      early = [];
      socket?.close();
    },
  };
}

function sendOn(socket: Bun.udp.ConnectedSocket<"buffer">, bytes: Buffer): boolean {
  try {
    return socket.send(bytes);
  } catch {
    return false;
  }
}

function openTcp({ host, port }: Endpoint, ears: WireEars): Wire {
  let socket: Bun.Socket | undefined;
  let isClosed = false;
  const end = (): void => {
    if (isClosed) return;
    isClosed = true;
    ears.onClose();
  };
  const close = (): void => {
    isClosed = true;
    socket?.terminate();
  };
  Bun.connect({
    hostname: host,
    port,
    socket: {
      open: (opened) => {
        if (isClosed) return void opened.terminate();
        socket = opened;
        opened.setNoDelay(true);
        ears.onOpen?.();
      },
      data: (_socket, bytes) => {
        if (!isClosed) ears.onData(bytes);
      },
      close: end,
      error: end,
      connectError: end,
    },
  }).catch(end);
  return {
    // Questions are small and few: what the socket does not take at once ends it.
    send: (bytes) => {
      if (!isClosed && socket?.write(bytes) === bytes.length) return true;
      close();
      return false;
    },
    close,
  };
}

async function hasIpv6(): Promise<boolean> {
  try {
    const socket = await Bun.udpSocket({ connect: { hostname: FAR_IPV6, port: ANY_PORT } });
    socket.close();
    return true;
  } catch {
    return false;
  }
}
