/**
 * Starts the check that a job asks for: a connection that opens, a handshake of QUIC, a list of
 * steps, the dialogue of a protocol, or a program. Thread of checks.
 */
import type { Sample } from "../expr/evaluate.ts";
import { openConnection } from "./connection.ts";
import { ExternalChecks } from "./external.ts";
import type { CheckEnvironment, CheckJob, Dialogue, Probe, StartProbe } from "./probe.ts";
import { startRun } from "./program/run.ts";
import { dialogueFor } from "./protocols/index.ts";
import { startQuicProbe } from "./quic.ts";
import { runDialogue } from "./run-dialogue.ts";

/**
 * A prober for the thread of checks. QUIC servers are checked by a handshake, or by a program.
 */
export function makeStartProbe(environment: CheckEnvironment): StartProbe {
  const external = new ExternalChecks(environment);
  const run = { environment, variables: new Map<string, Sample>(), open: openConnection };
  return (job, ears): Probe => {
    const { program } = job;
    const { quic } = job.target;
    if (program.kind === "external") return external.start(job, program, ears);
    if (quic !== undefined) return startQuicProbe({ ...job.target, quic }, ears, environment.quic);
    if (program.kind === "tcp" || program.kind === "http") return startRun(job, program, run, ears);
    const dialogue = connectDialogue(job) ?? dialogueFor(job, environment);
    if (dialogue === undefined) {
      ears.done({ code: "SOCKERR", info: `no check '${program.kind}'` });
      return { cancel: () => undefined, late: () => ({ code: "SOCKERR" }) };
    }
    return runDialogue(job, dialogue, environment.answerBytesMax, ears);
  };
}

/** A connection that opens, with TLS its handshake too, is all that is asked. */
function connectDialogue({ program, target }: CheckJob): Dialogue | undefined {
  if (program.kind !== "connect") return undefined;
  const code = target.tls === undefined ? "L4OK" : "L6OK";
  const hasHeader = target.proxyHeader !== 0;
  return {
    // A header is to arrive: an orderly close instead of a reset.
    opened: (wire) => wire.finish({ code }, hasHeader),
    received: () => undefined,
    ended: () => undefined,
  };
}
