/**
 * Text → expressions: the parsers that the configuration uses, in one place. All are pure apart
 * from the functions handed in as `AclSources`, and never throw.
 */
export { TCP_CLF_LOG_FORMAT, TCP_LOG_FORMAT } from "./aliases.ts";
export { type AclSources, parseAclTest } from "./parse-acl.ts";
export { checkAclName, isConditionWord, parseCondition } from "./parse-condition.ts";
export { type LogFormatUse, parseLogFormat } from "./parse-log-format.ts";
export { listReferences, parseSample, type Reference, scopeOf } from "./parse-sample.ts";
export type { ParseResult, RefusalKind } from "./result.ts";
