/** Who may speak to the HTTP server behind the gates. */
import { expect, test } from "bun:test";
import { createConnection } from "node:net";

import { Visitors } from "../../../src/page/gate.ts";
import { startPageServer } from "../../../src/page/http.ts";

const VISITOR = {
  address: "192.0.2.1",
  port: 1,
  localAddress: "192.0.2.2",
  localPort: 2,
  bind: { family: "ipv4", host: "192.0.2.2", port: 2 },
} as const;

/** The status line that a client gets who comes from `localAddress`, entered as a visitor. */
async function statusFor(localAddress: string, isVisitor: boolean): Promise<string> {
  const visitors = new Visitors();
  const server = startPageServer(
    visitors,
    (_, request) => new Response(request.visitor.address),
    (text) => expect(text).toBe(""),
  );
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const client = createConnection({ host: "127.0.0.1", port: server.port, localAddress });
  client.on("error", reject);
  client.on("connect", () => {
    if (isVisitor) visitors.enter(client.localPort!, VISITOR, {});
    client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  });
  client.on("data", (bytes) => resolve(bytes.toString().split("\r\n", 1)[0] ?? ""));
  try {
    return await promise;
  } finally {
    client.destroy();
    server.stop();
  }
}

test("a connection of a gate is its visitor's", async () => {
  expect(await statusFor("127.0.0.1", true)).toBe("HTTP/1.1 200 OK");
});

test("who did not come through a gate is nobody", async () => {
  expect(await statusFor("127.0.0.1", false)).toBe("HTTP/1.1 403 Forbidden");
});

// The whole loopback net can connect, with the port of somebody else's inner connection.
test("the port of a visitor on another loopback address is nobody's", async () => {
  expect(await statusFor("127.0.0.2", true)).toBe("HTTP/1.1 403 Forbidden");
});
