/** Words after `add backend NAME from DEFAULTS` and `add frontend NAME from DEFAULTS`. */
import { wrongGuid } from "./checks.ts";
import type { ProxyDraft } from "./draft.ts";
import { parseInteger } from "./numbers.ts";

const INTEGER_MAX = 2 ** 31 - 1;

type Reader = (draft: ProxyDraft, value: string) => string | undefined;

const readMode: Reader = ({ settings }, value) => {
  if (value !== "tcp" && value !== "http") return `'mode' : unknown mode '${value}'.`;
  if (value === "http") return "'mode http' : only proxies in mode tcp can be added.";
  settings.mode = value;
  settings.isModeGiven = true;
  return undefined;
};

const readGuid: Reader = (draft, value) => {
  draft.guid = value;
  const wrong = wrongGuid(value);
  return wrong === undefined ? undefined : `'guid' : ${wrong}`;
};

const readMaxconn: Reader = ({ settings }, value) => {
  const number = parseInteger(value, 0, INTEGER_MAX);
  if (!number.ok) return `'maxconn' : ${number.message}`;
  settings.maxconn = number.value;
  return undefined;
};

const readDefaultBackend: Reader = ({ settings, origin }, value) => {
  settings.defaultBackend = { name: value, origin };
  return undefined;
};

const BACKEND: readonly (readonly [word: string, read: Reader])[] = [
  ["mode", readMode],
  ["guid", readGuid],
];

const FRONTEND: typeof BACKEND = [
  ...BACKEND,
  ["default_backend", readDefaultBackend],
  ["maxconn", readMaxconn],
];

/**
 * Applies the words to a draft that has the settings of its defaults.
 * @param defaults name of those
 * @returns the sentence about what is wrong, or undefined
 */
export function readProxyWords(
  draft: ProxyDraft,
  defaults: string,
  words: readonly string[],
): string | undefined {
  const known = new Map(draft.section === "backend" ? BACKEND : FRONTEND);
  for (let at = 0; at < words.length; at += 2) {
    const word = words[at] ?? "";
    const value = words[at + 1];
    const read = known.get(word);
    if (read === undefined) {
      const list = [...known.keys()].map((name) => `'${name}'`).join(", ");
      const expected = list === "" ? "nothing more is expected" : `expected one of ${list}`;
      return `unknown argument '${word}': ${expected}.`;
    }
    if (value === undefined || value === "") return `'${word}' : missing value.`;
    const wrong = read(draft, value);
    if (wrong !== undefined) return wrong;
    known.delete(word);
  }
  const { mode, isModeGiven } = draft.settings;
  if (!isModeGiven) {
    return `Mode is required as '${defaults}' default proxy does not explicitly defines it.`;
  }
  if (mode === "tcp") return undefined;
  return `the defaults section is in 'mode ${mode}': 'mode tcp' must be given.`;
}
