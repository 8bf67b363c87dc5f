/** PROXY protocol headers: what servers get, and what clients may say. */
import { type Recorder, startRecorder } from "../support/peers.ts";
import { playClient } from "../support/tcp-script.ts";
import { behaviour, conformance, type ConformanceCase, type Lab } from "./harness.ts";

const servers = { s1: (): Recorder => startRecorder() };

/** Bytes of the header as hexadecimal, with the client's port of this run masked. */
function masked(lab: Lab, records: readonly Buffer[]): string[] {
  const ports = [lab.port("fe")];
  return records.map((record) => {
    if (record.subarray(0, 5).toString("latin1") === "PROXY") {
      return record
        .toString("latin1")
        .replace(/ (\d{4,5})(?=[ \r])/g, (_, port: string) =>
          ports.includes(Number(port)) ? " FRONT" : " PORT",
        );
    }
    return record
      .toString("hex")
      .replace(
        /^(.{48})(.{4})(.{4})/,
        (_, head, _client, front) =>
          `${head} client ${Number.parseInt(front, 16) === lab.port("fe") ? "FRONT" : front} `,
      );
  });
}

/** What the server gets in front of the client's `hello`. */
function sent(
  name: string,
  options: string,
  more: Partial<ConformanceCase<unknown>> = {},
): ConformanceCase<unknown> {
  return behaviour<unknown>({
    name,
    servers,
    config: (lab) => `listen fe
  ${lab.bind("fe")}
  ${lab.line("s1")} ${options}`,
    async traffic(lab) {
      await playClient("send hello; read 2; close", { port: lab.port("fe"), from: "127.0.0.9" });
      return masked(lab, (lab.server("s1") as Recorder).records);
    },
    logs: 1,
    ...more,
  });
}

/** 10.1.2.3:1111 to 10.4.5.6:2222, as version 2 writes it. */
const V2_ADDRESSES = "\\n\\u0001\\u0002\\u0003\\n\\u0004\\u0005\\u0006\\u0004W\\b\\u00ae";

const V2 = "\\r\\n\\r\\n\\u0000\\r\\nQUIT\\n";

/** What becomes of a client that opens with this header. */
function taken(name: string, header: string, rest = "send hello; read 2; close", logs = 1) {
  return behaviour({
    name,
    servers,
    defaults: "  timeout http-request 1s",
    config: (lab) => `listen fe
  ${lab.bind("fe")} accept-proxy
  ${lab.line("s1")} send-proxy`,
    async traffic(lab) {
      const where = { port: lab.port("fe") };
      const seen = await playClient(`send "${header}"; ${rest}`, where);
      return { seen, records: masked(lab, (lab.server("s1") as Recorder).records) };
    },
    logs,
  });
}

conformance("PROXY protocol", [
  sent("send-proxy writes version 1", "send-proxy"),
  sent("send-proxy-v2 writes version 2", "send-proxy-v2"),
  sent("proxy-v2-options crc32c", "send-proxy-v2 proxy-v2-options crc32c", {
    compare: () => {
      // The checksum covers the ports: that it is right is shown by a unit test.
    },
  }),
  sent("proxy-v2-options unique-id", "", {
    config: (lab) => `listen fe
  ${lab.bind("fe")}
  unique-id-format id-%{+X}ci-%f
  ${lab.line("s1")} send-proxy-v2 proxy-v2-options unique-id`,
  }),
  taken("version 1 with another address", "PROXY TCP4 10.1.2.3 10.4.5.6 1111 2222\\r\\n"),
  taken("version 1 over IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 1111 2222\\r\\n"),
  taken("version 1, unknown", "PROXY UNKNOWN\\r\\n"),
  taken("version 2 with another address", `${V2}!\\u0011\\u0000\\f${V2_ADDRESSES}`),
  taken("version 2, local", `${V2} \\u0000\\u0000\\u0000`),
  taken(
    "version 2 with an unknown TLV behind",
    `${V2}!\\u0011\\u0000\\u0011${V2_ADDRESSES}\\u00ee\\u0000\\u0002xy`,
  ),
  taken(
    "the header and the data in one segment",
    "PROXY TCP4 10.1.2.3 10.4.5.6 1111 2222\\r\\nhello",
    "read 2; close",
  ),
  taken("garbage instead", "GET / HTTP/1.0\\r\\n\\r\\n", "read-end", 1),
  taken("version 1 that never ends", `PROXY TCP4 ${"1".repeat(120)}`, "read-end", 1),
  taken("version 2 of a later version", `${V2}1\\u0011\\u0000\\u0000`, "read-end", 1),
  taken("version 2 too short for its family", `${V2}!\\u0011\\u0000\\u0004abcd`, "read-end", 1),
  taken("closed amid the header", "PROXY TCP4 10.1", "shut; read-end", 1),
]);
