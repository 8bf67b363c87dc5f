/**
 * What arrives on the other side of each of the four bridges when one side ends, breaks a direction
 * off, refuses one, closes its connection, or is gone: the table of docs/quic.md, row by row.
 *
 * Each case says what both ends do and what each of them sees; `Q` words are for QUIC ends, where
 * codes are seen, `T` words for TCP ends.
 */
import { describe, expect, test } from "bun:test";

import { findSluice } from "../support/haproxy.ts";
import { certificates, SERVER_NAME } from "../support/quic-certificates.ts";
import { findQuiche } from "../support/quic-quiche-native.ts";
import { QuicEndpoint } from "../support/quic-quiche.ts";
import { playQuicStream, startQuicScriptServer } from "../support/quic-script.ts";
import { type Bridge, BRIDGES, startBridge } from "../support/quic-sluice.ts";
import { Flags, playClient, startScriptServer, type Transcript } from "../support/tcp-script.ts";

const [TCP_TO_QUIC, QUIC_TO_TCP, BY_STREAM, BY_SESSION] = BRIDGES as [
  Bridge,
  Bridge,
  Bridge,
  Bridge,
];

/** Silence after which a peer counts as gone. */
const IDLE_MS = 700;
/** Silent peers are found by this; nothing else may end a stream. */
const GLOBAL = `  tune.quic.fe.max-idle-timeout ${IDLE_MS}ms
  tune.quic.be.max-idle-timeout ${IDLE_MS}ms`;

interface Case {
  name: string;
  bridges: readonly Bridge[];
  client: string;
  server: string;
  clientSees: Transcript;
  serverSees: Transcript;
}

const HELLO = 'read "hello"';
const WORLD = 'read "world"';
const QUIC_BOTH = [BY_STREAM, BY_SESSION];

const CASES: readonly Case[] = [
  {
    name: "the client ends first, the answer comes back through the open side",
    bridges: BRIDGES,
    client: "send hello; shut; read-end",
    server: "read-end; send answer; shut",
    clientSees: ['end "answer"'],
    serverSees: ['end "hello"'],
  },
  {
    name: "the server ends first, the rest goes through the open side",
    bridges: BRIDGES,
    client: "send hello; read-end; send rest; shut",
    server: "read 5; send first; shut; read-end",
    clientSees: ['end "first"'],
    serverSees: [HELLO, 'end "rest"'],
  },
  {
    name: "the client breaks off what it sends: the other direction goes on",
    bridges: QUIC_BOTH,
    client: "send hello; read 5; reset 77; read-end",
    server: "read 5; send world; read-end; send rest; shut",
    clientSees: [WORLD, 'end "rest"'],
    serverSees: [HELLO, "reset 77"],
  },
  {
    name: "the server breaks off what it sends: the other direction goes on",
    bridges: QUIC_BOTH,
    client: "send hello; read 5; tell go; read-end; send rest; shut",
    server: "read 5; send world; hear go; reset 77; read-end",
    clientSees: [WORLD, "reset 77"],
    serverSees: [HELLO, 'end "rest"'],
  },
  {
    name: "the client takes no more: the server is told, the other direction goes on",
    bridges: QUIC_BOTH,
    client: "send hello; read 5; stop 55; hear go; send rest; shut",
    server: "read 5; send world; hear-stop; tell go; read-end",
    clientSees: [WORLD],
    serverSees: [HELLO, "stop 55", 'end "rest"'],
  },
  {
    name: "the server takes no more: the client is told, the other direction goes on",
    bridges: QUIC_BOTH,
    client: "send hello; read 5; hear-stop; tell go; read-end",
    server: "read 5; send world; stop 55; hear go; send rest; shut",
    clientSees: [WORLD, "stop 55", 'end "rest"'],
    serverSees: [HELLO],
  },
  {
    name: "the client's RESET_STREAM is a reset of the whole for a TCP server",
    bridges: [QUIC_TO_TCP],
    client: "send hello; read 5; reset 77; read-end",
    server: "read 5; send world; read-end",
    clientSees: [WORLD, "reset 77"],
    serverSees: [HELLO, "reset"],
  },
  {
    name: "the client's STOP_SENDING is a reset of the whole for a TCP server",
    bridges: [QUIC_TO_TCP],
    client: "send hello; read 5; stop 55; hear-stop",
    server: "read 5; send world; read-end",
    clientSees: [WORLD, "stop 55"],
    serverSees: [HELLO, "reset"],
  },
  {
    name: "the server's RESET_STREAM is a reset of the whole for a TCP client",
    bridges: [TCP_TO_QUIC],
    client: "send hello; read 5; tell go; read-end",
    server: "read 5; send world; hear go; reset 77; read-end",
    clientSees: [WORLD, "reset"],
    serverSees: [HELLO, "reset 77"],
  },
  {
    name: "the server's STOP_SENDING is a reset of the whole for a TCP client",
    bridges: [TCP_TO_QUIC],
    client: "send hello; read 5; tell go; read-end",
    server: "read 5; send world; hear go; stop 55; hear-stop",
    clientSees: [WORLD, "reset"],
    serverSees: [HELLO, "stop 55"],
  },
  {
    name: "a TCP client's reset breaks both directions off, with the default code",
    bridges: [TCP_TO_QUIC],
    client: "send hello; read 5; reset",
    server: "read 5; send world; read-end; hear-stop",
    clientSees: [WORLD],
    serverSees: [HELLO, "reset 1", "stop 1"],
  },
  {
    name: "a TCP server's reset breaks both directions off, with the default code",
    bridges: [QUIC_TO_TCP],
    client: "send hello; read 5; tell go; read-end; hear-stop",
    server: "read 5; send world; hear go; reset",
    clientSees: [WORLD, "reset 1", "stop 1"],
    serverSees: [HELLO],
  },
  {
    name: "the client closes its connection with a code: its streams are broken off with it",
    bridges: [BY_STREAM],
    client: "send hello; read 5; close 42; read-death",
    server: "read 5; send world; read-end; hear-stop",
    clientSees: [WORLD, "application 42"],
    serverSees: [HELLO, "reset 42", "stop 42"],
  },
  {
    name: "the client closes its connection: a reset for a TCP server",
    bridges: [QUIC_TO_TCP],
    client: "send hello; read 5; close 42; read-death",
    server: "read 5; send world; read-end",
    clientSees: [WORLD, "application 42"],
    serverSees: [HELLO, "reset"],
  },
  {
    name: "the client closes its session with a code: so is the server's",
    bridges: [BY_SESSION],
    client: "send hello; read 5; close 42; read-death",
    server: "read 5; send world; read-death",
    clientSees: [WORLD, "application 42"],
    serverSees: [HELLO, "application 42"],
  },
  {
    name: "the server closes its connection with a code: its streams are broken off with it",
    bridges: [BY_STREAM],
    client: "send hello; read 5; tell go; read-end; hear-stop",
    server: "read 5; send world; hear go; close 43",
    clientSees: [WORLD, "reset 43", "stop 43"],
    serverSees: [HELLO],
  },
  {
    name: "the server closes its connection: a reset for a TCP client",
    bridges: [TCP_TO_QUIC],
    client: "send hello; read 5; tell go; read-end",
    server: "read 5; send world; hear go; close 43",
    clientSees: [WORLD, "reset"],
    serverSees: [HELLO],
  },
  {
    name: "the server closes its session with a code: so is the client's",
    bridges: [BY_SESSION],
    client: "send hello; read 5; tell go; read-death",
    server: "read 5; send world; hear go; close 43",
    clientSees: [WORLD, "application 43"],
    serverSees: [HELLO],
  },
  ...(["kill", "freeze"] as const).flatMap((fate): Case[] => [
    {
      name: `the client's ${fate}: an abort, never an end, for a TCP server`,
      bridges: [QUIC_TO_TCP],
      client: `send hello; read 5; ${fate}`,
      server: "read 5; send world; read-end",
      clientSees: [WORLD],
      serverSees: [HELLO, "reset"],
    },
    {
      name: `the client's ${fate}: an abort, never an end, for a QUIC server`,
      bridges: [BY_STREAM],
      client: `send hello; read 5; ${fate}`,
      server: "read 5; send world; read-end; hear-stop",
      clientSees: [WORLD],
      serverSees: [HELLO, "reset 1", "stop 1"],
    },
    {
      name: `the client's ${fate}: its session is closed with the default code`,
      bridges: [BY_SESSION],
      client: `send hello; read 5; ${fate}`,
      server: "read 5; send world; read-death",
      clientSees: [WORLD],
      serverSees: [HELLO, "application 1"],
    },
    {
      name: `the server's ${fate}: an abort, never an end, for a TCP client`,
      bridges: [TCP_TO_QUIC],
      client: "send hello; read 5; tell go; read-end",
      server: `read 5; send world; hear go; ${fate}`,
      clientSees: [WORLD, "reset"],
      serverSees: [HELLO],
    },
    {
      name: `the server's ${fate}: an abort, never an end, for a QUIC client`,
      bridges: [BY_STREAM],
      client: "send hello; read 5; tell go; read-end; hear-stop",
      server: `read 5; send world; hear go; ${fate}`,
      clientSees: [WORLD, "reset 1", "stop 1"],
      serverSees: [HELLO],
    },
    {
      name: `the server's ${fate}: its session is closed with the default code`,
      bridges: [BY_SESSION],
      client: "send hello; read 5; tell go; read-death",
      server: `read 5; send world; hear go; ${fate}`,
      clientSees: [WORLD, "application 1"],
      serverSees: [HELLO],
    },
  ]),
];

/** Plays a case over a bridge; what both ends have seen. */
async function playCase(
  one: Case,
  bridge: Bridge,
): Promise<{ client: Transcript; server: Transcript }> {
  const flags = new Flags();
  const { server: certificate, authority } = certificates();
  const quicServer = bridge.isBackQuic
    ? await startQuicScriptServer(one.server, { certificate, flags })
    : undefined;
  const tcpServer = bridge.isBackQuic ? undefined : startScriptServer(one.server, { flags });
  const server = quicServer ?? tcpServer!;
  try {
    await using sluice = await startBridge(bridge, server.port, {}, { global: GLOBAL });
    let client: Transcript;
    if (bridge.isFrontQuic) {
      await using endpoint = await QuicEndpoint.open({ authority });
      const connection = await endpoint.connect(sluice.port, SERVER_NAME).ready();
      client = await playQuicStream(one.client, connection, flags);
      return { client, server: (await server.finished(1))[0]! };
    }
    client = (await playClient(one.client, { port: sluice.port, flags })).slice(1);
    return { client, server: (await server.finished(1))[0]! };
  } finally {
    await server[Symbol.asyncDispose]();
  }
}

/** A TCP end begins with a word of its own. */
function withoutOpen(transcript: Transcript): Transcript {
  return transcript[0] === "open" ? transcript.slice(1) : transcript;
}

for (const bridge of BRIDGES) {
  describe(bridge.name, () => {
    for (const one of CASES) {
      if (!one.bridges.includes(bridge)) continue;
      test.skipIf(findSluice() === undefined || findQuiche() === undefined)(one.name, async () => {
        const { client, server } = await playCase(one, bridge);
        expect({ client, server: withoutOpen(server) }).toEqual({
          client: one.clientSees,
          server: one.serverSees,
        });
      });
    }
  });
}
