/** A start that fails leaves nothing behind. */
import { expect, test } from "bun:test";

import { nativeModule } from "../../../src/conduit/native.ts";
import { BindError, startServing } from "../../../src/control/serve.ts";
import { freePort } from "../../support/ports.ts";
import { loadText, planOf } from "../config/load-text.ts";

test.skipIf(nativeModule() === null)(
  "when one bind fails, nobody is let into the others",
  async () => {
    // Story: a second attempt bound them anew, and the kernel gave every other client to a socket
    // of the first that nobody accepted on.
    const port = freePort();
    using taken = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => {} } });
    const plan = planOf(
      await loadText(`defaults
 mode tcp
listen a
 bind 127.0.0.1:${port}
listen b
 bind 127.0.0.1:${taken.port}
`),
    );
    const start = startServing(plan, {
      workerUrl: new URL("file:///nowhere"),
      workers: 2,
      maxconn: 10,
      notice: () => {},
      beforeTraffic: () => {},
      logs: { handle: () => {}, flush: () => {} },
    });
    expect(await start.catch((error: unknown) => error)).toBeInstanceOf(BindError);
    const outcome = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: { data: () => {} },
    }).then(
      (socket) => {
        socket.end();
        return "connected";
      },
      () => "refused",
    );
    expect(outcome).toBe("refused");
  },
);
