/**
 * Sections that are not `mode tcp`. Those that only show statistics or answer a monitor load, and
 * are not served; those that proxy something else than TCP are refused, or skipped on request.
 */
import type { LoadContext } from "./context.ts";
import { titleOf } from "./draft.ts";
import type { ProxyDraft } from "./draft.ts";
import type { KeptLine } from "./sections.ts";

/** Words by which a section passes traffic on. */
const PROXYING = new Set([
  "server",
  "server-template",
  "default_backend",
  "use_backend",
  "dispatch",
  "use-fcgi-app",
  "filter",
  "redirect",
]);

/** Words by which a section answers about this process itself. */
function answersItself(words: readonly string[]): boolean {
  const [first, second, third] = words;
  if (first === "monitor-uri" || first === "stats") return true;
  return first === "http-request" && second === "use-service" && third === "prometheus-exporter";
}

/**
 * Decides what becomes of a section in another mode, reports it and marks the draft. Its name and
 * number stay taken either way.
 */
export function classifyHttpSection(
  context: LoadContext,
  proxy: ProxyDraft,
  lines: readonly KeptLine[],
): void {
  const { mode } = proxy.settings;
  const passesOn = lines.some(({ words }) => PROXYING.has(words[0] ?? ""));
  const isPage = mode === "http" && !passesOn && lines.some(({ words }) => answersItself(words));
  if (isPage) {
    proxy.skipped = "statistics";
    const title = titleOf(proxy);
    const text = `${title} (mode http) only shows statistics or answers a monitor`;
    context.report.noticeAt(proxy.origin, `${text}: read, and not served in this release.`);
    return;
  }
  proxy.skipped = "coming";
  const what = `${titleOf(proxy)} in 'mode ${mode}'`;
  context.coming(proxy.origin, what, "the whole section");
}
