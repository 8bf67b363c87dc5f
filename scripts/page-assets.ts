/**
 * The script and the style of the statistics page as they are sent: bundled from `src/page/client`
 * into two texts that are part of the program. scripts/generate writes them.
 */
import { join } from "node:path";

const ROOT = join(import.meta.dir, "..");

/** What is made of what. */
const ASSETS = [
  { from: "src/page/client/main.ts", to: "src/page/generated/client.txt" },
  { from: "src/page/client/style.css", to: "src/page/generated/style.txt" },
] as const;

/** The texts. @throws Error when the bundler refuses, or a text could end the element it is in */
export async function generatePageAssets(): Promise<{ path: string; content: string }[]> {
  const made: { path: string; content: string }[] = [];
  for (const { from, to } of ASSETS) {
    const built = await Bun.build({
      entrypoints: [join(ROOT, from)],
      target: "browser",
      format: "iife",
      minify: true,
    });
    const content = (await built.outputs[0]?.text()) ?? "";
    if (content === "") throw new Error(`${from}: the bundler made nothing`);
    if (/<\/(?:script|style)|<!--/i.test(content)) throw new Error(`${from}: ends its own element`);
    made.push({ path: to, content: content.trimEnd() });
  }
  return made;
}
