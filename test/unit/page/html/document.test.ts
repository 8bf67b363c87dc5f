import { expect, test } from "bun:test";
import { createHash } from "node:crypto";

import type { DocumentInput } from "../../../../src/page/html/document.ts";
import { PAGE_POLICY, pageDocument } from "../../../../src/page/html/document.ts";
import { parsePageOptions } from "../../../../src/page/options.ts";
import type { CellValue, ProxyHead, Row, RowKind } from "../../../../src/page/shared/fields.ts";
import { ROW_AT, ROW_FIELDS } from "../../../../src/page/shared/fields.ts";

const EVIL = `"><script>alert(1)</script><img src=x onerror='alert(2)'>&lt;`;

function rowOf(kind: RowKind, name: string, words: string): Row {
  const values: CellValue[] = ROW_FIELDS.map((_, at) => at);
  for (const field of [
    "status",
    "last_chk",
    "check_desc",
    "check_status",
    "addr",
    "algo",
  ] as const) {
    values[ROW_AT[field]] = words;
  }
  return { kind, id: 1, name, values };
}

function inputOf(words: string, count = 2, more: Partial<DocumentInput> = {}): DocumentInput {
  const head: ProxyHead = {
    id: 7,
    name: words,
    hasFront: true,
    hasBack: true,
    mode: "tcp",
    algorithm: words,
    description: words,
    serverCount: count,
  };
  const servers = Array.from({ length: count }, () => rowOf("server", words, words));
  const rows = [rowOf("frontend", "FRONTEND", words), ...servers, rowOf("backend", "B", words)];
  return {
    uri: "/stats",
    options: parsePageOptions(""),
    facts: {
      uptimeSeconds: 1,
      connections: 1,
      maxconn: 1,
      connectionRate: 1,
      sessionRate: 1,
      connectionsTotal: 1,
      bytesInTotal: 1,
      bytesOutTotal: 1,
      idlePercent: 1,
      stopping: false,
      serversUp: 1,
      serversDown: 1,
      serversOut: 1,
      serversUnchecked: 1,
    },
    heads: [head],
    rows: () => Promise.resolve({ rows, hidden: 3 }),
    pid: 1,
    version: words,
    node: words,
    description: words,
    showLegends: true,
    refreshSeconds: 5,
    token: "token",
    ...more,
  };
}

async function htmlOf(input: DocumentInput): Promise<string> {
  let html = "";
  for await (const piece of pageDocument(input)) html += piece;
  return html;
}

/** A page without what is in script and style. */
function markupOnly(html: string): string {
  return html.replace(/<(script|style)[^>]*>.*?<\/\1>/gs, "");
}

/** Names of the elements and attributes of a page, as a browser's parser finds them. */
async function markupOf(html: string): Promise<Map<string, Set<string>>> {
  const found = new Map<string, Set<string>>();
  const rewriter = new HTMLRewriter().on("*", {
    element(element) {
      const names = found.get(element.tagName) ?? new Set();
      found.set(element.tagName, names);
      for (const [name] of element.attributes) names.add(name);
    },
  });
  await rewriter.transform(new Response(html)).text();
  return found;
}

test("names that are markup make no markup", async () => {
  const plain = await markupOf(await htmlOf(inputOf("word")));
  const evil = await markupOf(await htmlOf(inputOf(EVIL)));
  expect([...evil.keys()].toSorted()).toEqual([...plain.keys()].toSorted());
  for (const [tag, names] of evil) {
    expect([tag, [...names].toSorted()]).toEqual([tag, [...plain.get(tag)!].toSorted()]);
  }
  for (const names of evil.values()) {
    expect([...names].filter((name) => name.startsWith("on") || name === "style")).toEqual([]);
  }
});

test("the same holds for what the address brings", async () => {
  const options = parsePageOptions(`;scope=${EVIL};st=${EVIL}`);
  const html = await htmlOf(inputOf("word", 1, { options, uri: `/${EVIL}` }));
  expect([...(await markupOf(html)).keys()]).not.toContain("img");
  expect(html.includes("<script>alert")).toBe(false);
});

test("script and style are the ones that the policy lets run", async () => {
  const html = await htmlOf(inputOf(EVIL));
  const inline = [...html.matchAll(/<(script|style)>(.*?)<\/\1>/gs)];
  expect(inline.map(([, tag]) => tag)).toEqual(["style", "script"]);
  for (const [, , text = ""] of inline) {
    const hash = createHash("sha256").update(text).digest("base64");
    expect(PAGE_POLICY).toContain(`'sha256-${hash}'`);
  }
  expect(PAGE_POLICY).not.toContain("unsafe");
});

test("what the script is told can be read back", async () => {
  const html = await htmlOf(inputOf("word", 1, { uri: "/a?</script>" }));
  const [, text = ""] = /id="boot">(.*?)<\/script>/s.exec(html) ?? [];
  expect(JSON.parse(text)).toMatchObject({ uri: "/a?</script>", isAdmin: true, token: "token" });
});

test("without the right to change there are no forms, boxes, or token", async () => {
  const html = markupOnly(await htmlOf(inputOf("word", 2, { token: undefined })));
  expect(/method="post"|type="checkbox"|name="t"/.test(html)).toBe(false);
});

test("reloading is suggested to browsers without the script only", async () => {
  const reload = '<noscript><meta http-equiv="refresh"';
  expect((await htmlOf(inputOf("word"))).includes(reload)).toBe(true);
  const still = await htmlOf(inputOf("word", 1, { options: parsePageOptions(";norefresh") }));
  expect(still.includes("http-equiv")).toBe(false);
});

test("a query in the address outlives a filter that is sent without the script", async () => {
  const html = await htmlOf(inputOf("word", 1, { uri: "/admin?stats" }));
  const form = 'action="/admin"><input type="hidden" name="stats" value="">';
  expect(html.includes(form)).toBe(true);
});

test("what follows sixty sections is opened on demand", async () => {
  const [head] = inputOf("word").heads;
  const heads = Array.from({ length: 100 }, (_, id) => ({ ...head!, id }));
  const html = await htmlOf(inputOf("word", 1, { heads }));
  expect(html.match(/<table>/g)).toHaveLength(62);
  expect(html.match(/class="far"/g)).toHaveLength(40);
});
