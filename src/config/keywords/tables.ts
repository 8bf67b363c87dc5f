/** All keyword tables by chapter, indexed for the parser, `-dK` and the documents. */
import { GLOBAL_QUIC } from "./global-quic.ts";
import { GLOBAL_REST } from "./global-rest.ts";
import { GLOBAL_DONE } from "./global.ts";
import type { GlobalParser } from "./global.ts";
import { KeywordIndex } from "./keyword.ts";
import { OTHER_SECTIONS } from "./other-sections.ts";
import { PAGE_KEYWORDS } from "./pages.ts";
import { PROXY_CHECKS } from "./proxy-checks.ts";
import { PROXY_MAIL } from "./proxy-mail.ts";
import { PROXY_OPTIONS } from "./proxy-options.ts";
import type { ProxyParser } from "./proxy-parsers.ts";
import { PROXY_REST } from "./proxy-rest.ts";
import { PROXY_DONE } from "./proxy.ts";

/** Words of `global`. */
export const GLOBAL_INDEX = new KeywordIndex<GlobalParser>([
  ...GLOBAL_DONE,
  ...GLOBAL_QUIC,
  ...GLOBAL_REST,
]);

const RULES = ["acl", "quic-initial", "http-request", "http-response", "http-after-response"];

/** Words of `defaults`, `frontend`, `listen` and `backend`. */
export const PROXY_INDEX = new KeywordIndex<ProxyParser>(
  [
    ...PROXY_DONE,
    ...PROXY_MAIL,
    ...PROXY_OPTIONS,
    ...PROXY_CHECKS,
    ...PAGE_KEYWORDS,
    ...PROXY_REST,
  ].map((row) => {
    return isRule(row.name) ? { ...row, needsNamedDefaults: true } : row;
  }),
);

/** Rules belong to the section that holds them, so the manual marks them `(!)` in its matrix. */
function isRule(name: string): boolean {
  const [first = "", second] = name.split(" ");
  if (first === "tcp-request" || first === "tcp-response") return second !== undefined;
  return RULES.includes(first);
}

/** Words that begin a section. */
export const SECTION_WORDS: readonly string[] = [
  "global",
  "defaults",
  "frontend",
  "backend",
  "listen",
  ...OTHER_SECTIONS.map((section) => section.name),
];

const SECTION_WORD_SET: ReadonlySet<string> = new Set(SECTION_WORDS);

/** True for the words that begin a section, wherever they stand first on a line. */
export function isSectionKeyword(word: string): boolean {
  return SECTION_WORD_SET.has(word);
}
