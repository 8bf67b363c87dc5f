/** The native library as the system's loader is given it. */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";

import { withLibraryPath } from "../../../src/conduit/embedded-library.ts";
import { temporaryFolder } from "../../support/procs.ts";

test("a file beside the program is opened where it is", () => {
  using folder = temporaryFolder();
  writeFileSync(folder.file("x.so"), "not empty");
  expect(withLibraryPath(folder.file("x.so"), (path) => path)).toBe(folder.file("x.so"));
});

test("an empty one says why", () => {
  using folder = temporaryFolder();
  writeFileSync(folder.file("x.so"), "");
  const open = (): string => withLibraryPath(folder.file("x.so"), (path) => path);
  expect(open).toThrow("built without a C compiler");
});
