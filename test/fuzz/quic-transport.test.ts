/**
 * The QUIC transport against everything that a network may bring, under address, leak and
 * undefined-behaviour sanitizers and with ngtcp2's assertions on: garbage, real packets cut and
 * changed, faulty paths, peers that encrypt nonsense with the right keys, errors of the library at
 * every step, broken certificates. Connections beside it go on, and nothing is left. What happens
 * is in test/native/quic-fuzz.c. `SLUICE_FUZZ_SEED` chooses the run; sockets and clocks are real,
 * so it repeats what is sent, not the moments.
 */
import { expect, test } from "bun:test";

import { buildProgram, makePemFolder, quicToolchain, runProgram } from "../support/native-quic.ts";
import { temporaryFolder } from "../support/procs.ts";

const seed = Number(process.env["SLUICE_FUZZ_SEED"] ?? 1);
/** How much of everything: 1 takes some 15 seconds. */
const AMOUNTS = { openssl: 0.6, gnutls: 0.2 };

for (const tls of ["openssl", "gnutls"] as const) {
  const tools = await quicToolchain(tls, "asan");
  const reason = typeof tools === "string" ? `: ${tools}` : "";
  const name = `QUIC over ${tls} outlives what is sent to it (seed ${seed})${reason}`;
  test.skipIf(typeof tools === "string")(name, async () => {
    if (typeof tools === "string") return;
    using folder = temporaryFolder();
    makePemFolder(folder.path);
    const program = await buildProgram("quic-fuzz", ["fuzz-rig", "raw-end"], tools, "asan");
    const args = [folder.path, String(seed), String(AMOUNTS[tls])];
    const { code, output } = await runProgram(program, args);
    expect(output).toContain("\n0 failures");
    expect(code).toBe(0);
  });
}
