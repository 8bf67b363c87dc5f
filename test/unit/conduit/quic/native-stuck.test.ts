/** A datagram that the kernel never takes holds up no other. */
import { test } from "bun:test";

import { quicModule } from "../../../../src/conduit/quic/native-quic.ts";
import { QUIC_COUNTS, QUIC_MOMENTS, QUIC_NUMBERS } from "../../../../src/conduit/quic/transport.ts";
import { NativeLab } from "../../../support/native-lab.ts";
import { ConnectionEnd } from "../../../support/transport-suite.ts";

const NUMBERS = QUIC_COUNTS + QUIC_MOMENTS.length;
const PACKETS_SENT = QUIC_NUMBERS.indexOf("packetsSent");
const PACKETS_RECEIVED = QUIC_NUMBERS.indexOf("packetsReceived");
const STREAMS_REMOTE = QUIC_NUMBERS.indexOf("streamsBidiRemote");
/** Sends that fail with ENOBUFS: the first and all others of one datagram. */
const INJECT_SEND = 4;
const FAILING_SENDS = 5;

if (quicModule() === null) {
  test.skip("the native transport needs the QUIC module", () => {});
} else {
  // A device that could not take a packet said so every time: it held up all connections for ever.
  test("a datagram that no attempt sends is given up, and those behind it go", async () => {
    const accepted: number[] = [];
    const lab = new NativeLab({
      onAccepted: (connection) => {
        accepted.push(connection);
        return new ConnectionEnd(lab.server);
      },
    });
    const end = new ConnectionEnd(lab.client);
    end.handle = lab.connect(end);
    await lab.until(() => end.isConnected);
    await lab.settle();
    quicModule()!.inject(lab.client.engine, INJECT_SEND, FAILING_SENDS);
    lab.client.write(lab.client.openStream(end.handle, false), Buffer.from("hello"), 0, 5);
    await lab.settle();
    const [sent, received] = [new Float64Array(NUMBERS), new Float64Array(NUMBERS)];
    await lab.until(() => {
      lab.client.connectionNow(end.handle, sent);
      lab.server.connectionNow(accepted[0]!, received);
      return sent[PACKETS_SENT]! > received[PACKETS_RECEIVED]! && received[STREAMS_REMOTE] === 1;
    });
    lab.close();
  });
}
