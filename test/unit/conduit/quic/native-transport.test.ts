/** The native transport passes the suite of all transports: pumped by hand, and on a loop. */
import { test } from "bun:test";

import { quicModule } from "../../../../src/conduit/quic/native-quic.ts";
import { NativeLab } from "../../../support/native-lab.ts";
import { runTransportSuite } from "../../../support/transport-suite.ts";
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
  runTransportSuite(nativeCase("the native transport, pumped", false));
  runTransportSuite(nativeCase("the native transport on a loop", true));
}
