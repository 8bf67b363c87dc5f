/** Checks of names that need all files: sections that are not there, names nobody can ask for. */
import { DNS_LABEL_BYTES_MAX } from "../../base/limits.ts";
import type { LoadContext } from "../context.ts";
import { titleOf } from "../draft.ts";
import type { ProxyDraft } from "../draft.ts";
import { didYouMean } from "../suggest.ts";

/** Does each server find its `resolvers` section, and can its name be asked for? */
export function checkNames(context: LoadContext, proxy: ProxyDraft): void {
  const { report, resolvers } = context;
  for (const server of proxy.servers) {
    const { settings, address, name, origin } = server;
    const wanted = settings.naming.resolvers;
    if (wanted === "") continue;
    const isThere = wanted === "default" || resolvers.some((section) => section.name === wanted);
    if (!isThere) {
      const hint = didYouMean(
        wanted,
        resolvers.map((section) => section.name),
      );
      const what = `server '${name}': unable to find required resolvers '${wanted}'${hint}`;
      report.add("alert", origin, `${titleOf(proxy)}, ${what}`);
    } else if (address.kind === "name" && !isAskable(address.name)) {
      const { file, line } = origin;
      const text = `Can't create DNS resolution for server '${name}'`;
      const subject = `[${file}:${line}] : 'server ${proxy.name}/${name}'`;
      report.add("alert", origin, `${subject} : ${text}`, text);
    }
  }
}

/** A name that fits into a question (RFC 1035 section 2.3.4). */
function isAskable(name: string): boolean {
  return name
    .replace(/\.$/u, "")
    .split(".")
    .every((label) => label !== "" && label.length <= DNS_LABEL_BYTES_MAX);
}
