import { expect, test } from "bun:test";

import { escapeHtml, escapeJson, escapeUrl } from "../../../../src/page/html/escape.ts";

test("no text is markup", () => {
  const rows: [string, string][] = [
    ["<script>", "&lt;script&gt;"],
    ['" onmouseover="x', "&quot; onmouseover=&quot;x"],
    ["' x='", "&#39; x=&#39;"],
    ["a&lt;b", "a&amp;lt;b"],
    ["bell\u0007 nul\u0000", "bell\ufffd nul\ufffd"],
    ["tab\tline\n", "tab\tline\n"],
    ["ünï😀", "ünï😀"],
  ];
  for (const [text, html] of rows) expect(escapeHtml(text)).toBe(html);
});

test("data ends no element and begins no comment", () => {
  const data = { a: "</script><!--", b: "\u2028&" };
  const text = escapeJson(data);
  expect(text).not.toMatch(/[<>&\u2028]/);
  expect(JSON.parse(text)).toEqual(data);
});

test("a name in a link separates nothing", () => {
  expect(escapeUrl("a;b?c&d=e'f/g")).toBe("a%3Bb%3Fc%26d%3De%27f%2Fg");
});
