/** The native transport passes the suite of all transports: pumped by hand, and on a loop. */
import { expect, test } from "bun:test";

import { quicModule } from "../../../../src/conduit/quic/native-quic.ts";
import { QUIC_COUNTS, QUIC_MOMENTS } from "../../../../src/conduit/quic/transport.ts";
import { NativeLab } from "../../../support/native-lab.ts";
import { ConnectionEnd, runTransportSuite } from "../../../support/transport-suite.ts";
import type { TransportCase } from "../../../support/transport-suite.ts";

function nativeCase(name: string, isOnLoop: boolean): TransportCase {
  return {
    name,
    make: async (wishes, owner) =>
      new NativeLab(owner, {
        isOnLoop,
        bind: {
          ...(wishes.serverAlpn === undefined ? {} : { alpn: wishes.serverAlpn }),
          transport: wishes.server ?? {},
        },
        server: {
          ...(wishes.clientAlpn === undefined ? {} : { alpn: wishes.clientAlpn }),
          transport: wishes.client ?? {},
        },
      }),
  };
}

if (quicModule() === null) {
  test.skip("the native transport needs the QUIC module", () => {});
} else {
  // It showed the 333 ms that a library begins with: failed handshakes moved a proxy's mean.
  test("nothing acknowledged: no round-trip time is made up", async () => {
    const lab = new NativeLab({ onAccepted: () => new ConnectionEnd(lab.server) });
    const end = new ConnectionEnd(lab.client);
    end.handle = lab.connect(end);
    const numbers = new Float64Array(QUIC_COUNTS + QUIC_MOMENTS.length);
    const rtts = (): number[] =>
      QUIC_MOMENTS.flatMap((name, i) =>
        name.startsWith("rtt") ? [numbers[QUIC_COUNTS + i]!] : [],
      );
    expect(lab.client.connectionNow(end.handle, numbers)).toBe(true);
    expect(rtts()).toEqual([0, 0, 0, 0]);
    await lab.until(() => end.isConnected);
    lab.client.connectionNow(end.handle, numbers);
    expect(rtts().every((rtt) => rtt > 0)).toBe(true);
    lab.close();
  });
  runTransportSuite(nativeCase("the native transport, pumped", false));
  runTransportSuite(nativeCase("the native transport on a loop", true));
}
