/**
 * The QUIC transport in C under sanitizers, with either TLS library: streams, credit, ends, causes,
 * admission, routing between workers and processes, errors inside. What is expected is in
 * test/native/core-*.c.
 */
import { expect, test } from "bun:test";

import {
  buildProgram,
  makePemFolder,
  quicToolchain,
  runProgram,
} from "../../support/native-quic.ts";
import { temporaryFolder } from "../../support/procs.ts";

const HELPERS = ["core-world", "core-streams", "core-connections", "core-memory", "core-routing"];

for (const tls of ["openssl", "gnutls"] as const) {
  const tools = await quicToolchain(tls, "asan");
  const reason = typeof tools === "string" ? `: ${tools}` : "";
  test.skipIf(typeof tools === "string")(`transport over ${tls}${reason}`, async () => {
    if (typeof tools === "string") return;
    using folder = temporaryFolder();
    makePemFolder(folder.path);
    const program = await buildProgram("quic-core", HELPERS, tools, "asan");
    const { code, output } = await runProgram(program, [folder.path]);
    expect(output.split("\n").filter((line) => line !== "" && !line.startsWith("ok "))).toEqual([]);
    expect(code).toBe(0);
  });
}
