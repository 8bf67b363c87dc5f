/**
 * Sample expressions as functions: compiled once, run for each stream. Any thread.
 *
 * A compiled expression owns its one Sample: what it returns holds until it runs again. Fetching
 * an address, a port or a counter allocates nothing; texts come as the context has them.
 */
import { IpAddress, parseIp } from "../base/address.ts";
import { unreachable } from "../base/assert.ts";
import type { Argument, SampleExpression } from "../tables/expression.ts";
import { makeAnswerFetch } from "./answer-fetch.ts";
import type { SampleContext } from "./context.ts";
import { makeStep, type Step } from "./convert.ts";
import { CONVERTERS } from "./converters.ts";
import type { FetchKeyword } from "./keyword.ts";
import { makeRequestFetch } from "./request-fetch.ts";
import type { Occurrence } from "./request-fetch.ts";
import { findFetch } from "./request-fetches.ts";
import { castSample, Sample } from "./sample.ts";
import { fetchSubject } from "./subject.ts";

/** A compiled expression. The sample's type is "none" when there is nothing to fetch. */
export type SampleFunction = (context: SampleContext) => Sample;

/**
 * Compiles an expression that `parseSample` made.
 * @param at which of several values it fetches, for whoever looks at all of them
 */
export function compileSample(expression: SampleExpression, at?: Occurrence): SampleFunction {
  const sample = new Sample();
  const steps: Step[] = [makeFetch(expression, at)];
  for (const { name, args } of expression.converters) {
    const keyword = CONVERTERS.get(name);
    const step = makeStep(name, args);
    if (keyword === undefined || step === undefined)
      return unreachable("compileSample: unknown converter");
    steps.push((value) => castSample(value, keyword.input), step);
  }
  return (context) => {
    for (const step of steps) {
      if (step(sample, context)) continue;
      sample.type = "none";
      break;
    }
    return sample;
  };
}

/** The first step: fills the sample from the context. */
function makeFetch(expression: SampleExpression, at: Occurrence | undefined): Step {
  const { name, args } = expression.fetch;
  const keyword = findFetch(name);
  if (keyword === undefined) return unreachable("compileSample: unknown fetch");
  const { source } = keyword;
  switch (source.from) {
    case "address":
      return (sample, context) => {
        sample.type = "addr";
        return context.address(source.field, sample.address);
      };
    case "port":
      return (sample, context) => {
        const port = context.port(source.field);
        return port >= 0 && sample.setInt(port);
      };
    case "text":
      return (sample, context) => {
        const text = context.text(source.field);
        return text !== undefined && sample.setText(text);
      };
    case "integer":
      return (sample, context) => setNumber(sample, keyword, context.integer(source.field));
    case "proxy": {
      const proxy = textAt(args, 0);
      return (sample, context) =>
        setNumber(sample, keyword, context.proxyInteger(source.field, proxy));
    }
    case "server": {
      const path = textAt(args, 0);
      const slash = path.indexOf("/");
      const backend = slash < 0 ? "" : path.slice(0, slash);
      const server = path.slice(slash + 1);
      return (sample, context) =>
        setNumber(sample, keyword, context.serverInteger(source.field, backend, server));
    }
    case "request":
      return makeRequestFetch(source.field, args, at);
    case "answer":
      return makeAnswerFetch(source.field, args);
    case "own":
      return makeOwn(name, args);
  }
}

function setNumber(sample: Sample, keyword: FetchKeyword, value: number | undefined): boolean {
  if (value === undefined) return false;
  return keyword.type === "bool" ? sample.setBool(value !== 0) : sample.setInt(value);
}

function textAt(args: readonly Argument[], index: number): string {
  const arg = args[index];
  return arg === undefined ? "" : String(arg.value);
}

function intAt(args: readonly Argument[], index: number): number {
  return Number(args[index]?.value ?? 0);
}

/** Fetches with code of their own. */
function makeOwn(name: string, args: readonly Argument[]): Step {
  switch (name) {
    case "always_true":
      return (sample) => sample.setBool(true);
    case "always_false":
      return (sample) => sample.setBool(false);
    case "bool": {
      const value = /^(true|1)$/i.test(textAt(args, 0));
      return (sample) => sample.setBool(value);
    }
    case "int": {
      const value = intAt(args, 0);
      return (sample) => sample.setInt(value);
    }
    case "proc":
      return (sample) => sample.setInt(1);
    case "str": {
      const text = textAt(args, 0);
      return (sample) => sample.setText(text);
    }
    case "bin": {
      const bytes = new Uint8Array(Buffer.from(textAt(args, 0), "hex"));
      return (sample) => sample.setBytes(bytes);
    }
    case "ipv4":
    case "ipv6":
      return makeConstantAddress(textAt(args, 0));
    case "env": {
      const variable = textAt(args, 0);
      return (sample, context) => {
        const value = context.environment(variable);
        return value !== undefined && sample.setText(value);
      };
    }
    default:
      return makeOwnVariable(name, args);
  }
}

/** The ones whose value changes from one evaluation to the next. */
function makeOwnVariable(name: string, args: readonly Argument[]): Step {
  switch (name) {
    case "date": {
      const offset = intAt(args, 0);
      const divisor = microsPer(textAt(args, 1));
      return (sample, context) =>
        sample.setInt(Math.floor(context.epochMicros() / divisor) + offset);
    }
    case "date_us":
      return (sample, context) => sample.setInt(context.epochMicros() % 1_000_000);
    case "accept_date": {
      const divisor = microsPer(textAt(args, 0));
      return (sample, context) => {
        const micros = context.acceptedMicros();
        return micros > 0 && sample.setInt(Math.floor(micros / divisor));
      };
    }
    case "rand": {
      const range = args.length === 0 ? 2 ** 32 : intAt(args, 0) >>> 0;
      return (sample, context) => sample.setInt(Math.floor((context.random32() * range) / 2 ** 32));
    }
    case "ssl_c_s_dn": {
      const [entry, occurrence, format] = [textAt(args, 0), intAt(args, 1), textAt(args, 2)];
      return (sample, context) => {
        const value = fetchSubject(context, entry, occurrence, format);
        return value !== undefined && sample.setText(value);
      };
    }
    case "ssl_fc_has_sni":
      return (sample, context) => {
        // Of a connection without TLS there is no answer.
        if (context.integer("ssl_fc") !== 1) return false;
        return sample.setBool((context.text("ssl_fc_sni") ?? "") !== "");
      };
    case "uuid": {
      const version = args.length === 0 ? 4 : intAt(args, 0);
      return (sample, context) => sample.setText(makeUuid(context, version));
    }
    default:
      return unreachable("compileSample: a fetch without code");
  }
}

function microsPer(unit: string): number {
  if (unit === "ms") return 1000;
  return unit === "us" ? 1 : 1_000_000;
}

function makeConstantAddress(text: string): Step {
  const constant = new IpAddress();
  parseIp(text, constant);
  return (sample) => {
    sample.type = "addr";
    sample.address.copyFrom(constant);
    return true;
  };
}

/** RFC 9562: version 4 is random, version 7 begins with milliseconds since the epoch. */
function makeUuid(context: SampleContext, version: number): string {
  const hex = (word: number, digits: number): string =>
    word.toString(16).padStart(8, "0").slice(-digits);
  const tail =
    `${hex((context.random32() & 0x3fff) | 0x8000, 4)}-` +
    `${hex(context.random32(), 8)}${hex(context.random32(), 4)}`;
  const middle = hex(context.random32() & 0xfff, 3);
  if (version === 7) {
    const stamp = Math.floor(context.epochMicros() / 1000)
      .toString(16)
      .padStart(12, "0");
    return `${stamp.slice(0, 8)}-${stamp.slice(8)}-7${middle}-${tail}`;
  }
  return `${hex(context.random32(), 8)}-${hex(context.random32(), 4)}-4${middle}-${tail}`;
}
