/**
 * Words of server lines about names (HAProxy manual 5.2: `resolvers`, `resolve-…`), and what they
 * come to: where a server's address is from. Parsers are in the table of `keywords/server.ts`.
 */
import { formatIp, IpAddress, parseIp } from "../../base/address.ts";
import { DNS_NETS_MAX } from "../../base/limits.ts";
import type { ServerNameSpec, ServerSpec } from "../../tables/spec.ts";
import type { InitAddress, ServerDraft, ServerSettings } from "../draft.ts";

/** Nothing said about names; `resolvers` "" = none. */
export const NEW_NAMING: ServerNameSpec = {
  resolvers: "",
  prefer: "ipv6",
  nets: [],
  allowsDuplicate: false,
  ignoresWeight: false,
  preventsDuplicate: false,
};

/** `init-addr` where no line says it; a server that has `resolvers` may also start without. */
export const USUAL_INIT: readonly InitAddress[] = [{ kind: "last" }, { kind: "libc" }];

/** Sets one word. Answers what is wrong with the value. */
type NameParser = (target: { settings: ServerSettings }, value: string) => string | undefined;

function setNaming(settings: ServerSettings, more: Partial<ServerNameSpec>): void {
  settings.naming = { ...settings.naming, ...more };
}

/** `resolvers <section>`; whether there is one is looked at when all files are read. */
export const parseResolvers: NameParser = ({ settings }, value) => {
  if (value === "") return "the name of a 'resolvers' section is missing.";
  setNaming(settings, { resolvers: value });
  return undefined;
};

/** `resolve-prefer {ipv4|ipv6}`. */
export const parseResolvePrefer: NameParser = ({ settings }, value) => {
  if (value !== "ipv4" && value !== "ipv6") return "expects either ipv4 or ipv6 as argument.";
  setNaming(settings, { prefer: value });
  return undefined;
};

/** `resolve-opts <option>[,…]`: the list as a whole. */
export const parseResolveOpts: NameParser = ({ settings }, value) => {
  const options = { allowsDuplicate: false, ignoresWeight: false, preventsDuplicate: false };
  for (const word of value.split(",")) {
    if (word === "allow-dup-ip") {
      options.allowsDuplicate = true;
      options.preventsDuplicate = false;
    } else if (word === "prevent-dup-ip") {
      options.preventsDuplicate = true;
      options.allowsDuplicate = false;
    } else if (word === "ignore-weight") {
      options.ignoresWeight = true;
    } else {
      const known = "'allow-dup-ip', 'ignore-weight', and 'prevent-dup-ip'";
      return `unknown resolve-opts option '${word}', supported methods are ${known}.`;
    }
  }
  setNaming(settings, options);
  return undefined;
};

/** `resolve-net <network>[,…]`; an address alone is a network of one. */
export const parseResolveNet: NameParser = ({ settings }, value) => {
  const nets: ServerNameSpec["nets"] = [];
  for (const word of value.split(",")) {
    const net = readNet(word);
    if (net === undefined) return `invalid network '${word}'.`;
    if (nets.length === DNS_NETS_MAX) return `exceed ${DNS_NETS_MAX} networks.`;
    nets.push(net);
  }
  setNaming(settings, { nets });
  return undefined;
};

function readNet(word: string): ServerNameSpec["nets"][number] | undefined {
  const [host = "", mask, more] = word.split("/");
  const ip = new IpAddress();
  if (more !== undefined || !parseIp(host, ip) || ip.family === 0) return undefined;
  const { family } = ip;
  const bitsMax = family === 4 ? 32 : 128;
  if (mask !== undefined && !/^\d{1,3}$/u.test(mask)) return undefined;
  const bits = mask === undefined ? bitsMax : Number(mask);
  return bits > bitsMax ? undefined : { family, base: formatIp(ip), bits };
}

/** Is the server filled from SRV records: a name that begins with `_`, and `resolvers`? */
export function isService({ address, settings }: ServerDraft): boolean {
  return (
    address.kind === "name" && address.name.startsWith("_") && settings.naming.resolvers !== ""
  );
}

/** The methods of `init-addr` that count for a server, in turn. */
export function initMethods({ settings }: ServerDraft): readonly InitAddress[] {
  const { initAddresses, naming } = settings;
  const isUsual = initAddresses === USUAL_INIT;
  return isUsual && naming.resolvers !== "" ? [...initAddresses, { kind: "none" }] : initAddresses;
}

/** What a spec says about the name that a server was configured with. */
export function namePartOf(
  draft: ServerDraft,
): Pick<ServerSpec, "hostName" | "namePort" | "resolution" | "serviceName"> {
  const { address, settings } = draft;
  const { naming } = settings;
  // An address needs no name servers, but may be given a name at run time.
  if (address.kind === "ip" && naming.resolvers !== "") return { resolution: naming };
  if (address.kind !== "name") return {};
  const namePort = address.portMode === "fixed" ? address.portLow : 0;
  if (naming.resolvers === "") return { hostName: address.name, namePort };
  if (isService(draft)) return { serviceName: address.name, namePort: 0, resolution: naming };
  return { hostName: address.name, namePort, resolution: naming };
}
