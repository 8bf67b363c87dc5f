/**
 * The program: what the command line asks for, and who does it.
 *
 *   -v -vv --help        texts            ctl COMMAND     a client of the runtime socket
 *   -cc CONDITION        a condition      -c, -f, …       a check or a start; without anything
 *                                                         the demo
 */
import { runCtl } from "./api/ctl/run.ts";
import { runtimeApi } from "./api/start.ts";
import { describeError } from "./base/assert.ts";
import { BUFSIZE_DEFAULT, WORKERS_MAX } from "./base/limits.ts";
import { setQuicFeature } from "./base/version.ts";
import { nativeReason } from "./conduit/native.ts";
import { quicLibraries, quicReason } from "./conduit/quic/native-quic.ts";
import { checkCondition } from "./config/condition.ts";
import { ConfigEnvironment } from "./config/environment.ts";
import { FLAGS } from "./config/flags.ts";
import { parseArguments } from "./control/process/arguments.ts";
import { usableCpuCount } from "./control/process/cpu.ts";
import { systemName } from "./control/process/facts.ts";
import { Output } from "./control/process/output.ts";
import { runStart } from "./control/process/start.ts";
import { helpText, longVersionText, usageText, versionText } from "./control/process/texts.ts";
import { observing } from "./control/stats/observers.ts";
import { statisticsPages } from "./page/start.ts";

const CONDITION_FALSE = 1;
const CONDITION_BROKEN = 2;

const THREADS = {
  worker: new URL("./worker.ts", import.meta.url),
  checker: new URL("./checker.ts", import.meta.url),
};

/** Does it. @returns the exit code */
async function run(argv: readonly string[], output: Output): Promise<number> {
  const line = parseArguments(argv);
  switch (line.kind) {
    case "usage":
      output.raw(`sluice: ${line.problem}\n${usageText()}`);
      return 1;
    case "help":
      output.print(helpText(FLAGS));
      return 0;
    case "version":
      output.print(line.full ? longVersionText(runtimeFacts()) : versionText());
      return 0;
    case "condition":
      return runCondition(line.text, output);
    case "ctl":
      return runCtl(line.words, process.env);
    case "run":
      return runStart(line.options, argv, THREADS, output, [
        observing,
        runtimeApi,
        statisticsPages,
      ]);
  }
}

function runCondition(text: string, output: Output): number {
  const result = checkCondition(text, new ConfigEnvironment(process.env).lookup);
  if (result.ok) return result.value ? 0 : CONDITION_FALSE;
  output.say("alert", `config : Failed to evaluate condition: ${result.message}`);
  return CONDITION_BROKEN;
}

function runtimeFacts(): Parameters<typeof longVersionText>[0] {
  return {
    bunVersion: Bun.version,
    system: systemName(),
    nativeReason: nativeReason(),
    quicReason: quicReason(),
    quicLibraries: quicLibraries(),
    usableCpus: usableCpuCount(),
    workersMax: WORKERS_MAX,
    bufsize: BUFSIZE_DEFAULT,
  };
}

setQuicFeature(() => quicReason() === "");
const output = new Output(process.pid);
run(process.argv.slice(2), output).then(
  (code) => process.exit(code),
  (error: unknown) => {
    output.say("alert", `[sluice.main()] ${describeError(error)}`);
    process.exit(1);
  },
);
