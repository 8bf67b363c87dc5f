/**
 * Whose window bounds what lies unread: on a connection that many clients share it is that of each
 * stream; on the one of a client's session it is the connection's, so that a client which reads
 * nothing holds no more than that.
 */
import { expect, test } from "bun:test";

import { quicModule } from "../../../../src/conduit/quic/native-quic.ts";
import { QuicProfile } from "../../../../src/conduit/quic/profile.ts";
import { SessionConduit } from "../../../../src/conduit/quic/session-conduit.ts";
import { QuicTarget } from "../../../../src/conduit/quic/target.ts";
import { QUIC_COUNTS, QUIC_MOMENTS } from "../../../../src/conduit/quic/transport.ts";
import type { QuicDial } from "../../../../src/conduit/quic/transport.ts";
import { SERVER_STRIDE } from "../../../../src/tables/generated/server.ts";
import { dialTo, NativeLab, nativeServer, PROXY_ROW } from "../../../support/native-lab.ts";
import { serverSpec } from "../../../support/sim-quic-lab.ts";
import { ConnectionEnd } from "../../../support/transport-suite.ts";

const STREAMS = 8;
const STREAM_WINDOW = 64 * 1024;
const CONNECTION_WINDOW = 4 * STREAM_WINDOW;
const UNREAD = QUIC_COUNTS + QUIC_MOMENTS.indexOf("unread");

const CASES = [
  ["shared by clients", QuicProfile.ofServer, STREAMS * STREAM_WINDOW],
  ["of a session", QuicProfile.ofSession, CONNECTION_WINDOW],
] as const;

for (const [name, make, most] of CASES) {
  test.skipIf(quicModule() === null)(`unread bytes of a connection ${name}`, async () => {
    let accepted: ConnectionEnd | undefined;
    const lab: NativeLab = new NativeLab({
      onAccepted: (connection) => {
        accepted = new ConnectionEnd(lab.server);
        accepted.handle = connection;
        accepted.onOpened = (stream) => stream.send(new Uint8Array(2 * STREAM_WINDOW));
        return accepted;
      },
    });
    const windows = { streamWindow: STREAM_WINDOW, connectionWindow: CONNECTION_WINDOW };
    const { server } = nativeServer({ transport: windows });
    const end = new ConnectionEnd(lab.client);
    end.handle = lab.client.connect(dialTo(lab.port, make(server!)), end);
    await lab.until(() => end.isConnected);
    for (let i = 0; i < STREAMS; i++) end.open().appetite = 0;
    const numbers = new Float64Array(QUIC_COUNTS + QUIC_MOMENTS.length);
    const unread = (): number => {
      lab.client.connectionNow(end.handle, numbers);
      return numbers[UNREAD]!;
    };
    await lab.until(() => unread() >= most);
    await lab.settle();
    expect(unread()).toBe(most);
    lab.close();
  });
}

test("a session is dialled with the bounds of a session, a stream with those of many", () => {
  const quic = new QuicTarget(serverSpec(), PROXY_ROW, SERVER_STRIDE, "192.0.2.1");
  const dialled: QuicDial[] = [];
  const hub = { transport: { connect: (dial: QuicDial) => -dialled.push(dial) } };
  const hints = { sni: "", session: null };
  SessionConduit.dialled(hub as never, { quic } as never, {} as never, hints);
  expect(dialled.map(({ profile }) => profile.isShared)).toEqual([false]);
  expect(dialled[0]!.profile).toBe(quic.sessionProfile);
  expect(quic.profile.isShared).toBe(true);
});
