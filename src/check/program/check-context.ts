/**
 * What expressions of checks see: the server and its backend by name, the answer so far, variables
 * of the check (`check`, `sess`: gone when it is over) and of the process (`proc`). A check has no
 * client: what asks for one was refused by the configuration. Thread of checks.
 */
import { hostname } from "node:os";

import type { IpAddress } from "../../base/address.ts";
import { parseIp } from "../../base/address.ts";
import type { CheckAnswer } from "../../expr/answer.ts";
import { Sample } from "../../expr/evaluate.ts";
import type { AddressField, IntegerField, LogContext, TextField } from "../../expr/evaluate.ts";
import type { CheckEnvironment, CheckNames } from "../probe.ts";
import type { HttpAnswer } from "./http-answer.ts";

const NOTHING = new Uint8Array(0);

/** Variables of the process, as checks know them: those of the thread. */
export type ProcessVariables = Map<string, Sample>;

/** The context of one check. */
export class CheckContext implements LogContext, CheckAnswer {
  readonly #environment: CheckEnvironment;
  readonly #names: CheckNames;
  readonly #shared: ProcessVariables;
  #own: Map<string, Sample> | undefined;
  /** What is kept of the answer. */
  bytes: Uint8Array = NOTHING;
  /** The same, understood as HTTP. */
  http: HttpAnswer | undefined;

  constructor(environment: CheckEnvironment, names: CheckNames, shared: ProcessVariables) {
    this.#environment = environment;
    this.#names = names;
    this.#shared = shared;
  }

  get answer(): CheckAnswer {
    return this;
  }

  /** @param name without its scope @param value none: the variable is gone */
  setVariable(scope: "check" | "proc", name: string, value: Sample | undefined): void {
    if (scope === "check") this.#own ??= new Map();
    const variables = scope === "proc" ? this.#shared : this.#own!;
    if (value === undefined) {
      variables.delete(name);
      return;
    }
    const copy = new Sample();
    copy.copyFrom(value);
    // The answer that it may be a view of does not last.
    if (copy.type === "bin") copy.bytes = value.bytes.slice();
    variables.set(name, copy);
  }

  // CheckAnswer.

  payload(): Uint8Array {
    return this.bytes;
  }

  status(): number | undefined {
    return this.http?.hasHead === true ? this.http.status : undefined;
  }

  version(): string {
    return this.http?.hasHead === true ? this.http.version : "";
  }

  headers(name: string): readonly string[] {
    const values = this.http?.valuesOf(name.toLowerCase()) ?? [];
    return values.map((value) => Buffer.from(value, "latin1").toString("utf8"));
  }

  body(): Uint8Array {
    return this.http?.body() ?? NOTHING;
  }

  variable(name: string): Sample | undefined {
    const dot = name.indexOf(".");
    const [scope, rest] = [name.slice(0, dot), name.slice(dot + 1)];
    if (scope === "proc") return this.#shared.get(rest);
    return this.#own?.get(scope === "check" ? rest : name);
  }

  // SampleContext.

  address(field: AddressField, out: IpAddress): boolean {
    const { serverAddress } = this.#names;
    if (field !== "backDestination") return false;
    const isIp = serverAddress?.family === "ipv4" || serverAddress?.family === "ipv6";
    return isIp && parseIp(serverAddress.host, out);
  }

  port(field: AddressField): number {
    const { serverAddress } = this.#names;
    if (field !== "backDestination") return -1;
    const isIp = serverAddress?.family === "ipv4" || serverAddress?.family === "ipv6";
    return isIp ? serverAddress.port : -1;
  }

  text(field: TextField): string | undefined {
    switch (field) {
      case "be_name":
        return this.#names.backend;
      case "srv_name":
        return this.#names.server;
      case "fe_name":
        return "CHECKS-FE";
      case "hostname":
        return hostname();
      default:
        return undefined;
    }
  }

  integer(field: IntegerField): number | undefined {
    switch (field) {
      case "be_id":
        return this.#names.backendId;
      case "srv_id":
        return this.#names.serverId;
      case "pid":
        return process.pid;
      default:
        return undefined;
    }
  }

  proxyInteger(): number | undefined {
    return undefined;
  }

  serverInteger(): number | undefined {
    return undefined;
  }

  environment(name: string): string | undefined {
    return this.#environment.environment(name);
  }

  epochMicros(): number {
    return this.#environment.epochMicros();
  }

  acceptedMicros(): number {
    return this.#environment.epochMicros();
  }

  random32(): number {
    return this.#environment.random32();
  }

  // LogContext.

  isUnix(field: AddressField): boolean {
    return field === "backDestination" && this.#names.serverAddress?.family === "unix";
  }

  isPartial(): boolean {
    return false;
  }

  isFrontTls(): boolean {
    return false;
  }

  logCounter(): number {
    return 0;
  }

  origin(): string {
    return "unspec";
  }
}
