/**
 * Actions on servers, with the words of HAProxy's page, which scripts post.
 */

/** One action: its word in a request, what the page calls it, whether it asks before. */
export type PageAction = { readonly word: string; readonly label: string; readonly asks?: string };

/** All of them, in the order of the page. */
export const ACTIONS: readonly PageAction[] = [
  { word: "ready", label: "Set state to READY" },
  { word: "drain", label: "Set state to DRAIN" },
  { word: "maint", label: "Set state to MAINT", asks: "take new traffic away from" },
  { word: "dhlth", label: "Health: disable checks" },
  { word: "ehlth", label: "Health: enable checks" },
  { word: "hrunn", label: "Health: force UP" },
  { word: "hnolb", label: "Health: force NOLB" },
  { word: "hdown", label: "Health: force DOWN", asks: "mark as down" },
  { word: "dagent", label: "Agent: disable checks" },
  { word: "eagent", label: "Agent: enable checks" },
  { word: "arunn", label: "Agent: force UP" },
  { word: "adown", label: "Agent: force DOWN", asks: "mark as down" },
  { word: "shutdown", label: "Kill sessions", asks: "end all sessions of" },
];

/** Older words that mean the same. */
export const ACTION_ALIASES: Readonly<Record<string, string>> = {
  enable: "ready",
  disable: "maint",
  stop: "drain",
  start: "ready",
};
