/**
 * Sections that are not `mode tcp`. Those that only show statistics, metrics or answer a monitor
 * become pages; those that proxy something else than TCP are refused, or skipped on request.
 */
import type { LoadContext } from "./context.ts";
import { hasFront, titleOf } from "./draft.ts";
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
 * Decides what becomes of a section in another mode, and marks the draft. Its name and number stay
 * taken either way.
 * @returns true for a page, whose lines are to be read
 */
export function classifyHttpSection(
  context: LoadContext,
  proxy: ProxyDraft,
  lines: readonly KeptLine[],
): boolean {
  const { settings } = proxy;
  const { mode } = settings;
  const inherits = settings.stats !== undefined || settings.monitorUri !== undefined;
  const passesOn = lines.some(({ words }) => PROXYING.has(words[0] ?? ""));
  const answers = inherits || lines.some(({ words }) => answersItself(words));
  const title = titleOf(proxy);
  if (mode === "http" && answers && !passesOn && settings.defaultBackend === undefined) {
    if (hasFront(proxy.section)) {
      proxy.skipped = "page";
      proxy.isHttp = true;
      return true;
    }
    // Its frontends, if it has any, are in mode http too: they are refused by name.
    proxy.skipped = "statistics";
    const text = `${title} (mode http) only shows statistics: no frontend leads to it.`;
    context.report.noticeAt(proxy.origin, text);
    return false;
  }
  proxy.skipped = "coming";
  context.coming(proxy.origin, `${title} in 'mode ${mode}'`, "the whole section");
  return false;
}
