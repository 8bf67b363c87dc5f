/**
 * TLS of the QUIC module under sanitizers, with either library: certificates by name, protocols,
 * verification on both sides, tickets, early data and its replay, errors in words. What is expected
 * is in test/native/quic-tls.c.
 */
import { expect, test } from "bun:test";

import {
  buildProgram,
  makePemFolder,
  quicToolchain,
  runProgram,
} from "../../support/native-quic.ts";
import { temporaryFolder } from "../../support/procs.ts";

for (const tls of ["openssl", "gnutls"] as const) {
  const tools = await quicToolchain(tls, "asan");
  const reason = typeof tools === "string" ? `: ${tools}` : "";
  test.skipIf(typeof tools === "string")(`TLS over ${tls}${reason}`, async () => {
    if (typeof tools === "string") return;
    using folder = temporaryFolder();
    makePemFolder(folder.path);
    // The core is not asked: its faults are not TLS's.
    const sources = tools.sources.filter((file) => /\/(tls-|openssl-static)/.test(file));
    const program = await buildProgram(
      "quic-tls",
      ["tls-pair", "raw-end"],
      { ...tools, sources },
      "asan",
    );
    const { code, output } = await runProgram(program, [folder.path]);
    expect(output).toContain(": 0 failures");
    expect(code).toBe(0);
  });
}
