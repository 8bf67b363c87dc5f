/**
 * The request of an HTTP check, as HAProxy writes it: names of headers in small letters, then the
 * server's state, the length of the body, and what becomes of the connection. Thread of checks.
 * Source: HAProxy manual 4.2 (`http-check send`); the order was observed on HAProxy.
 */
import type { LogContext } from "../../expr/evaluate.ts";
import type { CheckStepSpec, CheckText } from "../../tables/spec.ts";
import { compileByteFormat, wordBytes } from "./check-format.ts";
import type { ByteFormat } from "./check-format.ts";

type SendStep = Extract<CheckStepSpec, { kind: "http-send" }>;

/** Makes the bytes of a request. @param state value of `X-Haproxy-Server-State`, if it is sent */
export type RequestMaker = (context: LogContext, state: string | undefined) => Uint8Array;

/** Methods whose requests say nothing of a body where there is none. */
const BODILESS = new Set(["GET", "HEAD", "OPTIONS", "DELETE"]);

/** Compiles a request. Cost: once a program. */
export function compileRequest(step: SendStep): RequestMaker {
  const uri = compileText(step.uri);
  const body = step.body === undefined ? undefined : compileText(step.body);
  const headers = step.headers
    .map(({ name, value }) => ({ name: name.toLowerCase(), value: compileByteFormat(value) }))
    .filter(({ name }) => name !== "content-length" && name !== "transfer-encoding");
  const version = step.version === "HTTP/1.0" ? "HTTP/1.0" : "HTTP/1.1";
  const make: RequestMaker = (context, state) => {
    const request = new Request(step.method, version);
    for (const { name, value } of headers) request.add(name, latin(value(context)));
    return request.bytes(latin(uri(context)), state, body?.(context));
  };
  if (!isConstant(step)) return make;
  let known: Uint8Array | undefined;
  return (context, state) => {
    if (state !== undefined) return make(context, state);
    known ??= make(context, undefined);
    return known;
  };
}

function compileText(text: CheckText): ByteFormat {
  if (text.kind === "format") return compileByteFormat(text.format);
  const bytes = wordBytes(text.text);
  return () => bytes;
}

function isConstant({ uri, body, headers }: SendStep): boolean {
  const isFixed = (text: CheckText | undefined): boolean =>
    text?.kind !== "format" || text.format.parts.every(({ kind }) => kind === "text");
  const areFixed = headers.every(({ value }) => value.parts.every(({ kind }) => kind === "text"));
  return isFixed(uri) && isFixed(body) && areFixed;
}

/** One character a byte. */
function latin(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

class Request {
  readonly #method: string;
  readonly #version: string;
  #lines = "";
  #host = "";
  #hasConnection = false;
  #closes = false;
  #keepsAlive = false;

  constructor(method: string, version: string) {
    this.#method = method;
    this.#version = version;
  }

  add(name: string, text: string): void {
    // A line's end within a value would begin another header.
    const value = text.replace(/[\r\n\0]+/gu, " ").trim();
    if (value === "") return;
    if (name === "connection") {
      this.#addConnection(value);
      return;
    }
    if (name === "host") this.#host = value;
    this.#lines += `${name}: ${value}\r\n`;
  }

  /** `close` and `keep-alive` are said at the end, where the version needs them said. */
  #addConnection(value: string): void {
    this.#hasConnection = true;
    const tokens = value.split(",").map((token) => token.trim());
    const rest = tokens.filter((token) => !/^(?:close|keep-alive)$/iu.test(token));
    this.#closes ||= tokens.some((token) => /^close$/iu.test(token));
    this.#keepsAlive ||= tokens.some((token) => /^keep-alive$/iu.test(token));
    if (rest.length > 0) this.#lines += `connection: ${rest.join(", ")}\r\n`;
  }

  bytes(target: string, state: string | undefined, body: Uint8Array | undefined): Uint8Array {
    const uri = this.#withAuthority(target.replace(/[\s\0]+/gu, ""));
    let head = `${this.#method} ${uri === "" ? "/" : uri} ${this.#version}\r\n${this.#lines}`;
    if (state !== undefined) head += `x-haproxy-server-state: ${state}\r\n`;
    if (body !== undefined || !BODILESS.has(this.#method)) {
      head += `content-length: ${body?.length ?? 0}\r\n`;
    }
    head += `${this.#connectionLine()}\r\n`;
    const bytes = Buffer.from(head, "latin1");
    return body === undefined ? bytes : Buffer.concat([bytes, body]);
  }

  #connectionLine(): string {
    const closes = !this.#hasConnection || this.#closes;
    if (this.#version === "HTTP/1.1") return closes ? "connection: close\r\n" : "";
    return this.#keepsAlive && !this.#closes ? "connection: keep-alive\r\n" : "";
  }

  /** The host that is named is the authority of an absolute target, too. */
  #withAuthority(uri: string): string {
    if (this.#host === "") return uri;
    return uri.replace(/^([a-zA-Z][a-zA-Z0-9+.-]*:\/\/)[^/?#]*/u, (_all, scheme: string) => {
      return scheme + this.#host;
    });
  }
}
