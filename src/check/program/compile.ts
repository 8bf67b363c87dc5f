/**
 * Lists of steps as they are run: patterns, formats and requests compiled once, what HAProxy leaves
 * unsaid put in (a connection to begin with), and how messages call each step. Thread of checks.
 */
import { unreachable } from "../../base/assert.ts";
import { compileByteRegex } from "../../expr/byte-regex.ts";
import type { ByteRegex } from "../../expr/byte-regex.ts";
import { compileSample } from "../../expr/evaluate.ts";
import type { SampleFunction } from "../../expr/evaluate.ts";
import type {
  CheckMatch,
  CheckProgramSpec,
  CheckStepSpec,
  CheckTlsSpec,
} from "../../tables/spec.ts";
import { compileByteFormat, hexBytes, wordBytes } from "./check-format.ts";
import type { ByteFormat } from "./check-format.ts";
import { compileHeaderTest } from "./header-test.ts";
import type { HeaderTest } from "./header-test.ts";
import { compileRequest } from "./http-request.ts";
import type { RequestMaker } from "./http-request.ts";

type StepOf<K extends CheckStepSpec["kind"]> = Extract<CheckStepSpec, { kind: K }>;

/** A connection to be opened. */
export type ConnectStep = {
  kind: "connect";
  /** Undefined: nobody wrote it, the server's own settings are taken. */
  spec: StepOf<"connect"> | undefined;
  /** Port to ask an expression for. */
  port: SampleFunction | undefined;
  /** TLS settings that were made for it, by what they were made from. */
  settings: WeakMap<CheckTlsSpec, CheckTlsSpec>;
};

/** What an `expect` looks for, ready to look. */
export type Wanted =
  /** `needle` undefined: made by `format` when it is needed, from digits if `isHex`. */
  | { kind: "bytes"; needle: Uint8Array | undefined; format?: ByteFormat; isHex: boolean }
  | { kind: "regex"; regex: ByteRegex }
  /** Over the bytes as upper case hexadecimal digits. */
  | { kind: "hex-regex"; regex: ByteRegex }
  | { kind: "status"; ranges: readonly { from: number; to: number }[] }
  | { kind: "status-regex"; regex: ByteRegex }
  | { kind: "header"; test: HeaderTest };

/** An answer to be looked at. */
export type ExpectStep = {
  kind: "expect";
  spec: StepOf<"expect">;
  wanted: Wanted;
  onSuccess: ByteFormat | undefined;
  onError: ByteFormat | undefined;
  statusCode: SampleFunction | undefined;
};

/** One step. `number`: what messages call it; 0 = nobody wrote it. */
export type CompiledStep = { number: number; comment: string | undefined } & (
  | ConnectStep
  | ExpectStep
  | { kind: "send"; make: ByteFormat; isHex: boolean }
  | { kind: "http-send"; make: RequestMaker; isHead: boolean }
  | {
      kind: "set-var";
      spec: StepOf<"set-var">;
      value: SampleFunction | ByteFormat;
      isText: boolean;
    }
  | { kind: "unset-var"; spec: StepOf<"unset-var"> }
);

/** A program of steps. */
export type StepProgram = Extract<CheckProgramSpec, { kind: "tcp" | "http" }>;

const COMPILED = new WeakMap<StepProgram, CompiledStep[]>();

/** The steps of a program; compiled at its first check. */
export function stepsOf(program: StepProgram): readonly CompiledStep[] {
  const known = COMPILED.get(program);
  if (known !== undefined) return known;
  const steps = program.steps.map(compileStep);
  const talks = steps.find(({ kind }) => kind !== "set-var" && kind !== "unset-var");
  if (talks === undefined) steps.length = 0;
  if (talks?.kind !== "connect") {
    steps.unshift({
      kind: "connect",
      number: 0,
      comment: undefined,
      spec: undefined,
      port: undefined,
      settings: new WeakMap(),
    });
  }
  COMPILED.set(program, steps);
  return steps;
}

function compileStep(spec: CheckStepSpec, index: number): CompiledStep {
  const common = { number: spec.number ?? index + 1, comment: spec.comment };
  switch (spec.kind) {
    case "connect": {
      const port = spec.port?.kind === "sample" ? compileSample(spec.port.sample) : undefined;
      return { ...common, kind: "connect", spec, port, settings: new WeakMap() };
    }
    case "send":
      return { ...common, kind: "send", ...compileData(spec) };
    case "http-send": {
      const isHead = spec.method === "HEAD";
      return { ...common, kind: "http-send", make: compileRequest(spec), isHead };
    }
    case "expect":
      return { ...common, ...compileExpect(spec) };
    case "set-var": {
      const isText = spec.value.kind === "format";
      const value =
        spec.value.kind === "format"
          ? compileByteFormat(spec.value.format)
          : compileSample(spec.value.sample);
      return { ...common, kind: "set-var", spec, value, isText };
    }
    case "unset-var":
      return { ...common, kind: "unset-var", spec };
  }
}

function compileData({ data }: StepOf<"send">): { make: ByteFormat; isHex: boolean } {
  if (data.kind === "bytes") {
    const bytes = Buffer.from(data.hex, "hex");
    return { make: () => bytes, isHex: false };
  }
  return { make: compileByteFormat(data.format), isHex: data.kind === "binary-format" };
}

function compileExpect(spec: StepOf<"expect">): ExpectStep {
  const { onSuccess, onError, statusCode } = spec;
  return {
    kind: "expect",
    spec,
    wanted: compileMatch(spec.match),
    onSuccess: onSuccess === undefined ? undefined : compileByteFormat(onSuccess),
    onError: onError === undefined ? undefined : compileByteFormat(onError),
    statusCode: statusCode === undefined ? undefined : compileSample(statusCode),
  };
}

function compileMatch(match: CheckMatch): Wanted {
  switch (match.kind) {
    case "string":
      return { kind: "bytes", needle: wordBytes(match.pattern), isHex: false };
    case "binary":
      return { kind: "bytes", needle: hexBytes(Buffer.from(match.pattern)), isHex: true };
    case "string-format":
    case "binary-format": {
      const format = compileByteFormat(match.format);
      return { kind: "bytes", needle: undefined, format, isHex: match.kind === "binary-format" };
    }
    case "regex":
      return { kind: "regex", regex: regexOf(match.pattern) };
    case "binary-regex":
      return { kind: "hex-regex", regex: regexOf(match.pattern) };
    case "status":
      return { kind: "status", ranges: match.ranges };
    case "status-regex":
      return { kind: "status-regex", regex: regexOf(match.pattern) };
    case "header":
      return { kind: "header", test: compileHeaderTest(match, regexOf) };
  }
}

/** The configuration has compiled it before. */
function regexOf(pattern: string): ByteRegex {
  const regex = compileByteRegex(pattern);
  return regex.ok ? regex.value : unreachable("a pattern that the configuration has let in");
}
