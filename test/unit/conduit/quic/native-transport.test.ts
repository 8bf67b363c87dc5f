/** The native transport passes the suite of all transports: pumped by hand, and on a loop. */
import { expect, test } from "bun:test";

import { nativeModule } from "../../../../src/conduit/native.ts";
import { ENGINE_MEMORY_BYTES, EngineMemory } from "../../../../src/conduit/quic/engine-memory.ts";
import { quicModule } from "../../../../src/conduit/quic/native-quic.ts";
import {
  QUIC_COUNTS,
  QUIC_MOMENTS,
  TRANSPORT_FULL,
} from "../../../../src/conduit/quic/transport.ts";
import {
  bindUdp,
  dialTo,
  makeTransport,
  nativeBind,
  NativeLab,
  nativeServer,
  PROXY_ROW,
  pumpedHooks,
} from "../../../support/native-lab.ts";
import {
  ConnectionEnd,
  CountingAccount,
  runTransportSuite,
} from "../../../support/transport-suite.ts";
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
  test("sockets for which there is no room are refused, and that is told once", () => {
    const notices: string[] = [];
    const hooks = { ...pumpedHooks(), notice: (text: string) => void notices.push(text) };
    const memory = new EngineMemory(new SharedArrayBuffer(ENGINE_MEMORY_BYTES), 2);
    const transport = makeTransport(1, hooks, new CountingAccount(), { memory });
    const listening = bindUdp();
    const owner = { onAccepted: () => new ConnectionEnd(transport) };
    const bind = nativeBind({});
    const first = transport.listen(bind, listening.fd, PROXY_ROW, owner);
    expect(first).toBeGreaterThanOrEqual(0);
    const profile = nativeServer({});
    const dial = (row: number): number =>
      transport.connect(
        { ...dialTo(listening.port, profile), proxyRow: row },
        new ConnectionEnd(transport),
      );
    expect(dial(64)).toBeGreaterThan(0);
    for (const row of [128, 192]) expect(dial(row)).toBe(TRANSPORT_FULL);
    expect(dial(64)).toBeGreaterThan(0);
    expect(transport.listen(bind, listening.fd, PROXY_ROW, owner)).toBe(TRANSPORT_FULL);
    expect(notices).toHaveLength(1);
    expect(notices[0]).toContain("at most 2 QUIC sockets");
    expect([...memory.taggedEndpoints()]).toHaveLength(2);
    // Room is used again.
    transport.unlisten(first);
    expect(dial(128)).toBeGreaterThan(0);
    transport.destroy();
    nativeModule()!.close(listening.fd);
  });
  runTransportSuite(nativeCase("the native transport, pumped", false));
  runTransportSuite(nativeCase("the native transport on a loop", true));
}
