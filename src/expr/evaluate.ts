/**
 * Expressions → functions: what workers and logs use, in one place. Compile once, run for each
 * stream; a compiled expression's Sample holds until it runs again. Nothing here throws at run
 * time. Any thread; compiled functions are not shared between threads.
 */
export type { LogContext, SampleContext } from "./context.ts";
export { compileSample, type SampleFunction } from "./fetch.ts";
export type { AddressField, IntegerField, ProxyField, ServerField, TextField } from "./keyword.ts";
export { compileLogFormat, type LogFormatFunction } from "./log-format.ts";
export { compileAcl, compileCondition, type Test } from "./match.ts";
export type { HttpRequest } from "./request.ts";
export { castSample, Sample, sampleBytes, sampleText } from "./sample.ts";
