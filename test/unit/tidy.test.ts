/**
 * The style of the project, as far as a machine can see it: arrows between folders, sizes, words
 * and calls that are kept to one place, the rules of hot files, generated files. A message names
 * the place and what to do instead.
 */
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { basename, join } from "node:path";

import { generateAll } from "../../scripts/generate.ts";
import {
  docBefore,
  filesIn,
  functionsOf,
  importsOf,
  readSource,
  sourcesIn,
} from "../support/source.ts";
import type { Source } from "../support/source.ts";

const COLUMNS_MAX = 100;
const FILE_LINES_MAX = 600;
const FUNCTION_LINES_MAX = 70;

/** What each folder of src/ may import, besides itself: docs/architecture.md. */
const ARROWS: Record<string, readonly string[]> = {
  base: [],
  tables: ["base"],
  expr: ["base", "tables"],
  wire: ["base", "tables"],
  balance: ["base", "tables"],
  conduit: ["base", "tables", "expr", "wire", "balance"],
  data: ["base", "tables", "expr", "wire", "balance", "conduit"],
  config: ["base", "tables", "expr", "wire", "balance"],
  check: ["base", "tables", "expr", "wire", "conduit"],
  control: ["base", "tables", "expr", "wire", "balance", "conduit", "check", "config"],
  api: ["base", "tables", "expr", "wire", "balance", "conduit", "check", "config", "control"],
  page: ["base", "tables", "expr", "wire", "balance", "conduit", "check", "config", "control"],
  worker: ["base", "tables", "expr", "wire", "balance", "conduit", "data"],
};

/** Calls that only these files may make: everyone else is handed a clock, chance or a sink. */
const KEPT_CALLS =
  /\b(Date\.now|performance\.now|setTimeout|setInterval|setImmediate|Math\.random|console)\b/;
/** `page/client` runs in a browser, which hands out no clock. */
const CALL_KEEPERS = /^src\/(?:base\/(?:clock|prng)\.ts$|control\/logs\/sink|page\/client\/)/;

/** Names that say nothing. */
const EMPTY_NAMES = /^(?:utils?|helpers?|common|misc|manager)(?:\.ts)?$/;

/** What a hot function must not contain, and what it is called in messages. */
const HOT_RULES: readonly [RegExp, string][] = [
  [/\basync\b|\bawait\b|\bPromise\b/, "a promise"],
  [/=>/, "an arrow function"],
  [/`/, "a template literal"],
  [/\.\.\./, "a spread"],
  [/\.(?:map|filter|forEach|reduce|some|every|find|findIndex|flatMap|concat)\(/, "an array method"],
  [/\.(?:subarray|slice)\(/, "subarray or slice"],
  [/(?:=|\(|,|return|\?|:)\s*\{(?=\s*(?:\w+\s*[:,}]|\}))/, "an object literal"],
];

const sources = sourcesIn("src");
const written = sources.filter(({ path }) => !path.includes("/generated/"));
const all = ["src", "test", "scripts", "bench"].flatMap((folder) => sourcesIn(folder));

/** Lines of code in which a pattern occurs, as `path:line: text`. */
function occurrences(source: Source, pattern: RegExp): string[] {
  return source.code
    .split("\n")
    .flatMap((line, index) =>
      pattern.test(line) ? [`${source.path}:${index + 1}: ${source.lines[index]?.trim()}`] : [],
    );
}

test("imports follow the arrows of docs/architecture.md", () => {
  const broken = sources.flatMap((source) => {
    const [, folder = "", inner] = source.path.split("/");
    if (inner === undefined) return [];
    return importsOf(source).flatMap((target) => {
      const [top, to = "", isInner] = target.split("/");
      if (top !== "src" || isInner === undefined || to === folder) return [];
      const isAllowed = ARROWS[folder]?.includes(to) === true;
      return isAllowed ? [] : [`${source.path} imports ${target}: ${folder} must not know ${to}`];
    });
  });
  expect(broken).toEqual([]);
});

test("every module is used", () => {
  const used = new Set(all.flatMap(importsOf));
  const entries = ["main", "worker", "checker", "page/client/main"].map((name) => {
    return `src/${name}.ts`;
  });
  const dead = written
    .map(({ path }) => path)
    .filter((path) => !path.endsWith(".d.ts") && !entries.includes(path) && !used.has(path));
  expect(dead).toEqual([]);
});

test("lines are at most 100 columns", () => {
  const long = all.flatMap((source) => {
    const { path, lines } = source;
    const codeLines = source.code.split("\n");
    return lines.flatMap((line, index) => {
      if ([...line].length <= COLUMNS_MAX) return [];
      // Tests compare with texts of others, which are as long as they are.
      const isComment = /^\s*(?:\/?\*|\/\/)/.test(line);
      const code = (codeLines[index] ?? "").replace(/\s+/g, " ");
      const isText = path.startsWith("test/") && !isComment && code.length <= COLUMNS_MAX;
      return isText ? [] : [`${path}:${index + 1} has ${[...line].length} columns`];
    });
  });
  expect(long).toEqual([]);
});

test("files are at most 600 lines, or say at their top why not", () => {
  const long = written
    .filter(({ lines }) => lines.length > FILE_LINES_MAX + 1)
    .filter(({ text }) => !/600\s+(?:\*\s+)?lines/.test(text.slice(0, text.indexOf("*/"))))
    .map(({ path, lines }) => `${path} has ${lines.length - 1} lines: split it by idea`);
  expect(long).toEqual([]);
});

test("the entry points read as a table of contents", () => {
  for (const path of ["src/main.ts", "src/worker.ts"]) {
    expect(readSource(path).lines.length).toBeLessThan(120);
  }
});

test("functions are at most 70 lines", () => {
  const long = written.flatMap((source) =>
    functionsOf(source)
      .filter(({ lineCount }) => lineCount > FUNCTION_LINES_MAX)
      .map((f) => `${source.path}:${f.firstLine} ${f.name} has ${f.lineCount} lines`),
  );
  expect(long).toEqual([]);
});

test("clocks, timers, chance and the console are handed in", () => {
  const broken = written
    .filter(({ path }) => !CALL_KEEPERS.test(path))
    .flatMap((source) => occurrences(source, KEPT_CALLS));
  expect(broken).toEqual([]);
});

test("no any, enum, namespace, default export, or silenced type error", () => {
  const pattern =
    /(?:<|[^|]\||\bas)\s*any\b|\bany\[|^\s*(?:export )?(?:const )?enum\b|^namespace\b|^export def/;
  // `any` as a value is a word like others.
  const annotation = /[\w)\]?]: any\b/;
  const typed = all
    .filter(({ path }) => !path.endsWith(".d.ts"))
    .flatMap((source) => [
      ...occurrences(source, pattern),
      ...(/\bconst any\b/.test(source.code) ? [] : occurrences(source, annotation)),
    ]);
  const silenced = all
    .filter(({ path }) => path !== "test/unit/tidy.test.ts")
    .flatMap(({ path, lines }) =>
      lines.flatMap((line, i) =>
        /@ts-(?:ignore|expect|nocheck)/.test(line) ? [`${path}:${i + 1}`] : [],
      ),
    );
  expect([...typed, ...silenced]).toEqual([]);
});

test("file names are kebab-case and say something", () => {
  const bad = all
    .map(({ path }) => path)
    .filter((path) => {
      const isKebab = /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.(?:test|bench|d))?\.ts$/.test(basename(path));
      return !isKebab || path.split("/").some((part) => EMPTY_NAMES.test(part));
    });
  expect(bad).toEqual([]);
});

test("every module of src/ begins with what it is for", () => {
  const bare = sources.filter(({ text }) => !text.startsWith("/**")).map(({ path }) => path);
  expect(bare).toEqual([]);
});

test("every exported function, class and constant has a docstring", () => {
  const bare = written.flatMap((source) =>
    [...source.code.matchAll(/^export (?:async )?(?:function\*?|class|const) (\w+)/gm)].flatMap(
      (found) => {
        if (docBefore(source.text, found.index) !== "") return [];
        // A module that is one class has said above what it is.
        if (isNamedAfter(source, found[1] ?? "")) return [];
        // The values of one list share the comment of the first.
        const line = source.code.slice(0, found.index).split("\n").length;
        const previous = source.lines[line - 2] ?? "";
        const isOfList = found[0].startsWith("export const") && previous.startsWith("export const");
        return isOfList ? [] : [`${source.path}:${line} ${found[1]}`];
      },
    ),
  );
  expect(bare).toEqual([]);
});

function isNamedAfter({ path }: Source, name: string): boolean {
  const kebab = name.replace(/(?<=.)[A-Z]/g, (letter) => `-${letter}`).toLowerCase();
  return basename(path) === `${kebab}.ts`;
}

test("hot functions allocate nothing", () => {
  const broken = written
    .filter(({ text }) => text.slice(0, text.indexOf("*/")).includes("@hot"))
    .flatMap((source) =>
      functionsOf(source)
        .filter(({ isCold, name }) => !isCold && name !== "constructor")
        .flatMap(({ name, body, firstLine }) =>
          HOT_RULES.filter(([pattern]) => pattern.test(body)).map(
            ([, what]) => `${source.path}:${firstLine} ${name} has ${what}`,
          ),
        ),
    );
  expect(broken).toEqual([]);
});

test("nothing is left unfinished in words", () => {
  // Put together here, so that this file does not name them.
  const words = ["TO" + "DO", "FIX" + "ME", "X" + "XX", "not impl" + "emented", "for n" + "ow"];
  const pattern = new RegExp(`\\b(?:${words.join("|")})\\b`);
  const files = [...sources, ...sourcesIn("native", ".c"), ...sourcesIn("scripts")];
  const found = files.flatMap(({ path, lines }) =>
    lines.flatMap((line, index) =>
      pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [],
    ),
  );
  expect(found).toEqual([]);
});

test("no file names a path of one machine or a package registry", () => {
  const pattern = new RegExp(
    `(?:^|[^a-z0-9._-])/(?:w${"ork"}|ho${"me"}/[a-z]+|ro${"ot"})/|` +
      `https?://[a-z0-9.-]*(?:regi${"stry"}|mir${"ror"})[a-z0-9.-]*/`,
    "i",
  );
  const folders = ["src", "test", "scripts", "bench", "docs", "examples", "native", ".ci"];
  const tops = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Dockerfile", "package.json"];
  const files = [...folders.flatMap(filesIn), ...tops.filter((path) => existsSync(path))];
  const found = files
    .filter((path) => !path.startsWith("bench/raw/"))
    .map(readSource)
    .flatMap(({ path, lines }) =>
      lines.flatMap((line, index) =>
        pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [],
      ),
    );
  expect(found).toEqual([]);
});

test("generated files are what scripts/generate makes of the schema", () => {
  const root = join(import.meta.dir, "../..");
  const stale = generateAll()
    .filter(
      ({ path, content }) => !existsSync(join(root, path)) || readSource(path).text !== content,
    )
    .map(({ path }) => `${path}: run scripts/generate`);
  expect(stale).toEqual([]);
});
