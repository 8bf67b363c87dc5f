/** Deliberately broken copies of the GUID index, and how a thread comes to run on one. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Every `find` of one must be there as often as it says. */
export const GUID_MUTANTS: readonly {
  name: string;
  edits: readonly { find: string; replace: string; times: number }[];
}[] = [
  {
    name: "look-ups do not take the read lock",
    edits: [
      { find: "this.lock.takeRead() === LOCK_TAKEN", replace: "LOCK_TAKEN === 0", times: 1 },
      { find: "if (this.lock.giveRead()) return", replace: "return", times: 1 },
    ],
  },
  {
    name: "insertions and removals do not take the write lock",
    edits: [
      { find: "this.lock.takeWrite() === LOCK_TAKEN", replace: "LOCK_TAKEN === 0", times: 3 },
      { find: "    this.lock.giveWrite();\n", replace: "", times: 3 },
    ],
  },
  {
    name: "a reader that was expelled believes what it read",
    edits: [
      {
        find: "if (this.lock.giveRead()) return",
        replace: "this.lock.giveRead();\n return",
        times: 1,
      },
    ],
  },
  {
    name: "the preload does not look whether it is alone",
    edits: [{ find: "assert(isSingleThreaded(this.tables)", replace: "assert(true", times: 1 }],
  },
];

const FILE = join(import.meta.dir, "../../../src/tables/guid-index.ts");

/** From here on this thread loads the broken copy. @param index -1 = the sound one */
export function useMutant(index: number): void {
  if (index < 0) return;
  const mutant = GUID_MUTANTS[index];
  if (mutant === undefined) throw new RangeError("no such mutant");
  let contents = readFileSync(FILE, "utf8");
  for (const { find, replace, times } of mutant.edits) {
    const parts = contents.split(find);
    if (parts.length - 1 !== times) throw new RangeError(`${parts.length - 1} times: ${find}`);
    contents = parts.join(replace);
  }
  Bun.plugin({
    name: "guid-mutant",
    setup(build) {
      build.onLoad({ filter: /\/src\/tables\/guid-index\.ts$/ }, () => ({
        contents,
        loader: "ts",
      }));
    },
  });
}
