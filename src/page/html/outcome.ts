/**
 * What came of an action, as its four letters in the address say it: HAProxy's, which scripts read.
 */

/** Outcomes of `stats admin` actions. */
export const OUTCOMES = {
  DONE: { tone: "good", text: "Action processed successfully." },
  NONE: { tone: "note", text: "Nothing has changed." },
  PART: { tone: "bad", text: "Action partially processed: some servers are not known here." },
  ERRP: { tone: "bad", text: "Nothing was done: a server, backend or action is not known here." },
  EXCD: { tone: "bad", text: "Nothing was done: the list of servers is too long." },
  DENY: { tone: "bad", text: "Action denied." },
  UNKN: { tone: "bad", text: "The action did not come to its end." },
} as const;

/** One of them. */
export type Outcome = keyof typeof OUTCOMES;

/** The sentence of an outcome; undefined = that is none. */
export function outcomeText(outcome: string): { tone: string; text: string } | undefined {
  return Object.hasOwn(OUTCOMES, outcome) ? OUTCOMES[outcome as Outcome] : undefined;
}
