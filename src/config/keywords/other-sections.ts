/**
 * Sections that are neither `global` nor proxies (HAProxy manual 5.3.2, 6, 10 to 12), with the
 * words that may stand in them.
 */
import type { ShortRow } from "./build.ts";

/** A kind of section, what sluice does about it, and its words. */
export type OtherSection = {
  name: string;
  args: string;
  effect: string;
  reference: string;
  state: "inert" | "coming";
  words: readonly ShortRow[];
};

/** All of them. */
export const OTHER_SECTIONS: readonly OtherSection[] = [];
