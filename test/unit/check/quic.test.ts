/** Checks of QUIC servers: a handshake in which the server is trusted as traffic would trust it. */
import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";

import type { Probe } from "../../../src/check/probe.ts";
import { startQuicProbe } from "../../../src/check/quic.ts";
import type { QuicProbeTarget } from "../../../src/check/quic.ts";
import type { CheckResult } from "../../../src/check/result.ts";
import { nativeModule } from "../../../src/conduit/native.ts";
import { quicModule } from "../../../src/conduit/quic/native-quic.ts";
import { CAUSE_APPLICATION } from "../../../src/conduit/quic/transport.ts";
import type { QuicBindSpec, QuicServerSpec } from "../../../src/tables/spec.ts";
import {
  bindUdp,
  certificateSpec,
  makeTransport,
  nativeBind,
  nativeServer,
  PROXY_ROW,
  pumpedHooks,
} from "../../support/native-lab.ts";
import { certificates } from "../../support/quic-certificates.ts";
import { ConnectionEnd, CountingAccount } from "../../support/transport-suite.ts";

const native = test.skipIf(quicModule() === null);

function target(port: number, quic: Partial<QuicServerSpec> = {}): QuicProbeTarget {
  return {
    address: { family: "ipv4", host: "127.0.0.1", port },
    quic: nativeServer({ ...quic, transport: quic.transport ?? {} }).server!,
  };
}

function startProbe(to: QuicProbeTarget, done: (result: CheckResult) => void): Probe {
  return startQuicProbe(to, { done, connecting: () => undefined, connected: () => undefined });
}

function probe(to: QuicProbeTarget): Promise<CheckResult> {
  return new Promise((resolve) => void startProbe(to, resolve));
}

/** A server that is looked at every millisecond, until the test is over. */
function startServer(bind: Partial<QuicBindSpec> = {}): { port: number; ends: ConnectionEnd[] } {
  const transport = makeTransport(7, pumpedHooks(), new CountingAccount());
  const { fd, port } = bindUdp();
  const ends: ConnectionEnd[] = [];
  const profile = nativeBind({ ...bind, transport: bind.transport ?? {} });
  transport.listen(profile, fd, PROXY_ROW, {
    onAccepted: (connection) => {
      const end = new ConnectionEnd(transport);
      end.handle = connection;
      ends.push(end);
      return end;
    },
  });
  const timer = setInterval(() => transport.turn(8), 1);
  afterAll(() => {
    clearInterval(timer);
    transport.destroy();
    nativeModule()!.close(fd);
  });
  return { port, ends };
}

describe("a server that answers", () => {
  native("passes, and is told that it was a check by a close with code 0", async () => {
    const server = startServer();
    expect(await probe(target(server.port))).toEqual({ code: "L6OK" });
    while (server.ends[0]?.cause !== CAUSE_APPLICATION) await Bun.sleep(1);
    expect(server.ends[0].code).toBe(0n);
    // Another one, over the same socket.
    expect(await probe(target(server.port))).toEqual({ code: "L6OK" });
    while (server.ends.length < 2) await Bun.sleep(1);
  });

  native("fails if its certificate is not to be trusted", async () => {
    const files = certificates();
    const expired = startServer({ certificates: [certificateSpec(files.expired)] });
    const result = await probe(target(expired.port));
    expect(result.code).toBe("L6RSP");
    expect(result.info).toContain("expired");
    const good = startServer();
    const authorities = readFileSync(files.otherAuthority, "utf8");
    expect((await probe(target(good.port, { authorities }))).code).toBe("L6RSP");
    const verifyHost = "other.test";
    expect((await probe(target(good.port, { verifyHost }))).code).toBe("L6RSP");
    expect(await probe(target(good.port, { verifyHost: "localhost" }))).toEqual({ code: "L6OK" });
    // Whoever asks for nothing passes.
    expect(await probe(target(expired.port, { verify: "none" }))).toEqual({ code: "L6OK" });
  });

  native("asks for the name that the configuration gives", async () => {
    const files = certificates();
    const both = [certificateSpec(files.second), certificateSpec(files.server)];
    const server = startServer({ certificates: both });
    const sni = (name: string): Partial<QuicServerSpec> => ({
      sni: {
        fetch: { name: "str", args: [{ kind: "str", value: name }] },
        converters: [],
        type: "str",
        text: `str(${name})`,
      },
    });
    expect(await probe(target(server.port, sni("server.test")))).toEqual({ code: "L6OK" });
    expect(await probe(target(server.port, sni("second.test")))).toEqual({ code: "L6OK" });
    // The default certificate has another name.
    expect((await probe(target(server.port))).code).toBe("L6RSP");
  });

  native(
    "without a name that holds for all clients, any name will do, if it is signed",
    async () => {
      const files = certificates();
      const server = startServer({ certificates: [certificateSpec(files.second)] });
      const fetch = { name: "ssl_fc_sni", args: [] };
      const varying: Partial<QuicServerSpec> = {
        sni: { fetch, converters: [], type: "str", text: "ssl_fc_sni" },
      };
      const check = async (more: Partial<QuicServerSpec>): Promise<string> =>
        (await probe(target(server.port, { ...varying, ...more }))).code;
      expect(await check({})).toBe("L6OK");
      expect(await check({ checkSni: "second.test" })).toBe("L6OK");
      expect(await check({ verifyHost: "second.test" })).toBe("L6OK");
      expect(await check({ checkSni: "server.test", verifyHost: "second.test" })).toBe("L6OK");
      expect(await check({ checkSni: "server.test" })).toBe("L6RSP");
      expect(await check({ verifyHost: "server.test" })).toBe("L6RSP");
      const authorities = readFileSync(files.otherAuthority, "utf8");
      expect(await check({ authorities })).toBe("L6RSP");
      const expired = startServer({ certificates: [certificateSpec(files.expired)] });
      expect((await probe(target(expired.port, varying))).code).toBe("L6RSP");
    },
  );

  native("'check-sni' is the name that is asked for", async () => {
    const files = certificates();
    const both = [certificateSpec(files.second), certificateSpec(files.server)];
    const server = startServer({ certificates: both, strictSni: true });
    expect((await probe(target(server.port))).code).toBe("L6RSP");
    const checkSni = "server.test";
    expect(await probe(target(server.port, { checkSni }))).toEqual({ code: "L6OK" });
  });

  native("fails if it speaks another protocol", async () => {
    const server = startServer({ alpn: ["other"] });
    const result = await probe(target(server.port));
    expect(result.code).toBe("L6RSP");
    expect(result.info).toMatch(/protocol/);
  });
});

describe("nobody who answers", () => {
  native("a closed port is refused at once", async () => {
    const { fd, port } = bindUdp();
    nativeModule()!.close(fd);
    expect(await probe(target(port))).toEqual({ code: "L4CON", info: "Connection refused" });
  });

  native("silence is a time-out of layer 4, half a handshake one of layer 6", async () => {
    const { fd, port } = bindUdp();
    const silent = startProbe(target(port), () => {
      throw new Error("nobody answered");
    });
    await Bun.sleep(20);
    expect(silent.late().code).toBe("L4TOUT");
    silent.cancel();
    nativeModule()!.close(fd);
    // A server that asks for the address to be proved, and falls silent.
    const account = new CountingAccount();
    const half = makeTransport(8, pumpedHooks(), account);
    const socket = bindUdp();
    half.listen(nativeBind({ forceRetry: true }), socket.fd, PROXY_ROW, {
      onAccepted: () => new ConnectionEnd(half),
    });
    const begun = startProbe(target(socket.port), () => {
      throw new Error("it was not finished");
    });
    while (account.sum("retriesSent") === 0) {
      half.turn(1);
      half.countLive();
      await Bun.sleep(1);
    }
    await Bun.sleep(20);
    expect(begun.late().code).toBe("L6TOUT");
    begun.cancel();
    half.destroy();
    nativeModule()!.close(socket.fd);
  });

  native("a check that was cancelled is told nothing", async () => {
    const server = startServer();
    let isTold = false;
    const cancelled = startProbe(target(server.port), () => {
      isTold = true;
    });
    cancelled.cancel();
    expect(await probe(target(server.port))).toEqual({ code: "L6OK" });
    expect(isTold).toBe(false);
  });

  native("an exception in what a result sets off is told, and stops no other check", async () => {
    const server = startServer();
    const told: string[] = [];
    const { setTimeout } = globalThis;
    const guarded = (run: () => void, delayMs: number): unknown =>
      setTimeout(() => {
        try {
          run();
        } catch (error) {
          told.push(String(error));
        }
      }, delayMs);
    globalThis.setTimeout = guarded as typeof setTimeout;
    try {
      const others = [probe(target(server.port)), probe(target(server.port))];
      startProbe(target(server.port), () => {
        throw new Error("a bug");
      });
      others.push(probe(target(server.port)));
      expect(await Promise.all(others)).toEqual(others.map(() => ({ code: "L6OK" })));
      while (told.length === 0) await Bun.sleep(1);
    } finally {
      globalThis.setTimeout = setTimeout;
    }
    expect(told).toEqual(["Error: QUIC event: Error: a bug"]);
    expect(await probe(target(server.port))).toEqual({ code: "L6OK" });
  });

  native("certificates that cannot be read are our own fault", async () => {
    const certificate = { file: "own.pem", chain: "nothing", key: "nothing" };
    const result = await probe(target(1, { certificate }));
    expect(result.code).toBe("SOCKERR");
    expect(result.info).toStartWith("own.pem: ");
  });
});
