/** The forms that public configurations use: none is unknown, and what belongs here works. */
import { expect, test } from "bun:test";

import { FIELD_FORMS } from "./field-forms.ts";
import type { FieldForm } from "./field-forms.ts";
import { linesOf, loadText } from "./load-text.ts";

/** A small configuration around one form. */
function surround([, place, text]: FieldForm): string {
  const section = (name: string): string => (place === name ? ` ${text}\n` : "");
  const server = place === "address" ? text : "10.0.0.1:5432";
  const serverOptions = place === "server" ? ` ${text}` : "";
  const listener = place === "listener" ? text : ":5432";
  const bindOptions = place === "bind" ? ` ${text}` : "";
  const needs = text.startsWith("resolvers dns") && place === "server";
  const resolvers = needs ? "resolvers dns\n nameserver a 127.0.0.53:53\n" : "";
  return (
    resolvers +
    `global\n log 127.0.0.1 local0\n external-check\n insecure-fork-wanted\n${section("global")}` +
    " defaults\n timeout client 1s\n timeout connect 1s\n timeout server 1s\n log global\n" +
    section("defaults") +
    `listen l\n bind :1\n${section("listen")} server s ${server}${serverOptions}\n` +
    `frontend f\n bind ${listener}${bindOptions}\n${section("frontend")}` +
    `backend b\n${section("backend")} server s 10.0.0.1:1\n${place === "text" ? text : ""}`
  );
}

const machine = { files: { "/etc/haproxy/nets.lst": "10.0.0.0/8\n" } };

/** What became of a form. */
async function stateOf(form: FieldForm): Promise<"done" | "inert" | "coming" | "unknown"> {
  const result = await loadText(surround(form), { machine, environment: { DB: "10.0.0.1" } });
  const lines = linesOf(result);
  if (lines.some((line) => line.includes("is not built yet"))) return "coming";
  if (lines.some((line) => line.startsWith("ALERT"))) return "unknown";
  return lines.some((line) => line.includes("without effect")) ? "inert" : "done";
}

const EXPECTED = { mine: "done", later: "coming", none: "inert" };

for (const form of FIELD_FORMS) {
  const [files, place, text, owner] = form;
  test(`${files} files, ${place}: ${text.trim()}`, async () => {
    expect(await stateOf(form)).toBe(EXPECTED[owner] as "done");
  });
}

test("at least 95 % of the forms that belong here are done, none is unknown", async () => {
  const states = await Promise.all(
    FIELD_FORMS.map(async (form) => [form, await stateOf(form)] as const),
  );
  const mine = states.filter(([form]) => form[3] === "mine");
  const done = mine.filter(([, state]) => state === "done");
  expect(states.filter(([, state]) => state === "unknown")).toEqual([]);
  expect(done.length / mine.length).toBeGreaterThanOrEqual(0.95);
});

test("with --skip-coming every form loads", async () => {
  for (const form of FIELD_FORMS) {
    const environment = { DB: "10.0.0.1" };
    const result = await loadText(surround(form), { machine, environment, skipComing: true });
    expect(linesOf(result).filter((line) => line.startsWith("ALERT"))).toEqual([]);
  }
});
