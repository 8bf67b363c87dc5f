/**
 * Text into HTML. Names come from the configuration and from the runtime API: everything that is
 * not markup of ours goes through here.
 */

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Text as content of an element or of a quoted attribute. Control characters become U+FFFD. */
export function escapeHtml(text: string): string {
  return text
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g, "\ufffd")
    .replace(/[&<>"']/g, (char) => ENTITIES[char] ?? "");
}

/**
 * Data for a `<script type="application/json">` element: no character in it can end the element or
 * begin a comment.
 */
export function escapeJson(data: unknown): string {
  return JSON.stringify(data).replace(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Text as one segment of a link to this page: what separates options is encoded too. */
export function escapeUrl(text: string): string {
  return encodeURIComponent(text).replace(/'/g, "%27");
}
