/** Clients' handshakes under way, as a transport tells its account. */
import { describe, expect, test } from "bun:test";

import { quicModule } from "../../../../src/conduit/quic/native-quic.ts";
import { NativeLab } from "../../../support/native-lab.ts";
import { ConnectionEnd } from "../../../support/transport-suite.ts";

describe.skipIf(quicModule() === null)("handshakes of clients", () => {
  test("are told while they are under way", async () => {
    const lab = new NativeLab({ onAccepted: () => new ConnectionEnd(lab.server) });
    const told = (): number => {
      lab.server.countLive();
      return lab.serverAccount.halfOpenNow;
    };
    const ends = [0, 1].map(() => {
      const end = new ConnectionEnd(lab.client);
      end.handle = lab.connect(end);
      return end;
    });
    expect(told()).toBe(0);
    // The clients have spoken, and do not hear the answer.
    lab.client.flush();
    lab.server.turn(8);
    expect(told()).toBe(2);
    expect(lab.serverAccount.openedCount).toBe(0);
    // A closed listener has nobody to tell it for.
    lab.server.unlisten(lab.endpoint);
    expect(lab.serverAccount.halfOpenNow).toBe(0);
    await lab.until(() => ends.every(({ cause }) => cause !== 0));
    lab.close();
  });

  test("are under way no more when they are done", async () => {
    const lab = new NativeLab({ onAccepted: () => new ConnectionEnd(lab.server) });
    const end = new ConnectionEnd(lab.client);
    end.handle = lab.connect(end);
    lab.client.flush();
    lab.server.turn(8);
    lab.server.countLive();
    expect(lab.serverAccount.halfOpenNow).toBe(1);
    await lab.until(() => end.isConnected && lab.serverAccount.openedCount === 1);
    lab.server.countLive();
    expect(lab.serverAccount.halfOpenNow).toBe(0);
    lab.close();
  });
});
