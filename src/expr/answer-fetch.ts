/**
 * Fetches about the answer to a check, and its variables, as code. Source: manual 7.3.2, 7.3.5,
 * 7.3.6.
 */
import type { Argument } from "../tables/expression.ts";
import type { CheckAnswer } from "./answer.ts";
import type { Step } from "./convert.ts";
import type { AnswerField } from "./keyword.ts";
import { valuesOf } from "./request-fetch.ts";
import type { Sample } from "./sample.ts";

/** The step that fills the sample from the answer. */
export function makeAnswerFetch(field: AnswerField, args: readonly Argument[]): Step {
  return (sample, { answer }) => answer !== undefined && fill(sample, answer, field, args);
}

function fill(
  sample: Sample,
  answer: CheckAnswer,
  field: AnswerField,
  args: readonly Argument[],
): boolean {
  switch (field) {
    case "length":
      return sample.setInt(answer.payload().length);
    case "payload":
      return setPart(sample, answer.payload(), intAt(args, 0), intAt(args, 1));
    case "payloadAfterLength":
      return setCounted(sample, answer.payload(), args);
    case "body":
      return sample.setBytes(answer.body());
    case "bodyLength":
      return sample.setInt(answer.body().length);
    case "status": {
      const status = answer.status();
      return status !== undefined && sample.setInt(status);
    }
    case "version": {
      const version = answer.version();
      return version !== "" && sample.setText(version);
    }
    case "variable":
      return setVariable(sample, answer, args);
    default:
      return fillFromHeader(sample, answer, field, args);
  }
}

function fillFromHeader(
  sample: Sample,
  answer: CheckAnswer,
  field: AnswerField,
  args: readonly Argument[],
): boolean {
  const lines = answer.headers(textAt(args, 0));
  if (field === "wholeHeaderCount") return sample.setInt(lines.length);
  const values = field === "wholeHeader" ? lines : lines.flatMap(valuesOf);
  if (field === "headerCount") return sample.setInt(values.length);
  const wanted = args.length > 1 ? intAt(args, 1) : -1;
  const value = wanted === 0 ? undefined : values.at(wanted < 0 ? wanted : wanted - 1);
  if (value === undefined) return false;
  if (field === "headerNumber") return sample.setInt(Number(/^[-+]?\d+/u.exec(value)?.[0] ?? 0));
  return sample.setText(value);
}

function textAt(args: readonly Argument[], index: number): string {
  return String(args[index]?.value ?? "");
}

function intAt(args: readonly Argument[], index: number): number {
  return Number(args[index]?.value ?? 0);
}

/** @param length 0 = up to the end; where the bytes are not there, there is no sample */
function setPart(sample: Sample, bytes: Uint8Array, offset: number, length: number): boolean {
  if (offset < 0 || length < 0 || offset + length > bytes.length) return false;
  const end = length === 0 ? bytes.length : offset + length;
  return sample.setBytes(bytes.subarray(offset, end));
}

/** Bytes whose count stands before them, big-endian (manual: `payload_lv`). */
function setCounted(sample: Sample, bytes: Uint8Array, args: readonly Argument[]): boolean {
  const [at, size] = [intAt(args, 0), intAt(args, 1)];
  if (at < 0 || size <= 0 || size > 4 || at + size > bytes.length) return false;
  let length = 0;
  for (let i = 0; i < size; i++) length = length * 256 + (bytes[at + i] ?? 0);
  // Without a third argument the bytes follow their count; with a sign it is relative to that.
  const written = textAt(args, 2);
  const isRelative = written === "" || /^[-+]/u.test(written);
  const from = Number(written === "" ? 0 : written) + (isRelative ? at + size : 0);
  if (length === 0 || !Number.isInteger(from)) return false;
  return setPart(sample, bytes, from, length);
}

function setVariable(sample: Sample, answer: CheckAnswer, args: readonly Argument[]): boolean {
  const value = answer.variable(textAt(args, 0));
  if (value === undefined) {
    // What it is when nobody has set it.
    return args.length > 1 && sample.setText(textAt(args, 1));
  }
  sample.copyFrom(value);
  return true;
}
