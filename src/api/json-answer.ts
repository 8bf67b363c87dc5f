/**
 * The JSON form of an answer: one object on one line, whatever the command.
 *
 *   {"code":"OK","severity":6,"text":"…","result":…}
 *   {"code":"IN_USE","severity":3,"text":"…","result":null,"holders":[{"kind":…,"text":…}]}
 *
 * Of a long answer the text (or the result) comes first, as it is made, and the code behind it.
 */
import type { Json } from "../base/json.ts";
import type { Outcome } from "./call.ts";
import { SEVERITY } from "./command.ts";
import type { Reply } from "./command.ts";

/** An answer that is there as a whole. */
export function jsonAnswer({ code, reply, refusal }: Outcome): string {
  const severity = reply.kind === "message" ? reply.severity : SEVERITY.info;
  const text = reply.kind === "pieces" ? "" : reply.text;
  const data = reply.kind === "pieces" ? undefined : reply.data;
  return JSON.stringify({
    code,
    severity,
    text: text.replace(/\n+$/, ""),
    result: data ?? null,
    ...versionOf(data),
    ...(refusal === undefined ? {} : { holders: refusal.holders }),
  });
}

/** A change's result tells the version that its object has now. */
function versionOf(data: Json | undefined): { version?: number } {
  if (typeof data !== "object" || data === null || !("version" in data)) return {};
  const version = data["version"];
  return typeof version === "number" ? { version } : {};
}

/** What comes before the pieces of a long answer. */
export function jsonHead(reply: Reply & { kind: "pieces" }): string {
  return reply.isJson === true ? '{"result":' : '{"text":"';
}

/** A piece of a long answer. A newline at its end is kept: it is part of the text. */
export function jsonPiece(reply: Reply & { kind: "pieces" }, piece: string): string {
  return reply.isJson === true ? piece : JSON.stringify(piece).slice(1, -1);
}

/** What comes behind the pieces. */
export function jsonTail(reply: Reply & { kind: "pieces" }, code: Outcome["code"]): string {
  const head = reply.isJson === true ? ',"text":""' : '","result":null';
  const severity = code === "OK" ? SEVERITY.info : SEVERITY.error;
  return `${head},"code":${JSON.stringify(code)},"severity":${severity}}`;
}
