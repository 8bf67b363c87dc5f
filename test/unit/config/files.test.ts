/** Files, folders and conditional blocks. */
import { describe, expect, test } from "bun:test";

import { formatMessages } from "../../../src/config/message.ts";
import { linesOf, loadText, planOf } from "./load-text.ts";
import type { TestMachine } from "./load-text.ts";

const MACHINE: TestMachine = {
  files: {
    "/etc/s/20.cfg": "backend b\n",
    "/etc/s/10.cfg": "backend a\n",
    "/etc/s/Z.cfg": "backend z\n",
    "/etc/s/.hidden.cfg": "nonsense\n",
    "/etc/s/note.txt": "nonsense\n",
    "one.cfg": "backend one\n",
    "bad1.cfg": "backend one\n nosuch\n",
    "bad2.cfg": "nosuch\nbackend two\n balnce x\n",
    "half.cfg": " retries 3\n",
  },
  folders: { "/etc/s": ["20.cfg", "10.cfg", "Z.cfg", ".hidden.cfg", "note.txt"], "/etc/empty": [] },
};

async function load(files: string[]): Promise<ReturnType<typeof loadText>> {
  return await loadText("", { files, texts: [], machine: MACHINE });
}

test("folders are read in the order of their names, by bytes", async () => {
  const plan = planOf(await load(["/etc/s", "one.cfg"]));
  expect(plan.proxies.map((proxy) => proxy.name)).toEqual(["a", "b", "z", "one"]);
  expect(plan.proxies.at(0)?.origin).toEqual({ file: "/etc/s/10.cfg", line: 1 });
  expect(plan.global.environment["HAPROXY_CFGFILES"]).toBe(
    "/etc/s/10.cfg;/etc/s/20.cfg;/etc/s/Z.cfg;one.cfg",
  );
  expect((await load(["/etc/empty"])).plan).not.toBeNull();
});

test("what cannot be read is named", async () => {
  const result = await load(["none.cfg", "one.cfg"]);
  expect(result.plan).toBeNull();
  expect(linesOf(result)).toEqual([
    "ALERT Cannot open configuration file/directory none.cfg : No such file or directory",
  ]);
});

test("errors of all files come together, each closing line names its file", async () => {
  const result = await load(["bad1.cfg", "bad2.cfg"]);
  expect(
    formatMessages(result.messages, 7).map((line) => line.slice("[ALERT]    (7) : ".length)),
  ).toEqual([
    "config : parsing [bad1.cfg:2] : 'nosuch' unknown keyword in 'backend' section",
    "config : parsing [bad2.cfg:1] : 'nosuch' unknown keyword out of section",
    "config : parsing [bad2.cfg:3] : 'balnce' unknown keyword in 'backend' " +
      "section; did you mean 'balance'?",
    "config : Error(s) found in configuration file : bad1.cfg",
    "config : Error(s) found in configuration file : bad2.cfg",
    "config : Fatal errors found in configuration.",
  ]);
});

test("a section ends with its file", async () => {
  const result = await load(["one.cfg", "half.cfg"]);
  expect(linesOf(result)).toEqual([
    "ALERT parsing [half.cfg:1] : 'retries' unknown keyword out of section",
  ]);
});

describe("conditional blocks", () => {
  /** The names of the backends that are read. */
  const names = async (text: string, environment: Record<string, string> = {}): Promise<string> => {
    const result = await loadText(text, { environment });
    expect(linesOf(result)).toEqual([]);
    return planOf(result)
      .proxies.map((proxy) => proxy.name)
      .join(" ");
  };
  const cases: [title: string, text: string, names: string][] = [
    ["if", ".if 1\nbackend a\n.endif\n.if 0\nbackend b\n.endif\n", "a"],
    ["else", ".if 0\nbackend a\n.else\nbackend b\n.endif\n", "b"],
    [
      "elif",
      ".if 0\nbackend a\n.elif 1\nbackend b\n.elif 1\nbackend c\n.else\nbackend d\n.endif\n",
      "b",
    ],
    ["nested", ".if 1\n.if 0\nbackend a\n.else\nbackend b\n.endif\n.endif\n", "b"],
    [
      "inside what does not count",
      ".if 0\n.if 1\nbackend a\n.else\nbackend b\n.endif\n.else\nbackend c\n.endif\n",
      "c",
    ],
    ["broken text that does not count", '.if 0\nbackend "a\n nosuch\n.elif nosuch(\n.endif\n', ""],
    ["no elif is looked at after a match", ".if 1\nbackend a\n.elif nosuch\n.endif\n", "a"],
    ["indented, with a comment", "  .if 1 # yes\nbackend a\n\t.endif # end\n", "a"],
    [
      "variables",
      '.if streq("$MODE",on)\nbackend a\n.endif\n.if defined(NOPE)\nbackend b\n.endif\n',
      "a",
    ],
    [
      "what VTest writes",
      ".if feature(THREAD)\nglobal\n thread-groups 1\n.endif\nbackend a\n",
      "a",
    ],
  ];
  for (const [title, text, expected] of cases) {
    test(title, async () => {
      // A condition that is not looked at may be broken; one that is may not.
      const wanted =
        title === "broken text that does not count" ? text.replace(".elif nosuch(\n", "") : text;
      expect(await names(wanted, { MODE: "on" })).toBe(expected);
    });
  }
  test("messages", async () => {
    const result = await loadText('.notice "a  b"\n.warning "$X"\n.diag hidden\n', {
      environment: { X: "y" },
    });
    expect(linesOf(result)).toEqual([
      "NOTICE parsing [t.cfg:1]: 'a  b'.",
      "WARNING parsing [t.cfg:2]: 'y'.",
    ]);
    const diagnosed = await loadText(".diag shown\n", { overrides: { diagnostics: true } });
    expect(linesOf(diagnosed)).toEqual(["NOTICE parsing [t.cfg:1]: 'shown'."]);
    expect((await loadText('.alert "no"\n')).plan).toBeNull();
  });
});
