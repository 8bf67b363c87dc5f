/**
 * A client's connection without streams ends after `max-idle-timeout`: signs of life were asked for
 * on those too, so that a client which opened connections and did nothing kept them for ever.
 */
import { expect, test } from "bun:test";

import { quicModule } from "../../../../src/conduit/quic/native-quic.ts";
import { CAUSE_IDLE, QUIC_COUNTS, QUIC_MOMENTS } from "../../../../src/conduit/quic/transport.ts";
import { NativeLab } from "../../../support/native-lab.ts";
import { ConnectionEnd } from "../../../support/transport-suite.ts";

/** Long enough for a machine that is busy. */
const IDLE_MS = 2000;
const AGE = QUIC_COUNTS + QUIC_MOMENTS.indexOf("ageMillis");

test.skipIf(quicModule() === null)("only connections with streams are kept alive", async () => {
  const accepted: ConnectionEnd[] = [];
  const owner = {
    onAccepted: (connection: number): ConnectionEnd => {
      const end = new ConnectionEnd(lab.server);
      end.handle = connection;
      accepted.push(end);
      return end;
    },
  };
  const lab: NativeLab = new NativeLab(owner, {
    bind: { transport: { idleTimeoutMs: IDLE_MS, keepAliveMs: IDLE_MS / 8 } },
    server: { transport: { idleTimeoutMs: IDLE_MS, keepAliveMs: 0 } },
  });
  const dial = async (): Promise<ConnectionEnd> => {
    const end = new ConnectionEnd(lab.client);
    end.handle = lab.connect(end);
    const before = accepted.length;
    await lab.until(() => end.isConnected && accepted.length > before);
    return end;
  };
  const busy = await dial();
  const stream = busy.open();
  await dial();
  const [withStream, without] = [accepted[0]!, accepted[1]!];
  await lab.until(() => withStream.streams.length === 1);
  await lab.until(() => without.cause !== 0);
  expect(without.cause).toBe(CAUSE_IDLE);
  const numbers = new Float64Array(QUIC_COUNTS + QUIC_MOMENTS.length);
  await lab.until(() => {
    expect(withStream.cause).toBe(0);
    return lab.server.connectionNow(withStream.handle, numbers) && numbers[AGE]! > 2 * IDLE_MS;
  });
  // Its stream is over, and so is its time.
  lab.client.finish(stream.handle);
  const [theirs] = withStream.streams;
  await lab.until(() => theirs!.hasEnd);
  theirs!.finish();
  lab.server.release(theirs!.handle);
  await lab.until(() => withStream.cause !== 0);
  expect(withStream.cause).toBe(CAUSE_IDLE);
  lab.close();
});
