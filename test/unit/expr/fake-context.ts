/** A context whose answers a test sets field by field. */
import { type IpAddress, parseIp } from "../../../src/base/address.ts";
import type { LogContext } from "../../../src/expr/context.ts";

/** Answers, all optional: what is left out is "no value". */
export type Answers = {
  addresses?: Record<string, string>;
  ports?: Record<string, number>;
  texts?: Record<string, string>;
  integers?: Record<string, number>;
  proxies?: Record<string, number>;
  servers?: Record<string, number>;
  environment?: Record<string, string>;
  micros?: number;
  accepted?: number;
  random?: number;
  unix?: string[];
  partial?: boolean;
  lines?: number;
};

/** A LogContext over fixed answers. Counters are keyed `field/name`, or `field` for the current. */
export function fakeContext(answers: Answers = {}): LogContext {
  return {
    address(field, out: IpAddress) {
      const text = answers.addresses?.[field];
      return text !== undefined && parseIp(text, out);
    },
    port: (field) => answers.ports?.[field] ?? -1,
    text: (field) => answers.texts?.[field],
    integer: (field) => answers.integers?.[field],
    proxyInteger: (field, name) => answers.proxies?.[name === "" ? field : `${field}/${name}`],
    serverInteger: (field, backend, server) =>
      answers.servers?.[server === "" ? field : `${field}/${backend}/${server}`],
    environment: (name) => answers.environment?.[name],
    epochMicros: () => answers.micros ?? 1_795_255_200_144_321,
    acceptedMicros: () => answers.accepted ?? 1_795_255_200_144_321,
    random32: () => answers.random ?? 0x9abcdef0,
    isUnix: (field) => answers.unix?.includes(field) ?? false,
    isPartial: () => answers.partial ?? false,
    isFrontTls: () => false,
    logCounter: () => answers.lines ?? 0,
    origin: () => "txn_close",
  };
}
