/**
 * Runs a list of steps: `option tcp-check` and `option httpchk`. Steps are done as far as they go;
 * then a connection, or more of an answer, is waited for. Thread of checks.
 *
 * ```
 *   connect ─▶ (opened) ─▶ send, set-var … ─▶ expect ─┬─ (bytes) ─▶ … ─▶ the last step's result
 *      └─ failed: L4CON, L6RSP                        └─ failed: L7RSP, L7STS, SOCKERR
 * ```
 * What was received is forgotten when something is sent, or another connection is opened, and not
 * otherwise: several expectations may look at one answer. An expectation that does not find what
 * it wants waits for more until the server ends the connection or nothing more is kept.
 * Source: HAProxy manual 4.2 (`option tcp-check`, `option httpchk`); what it leaves open was
 * observed on HAProxy.
 */
import { ECONNRESET } from "../../conduit/errno.ts";
import { Sample } from "../../expr/evaluate.ts";
import type { SampleFunction } from "../../expr/evaluate.ts";
import type { Address, CheckTlsSpec } from "../../tables/spec.ts";
import type { Connection, ConnectionEars, ConnectionTarget } from "../connection.ts";
import type { CheckEnvironment, CheckJob, Probe, ProbeEars } from "../probe.ts";
import { failureOf } from "../result.ts";
import type { CheckResult } from "../result.ts";
import { CheckContext } from "./check-context.ts";
import type { ProcessVariables } from "./check-context.ts";
import { hexBytes } from "./check-format.ts";
import type { ByteFormat } from "./check-format.ts";
import { stepsOf } from "./compile.ts";
import type { CompiledStep, ExpectStep, StepProgram } from "./compile.ts";
import { Expectation } from "./expect.ts";
import type { Verdict } from "./expect.ts";
import { HttpAnswer } from "./http-answer.ts";
import { emptyWords, inWords, placeOf } from "./sentences.ts";

const NOTHING = new Uint8Array(0);
const PORT_MASK = 0xffff;
/** TLS of a step where the server has no words about it. */
const PLAIN_TLS: CheckTlsSpec = { verify: "none", alpn: [] };
/** What a check says that passed. */
const PASSED_WORDS = "(tcp-check)";

/** What a run does with its connection. */
type RunConnection = Pick<
  Connection,
  "send" | "drop" | "close" | "late" | "received" | "isFull" | "hasEnded"
>;

/** What runs need of their thread. */
export type RunOptions = {
  environment: CheckEnvironment;
  /** Shared by all checks of the thread. */
  variables: ProcessVariables;
  /** Opens a connection; see `openConnection`. */
  open: (target: ConnectionTarget, answerBytesMax: number, ears: ConnectionEars) => RunConnection;
};

/** Starts one check. @param program of `job` */
export function startRun(
  job: CheckJob,
  program: StepProgram,
  options: RunOptions,
  ears: ProbeEars,
): Probe {
  const run = new StepRun(job, program, options, ears);
  run.go();
  return run;
}

type Step<K extends CompiledStep["kind"]> = Extract<CompiledStep, { kind: K }>;

class StepRun implements Probe, ConnectionEars {
  readonly #job: CheckJob;
  readonly #program: StepProgram;
  readonly #steps: readonly CompiledStep[];
  readonly #environment: CheckEnvironment;
  readonly #ears: ProbeEars;
  readonly #context: CheckContext;
  #at = 0;
  readonly #open: RunOptions["open"];
  #connection: RunConnection | undefined;
  /** The connection at the present is there. */
  #isOpen = false;
  /** It is to be closed in order (`linger`). */
  #isOrderly = false;
  #isTls = false;
  #wasReset = false;
  #expectation: Expectation | undefined;
  /** `status-code` has said so. */
  #number: number | undefined;
  #isOver = false;

  constructor(job: CheckJob, program: StepProgram, options: RunOptions, ears: ProbeEars) {
    this.#job = job;
    this.#program = program;
    this.#steps = stepsOf(program);
    this.#environment = options.environment;
    this.#ears = ears;
    this.#open = options.open;
    this.#context = new CheckContext(options.environment, job.target.names, options.variables);
  }

  // Probe.

  cancel(): void {
    this.#isOver = true;
    this.#connection?.close();
  }

  late(): CheckResult {
    const step = this.#steps[this.#at];
    const words = step === undefined ? "" : this.#placeOf(step);
    if (!this.#isOpen) return inWords(this.#connection?.late().code ?? "L4TOUT", words);
    const code = step?.kind === "expect" ? step.spec.timeoutStatus : undefined;
    return inWords(code ?? "L7TOUT", words);
  }

  /** Only TCP checks tell of their steps. */
  #placeOf(step: CompiledStep): string {
    return this.#program.kind === "tcp" ? placeOf(step) : "";
  }

  // ConnectionEars.

  opened(): void {
    this.#isOpen = true;
    this.#context.bytes = this.#connection?.received ?? NOTHING;
    this.#ears.connected();
    this.#at++;
    this.go();
  }

  received(bytes: Uint8Array): void {
    this.#context.bytes = bytes;
    this.go();
  }

  ended(bytes: Uint8Array, wasReset: boolean): void {
    this.#context.bytes = bytes;
    this.#wasReset = wasReset;
    this.go();
  }

  failed(result: CheckResult): void {
    const step = this.#steps[this.#at];
    const place = step === undefined ? "" : this.#placeOf(step);
    this.#finish(inWords(result.code, `${result.info ?? ""}${place}`));
  }

  // Steps.

  /** Does what can be done now. */
  go(): void {
    while (!this.#isOver) {
      const step = this.#steps[this.#at];
      if (step === undefined) {
        this.#pass();
        return;
      }
      if (!this.#do(step)) return;
      this.#at++;
    }
  }

  /** @returns whether the step is done; else it waits, or the check is over */
  #do(step: CompiledStep): boolean {
    switch (step.kind) {
      case "connect":
        // Bytes before it is there are nobody's.
        if (this.#connection === undefined || this.#isOpen) this.#connect(step);
        return false;
      case "send":
        return this.#send(step);
      case "http-send":
        this.#forget();
        this.#context.http = new HttpAnswer(step.isHead);
        this.#connection?.send(step.make(this.#context, this.#stateText()));
        return true;
      case "expect":
        return this.#expect(step);
      case "set-var":
        this.#setVariable(step);
        return true;
      case "unset-var":
        this.#context.setVariable(step.spec.scope, step.spec.name, undefined);
        return true;
    }
  }

  #connect(step: Step<"connect">): void {
    this.#connection?.close(this.#isOrderly);
    this.#isOpen = false;
    this.#wasReset = false;
    this.#context.bytes = NOTHING;
    this.#context.http = undefined;
    const target = this.#targetOf(step);
    this.#isOrderly = (step.spec?.linger ?? false) || (target.isSilent && target.proxyHeader > 0);
    this.#isTls = target.tls !== undefined;
    this.#ears.connecting();
    const connection = this.#open(target, this.#environment.answerBytesMax, this);
    this.#connection = connection;
    if (this.#isOver) connection.close();
  }

  #targetOf(step: Step<"connect">): ConnectionTarget {
    const { spec, port } = step;
    const { target } = this.#job;
    const isSilent = this.#at === this.#steps.length - 1;
    if (spec === undefined) return { ...target, isSilent };
    const { tls: _tls, ...rest } = target;
    const tls = this.#tlsOf(spec, step.settings);
    const ownHeader = spec.usesDefaults ? target.proxyHeader : 0;
    return {
      ...rest,
      address: addressOf(target.address, spec.address, this.#portOf(spec.port, port)),
      proxyHeader: spec.sendProxy ? target.proxyHeader || 1 : ownHeader,
      ...(tls === undefined ? {} : { tls }),
      isSilent,
    };
  }

  /** @param made settings by what they were made from: the same for each check of a server */
  #tlsOf(
    spec: NonNullable<Step<"connect">["spec"]>,
    made: WeakMap<CheckTlsSpec, CheckTlsSpec>,
  ): CheckTlsSpec | undefined {
    const { target } = this.#job;
    if (!spec.isTls) return spec.usesDefaults ? target.tls : undefined;
    const base = target.stepTls ?? target.tls ?? PLAIN_TLS;
    const known = made.get(base);
    if (known !== undefined) return known;
    const { sni: ownSni, ...rest } = base;
    const sni = spec.sni ?? (spec.usesDefaults ? ownSni : undefined);
    const ownAlpn = spec.usesDefaults ? base.alpn : [];
    const settings: CheckTlsSpec = {
      ...rest,
      alpn: spec.alpn.length > 0 ? spec.alpn : ownAlpn,
      ...(sni === undefined ? {} : { sni }),
    };
    made.set(base, settings);
    return settings;
  }

  /** 0: the step says none. */
  #portOf(
    given: NonNullable<Step<"connect">["spec"]>["port"],
    ask: SampleFunction | undefined,
  ): number {
    if (given?.kind === "port") return given.port;
    const sample = ask?.(this.#context);
    return sample === undefined ? 0 : (integerOf(sample) ?? 0) & PORT_MASK;
  }

  #send(step: Step<"send">): boolean {
    const made = step.make(this.#context);
    const bytes = step.isHex ? hexBytes(made) : made;
    if (bytes === undefined) {
      const words = `tcp-check send : failed to build log-format string at step ${step.number}`;
      this.#finish(inWords("L7RSP", words));
      return false;
    }
    this.#forget();
    this.#connection?.send(bytes);
    return true;
  }

  /** What was received before something is sent is no answer to it. */
  #forget(): void {
    const connection = this.#connection;
    connection?.drop(connection.received.length);
    this.#context.bytes = connection?.received ?? NOTHING;
  }

  #stateText(): string | undefined {
    const { names } = this.#job.target;
    const isSent = this.#program.kind === "http" && this.#program.sendState;
    return isSent ? this.#environment.stateOf(names) : undefined;
  }

  #setVariable({ spec, value, isText }: Step<"set-var">): void {
    const { scope, name } = spec;
    const made = value(this.#context);
    if (isText || made instanceof Uint8Array) {
      const sample = new Sample();
      sample.setText(Buffer.from(made as Uint8Array).toString("utf8"));
      this.#context.setVariable(scope, name, sample);
    } else if (made.type !== "none") this.#context.setVariable(scope, name, made);
  }

  // Expectations.

  #expect(step: ExpectStep & { number: number; comment: string | undefined }): boolean {
    const connection = this.#connection;
    if (connection === undefined) return false;
    const { http, bytes } = this.#context;
    http?.update(bytes);
    const hasEnded = connection.hasEnded;
    if (hasEnded && this.#isEmptyHanded(step)) return false;
    const isHttp = this.#program.kind === "http";
    if (!isHttp && bytes.length === 0) return false;
    if (this.#isStoppingAnswer()) {
      this.#finish(inWords("L7OKC", "", 404));
      return false;
    }
    this.#expectation ??= new Expectation(step, isHttp, this.#environment.answerBytesMax);
    const verdict = this.#expectation.look(this.#context, hasEnded || connection.isFull);
    if (verdict.kind === "wait") return false;
    this.#expectation = undefined;
    if (verdict.kind === "passed") return true;
    this.#failExpectation(step, verdict);
    return false;
  }

  /** The server has ended the connection with nothing to look at: the check is over. */
  #isEmptyHanded(step: CompiledStep & ExpectStep): boolean {
    const isHttp = this.#program.kind === "http";
    const { http, bytes } = this.#context;
    // A reset within an answer of HTTP spoils it, whatever it said before.
    const isUnread = isHttp ? http?.isComplete !== true && http?.isWrong !== true : !bytes.length;
    if (!isUnread) return false;
    if (this.#wasReset) {
      const { info = "" } = failureOf(ECONNRESET, this.#environment.strerror);
      this.#finish(inWords("SOCKERR", `${info}${this.#placeOf(step)}`));
      return true;
    }
    if (isHttp) return false;
    this.#finish(inWords(step.spec.errorStatus ?? "L7RSP", emptyWords(step)));
    return true;
  }

  /** `http-check disable-on-404`: of a server that is up, it means that it stops. */
  #isStoppingAnswer(): boolean {
    if (this.#program.kind !== "http" || !this.#program.disableOn404) return false;
    const { http } = this.#context;
    const is404 = http?.hasHead === true && http.status === 404 && !http.isWrong;
    return is404 && !this.#environment.isDown(this.#job.target.names);
  }

  #failExpectation(
    step: CompiledStep & ExpectStep,
    verdict: Extract<Verdict, { kind: "failed" }>,
  ): void {
    const own = step.onError === undefined ? "" : this.#wordsOf(step.onError);
    const words = own === "" ? verdict.words : own;
    const comment = step.comment === undefined ? "" : ` comment: ${step.comment}`;
    this.#takeNumber(step);
    const { errorStatus } = step.spec;
    const code = verdict.isFinal === true ? verdict.code : (errorStatus ?? verdict.code);
    this.#finish(inWords(code, `${words}${comment}`, this.#numberOf()));
  }

  /** All steps are done: the last one says what it means. */
  #pass(): void {
    const step = this.#steps.at(-1);
    const usual = this.#program.kind === "tcp" ? PASSED_WORDS : "";
    if (step?.kind === "connect") {
      this.#finish(inWords(this.#isTls ? "L6OK" : "L4OK", step.number === 0 ? "" : usual));
      return;
    }
    if (step?.kind !== "expect") {
      this.#finish(inWords("L7OK", usual, this.#numberOf()));
      return;
    }
    const own = step.onSuccess === undefined ? usual : this.#wordsOf(step.onSuccess);
    this.#takeNumber(step);
    this.#finish(inWords(step.spec.okStatus ?? "L7OK", own, this.#numberOf()));
  }

  #wordsOf(format: ByteFormat): string {
    return Buffer.from(format(this.#context))
      .toString("utf8")
      .replace(/\0[^]*$/u, "");
  }

  #takeNumber(step: ExpectStep): void {
    const sample = step.statusCode?.(this.#context);
    const number = sample === undefined ? undefined : integerOf(sample);
    if (number !== undefined) this.#number = number;
  }

  /** What is reported beside the words: the status of HTTP, unless an expression made another. */
  #numberOf(): number | undefined {
    return this.#number ?? this.#context.status();
  }

  #finish(result: CheckResult): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#connection?.close(this.#isOrderly);
    this.#ears.done(result);
  }
}

/** The address of the server with what a step says of it. @param port 0 = nothing */
function addressOf(own: Address, given: Address | undefined, port: number): Address {
  const base = given ?? own;
  if (base.family !== "ipv4" && base.family !== "ipv6") return base;
  const ownPort = own.family === "ipv4" || own.family === "ipv6" ? own.port : 0;
  return { ...base, port: port || base.port || ownPort };
}

/** A sample as a number; undefined: it is none. */
function integerOf(sample: Sample): number | undefined {
  switch (sample.type) {
    case "sint":
    case "bool":
      return sample.int;
    case "str":
      return Number.parseInt(sample.text, 10) || 0;
    case "bin":
      return Number.parseInt(Buffer.from(sample.bytes).toString("latin1"), 10) || 0;
    default:
      return undefined;
  }
}
