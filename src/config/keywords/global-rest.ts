/** Keywords of `global` that are not done (HAProxy manual chapter 3), by name. */
import type { GlobalParser } from "./global.ts";
import type { Keyword } from "./keyword.ts";

/** The rows. */
export const GLOBAL_REST: readonly Keyword<GlobalParser>[] = [];
