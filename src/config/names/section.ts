/**
 * `resolvers` sections (HAProxy manual 5.3.2): name servers and how long their answers count, read
 * and made into the plan. The section `default` is made of the system's name servers where no
 * section has that name. Asking them is control's (`src/control/names`).
 */
import {
  DNS_HOLD_MS,
  DNS_HOLD_VALID_MS,
  DNS_PAYLOAD_BYTES,
  DNS_PAYLOAD_BYTES_MAX,
  DNS_PAYLOAD_BYTES_MIN,
  DNS_RESOLVE_MS,
  DNS_RETRIES,
  DNS_RETRIES_MAX,
  DNS_RETRY_MS,
  RESOLV_CONF_BYTES_MAX,
} from "../../base/limits.ts";
import type { Address, Origin, ResolversSpec } from "../../tables/spec.ts";
import { parseAddress } from "../address.ts";
import type { ConfigAddress } from "../address.ts";
import { alertLine } from "../context.ts";
import type { Line, LoadContext } from "../context.ts";
import type { FileAccess } from "../files.ts";
import type { OpenedSection } from "../keywords/other-sections.ts";
import { toAddress } from "../names.ts";
import { parseInteger, parseTime } from "../numbers.ts";
import type { Resolved } from "../resolve.ts";
import { didYouMean } from "../suggest.ts";

/** Where the system keeps its name servers. */
const RESOLV_CONF = "/etc/resolv.conf";
/** The section that is always there, unless the system has no name servers. */
const DEFAULT_NAME = "default";
/** Port of DNS. */
const DNS_PORT = 53;

/** One `nameserver` line, before a name in it is looked up. */
type NameserverDraft = {
  kind: "nameserver";
  name: string;
  written: string;
  address: Extract<ConfigAddress, { kind: "ip" | "name" }>;
  isTcp: boolean;
  maxconn: number;
  origin: Origin;
};

/** A `resolvers` section as read so far; `resolv-conf` stands for the system's name servers. */
export type ResolversDraft = Omit<ResolversSpec, "nameservers" | "families"> & {
  nameservers: (NameserverDraft | { kind: "resolv-conf"; origin: Origin })[];
};

function newDraft(name: string, origin: Origin): ResolversDraft {
  return {
    name,
    nameservers: [],
    retries: DNS_RETRIES,
    payloadBytes: DNS_PAYLOAD_BYTES,
    resolveMs: DNS_RESOLVE_MS,
    retryMs: DNS_RETRY_MS,
    hold: {
      valid: DNS_HOLD_VALID_MS,
      obsolete: 0,
      nx: DNS_HOLD_MS,
      refused: DNS_HOLD_MS,
      timeout: DNS_HOLD_MS,
      other: DNS_HOLD_MS,
    },
    origin,
  };
}

/** Begins a section; undefined after reporting what is wrong with its line. */
export function openResolvers(
  context: LoadContext,
  args: readonly string[],
  origin: Origin,
): OpenedSection | undefined {
  const { report, resolvers } = context;
  const [name = "", extra] = args;
  if (name === "") {
    report.alertAt(origin, "missing name for resolvers section.");
    return undefined;
  }
  if (extra !== undefined) {
    report.alertAt(origin, `'resolvers' cannot handle unexpected argument '${extra}'.`);
    return undefined;
  }
  const bad = /[^A-Za-z0-9_:.-]/u.exec(name)?.[0];
  if (bad !== undefined) {
    report.alertAt(origin, `character '${bad}' is not permitted in 'resolvers' name '${name}'.`);
    return undefined;
  }
  const same = resolvers.find((other) => other.name === name);
  if (same !== undefined) {
    const where = `(declared at ${same.origin.file}:${same.origin.line})`;
    report.alertAt(origin, `resolvers '${name}' has same name as another resolvers ${where}.`);
    return undefined;
  }
  const draft = newDraft(name, origin);
  resolvers.push(draft);
  return {
    line: (line) => READERS[line.keyword]?.(line, draft),
    end: () => warnEmpty(context, draft),
  };
}

function warnEmpty({ report }: LoadContext, { name, nameservers, origin }: ResolversDraft): void {
  if (nameservers.length > 0) return;
  const { file, line } = origin;
  const text = `resolvers '${name}' [${file}:${line}] has no nameservers configured!`;
  report.add("warning", origin, text);
}

type Reader = (line: Line, draft: ResolversDraft) => void;

const READERS: Readonly<Record<string, Reader>> = {
  accepted_payload_size: readPayloadSize,
  hold: readHold,
  nameserver: readNameserver,
  "parse-resolv-conf": (line, { nameservers }) => {
    const extra = line.args[0];
    if (extra === undefined) nameservers.push({ kind: "resolv-conf", origin: line.origin });
    else alertLine(line, `'parse-resolv-conf' cannot handle unexpected argument '${extra}'.`);
  },
  resolve_retries: readRetries,
  timeout: readTimeout,
};

/** `nameserver <name> <address>[:<port>] [maxconn <number>]`. */
function readNameserver(line: Line, draft: ResolversDraft): void {
  const { args, origin, context } = line;
  const [name, written, ...options] = args;
  if (name === undefined || written === undefined) {
    alertLine(line, "'nameserver' expects <name> and <addr>[:<port>] as arguments.");
    return;
  }
  const same = draft.nameservers.find((other) => "name" in other && other.name === name);
  if (same !== undefined) {
    const where = `(declared at ${same.origin.file}:${same.origin.line})`;
    alertLine(line, `nameserver '${name}' has same name as another nameserver ${where}.`);
    return;
  }
  const subject = `'nameserver ${name}'`;
  const parsed = parseAddress(written, {
    port: "optional",
    range: false,
    offset: false,
    transports: ["datagram", "stream"],
    variables: context.environment.lookup,
  });
  if (!parsed.ok) {
    if (parsed.coming === true) context.coming(origin, subject, "this name server");
    else alertLine(line, `${subject} : ${parsed.message}`);
    return;
  }
  const address = parsed.value;
  if (address.kind !== "ip" && address.kind !== "name") {
    alertLine(line, `${subject} : a name server has an IP address: '${written}'`);
    return;
  }
  const isTcp = address.transport === "stream";
  const maxconn = readMaxconn(line, subject, options, isTcp);
  if (maxconn === undefined) return;
  const { nameservers } = draft;
  nameservers.push({ kind: "nameserver", name, written, address, isTcp, maxconn, origin });
}

/** Options behind the address; undefined after reporting what is wrong. */
function readMaxconn(
  line: Line,
  subject: string,
  options: readonly string[],
  isTcp: boolean,
): number | undefined {
  const [word, value, ...more] = options;
  if (word === undefined) return 0;
  if (word !== "maxconn" || !isTcp) {
    const known = isTcp ? "only 'maxconn' may follow" : "nothing may follow over UDP";
    alertLine(line, `${subject} : '${word}' is not built yet for name servers: ${known}.`);
    return undefined;
  }
  const extra = more[0];
  if (extra !== undefined) {
    alertLine(line, `${subject} : cannot handle unexpected argument '${extra}'.`);
    return undefined;
  }
  const number = parseInteger(value ?? "", 0, 2 ** 31 - 1);
  if (number.ok) return number.value;
  alertLine(line, `${subject} : 'maxconn' : ${number.message}.`);
  return undefined;
}

const HOLD_WORDS = ["valid", "obsolete", "nx", "refused", "timeout", "other"] as const;

/** `hold <status> <time>`. */
function readHold(line: Line, { hold }: ResolversDraft): void {
  const [word, text, extra] = line.args;
  if (word === undefined || text === undefined) {
    const known = "'valid', 'obsolete', 'nx', 'refused', 'timeout', or 'other'";
    const text = "'hold' expects an <event> and a <time> as arguments.";
    alertLine(line, `${text} <event> can be either ${known}`);
    return;
  }
  const status = HOLD_WORDS.find((known) => known === word);
  if (status === undefined) {
    const known = "'nx', 'refused', 'timeout', 'valid', 'obsolete' or 'other'";
    const hint = didYouMean(word, HOLD_WORDS);
    alertLine(line, `'hold' unknown <event>: '${word}', expects either ${known}${hint}.`);
    return;
  }
  const ms = readTime(line, text, `argument to <hold>`, extra);
  if (ms !== undefined) hold[status] = ms;
}

/** `timeout {resolve|retry} <time>`. */
function readTimeout(line: Line, draft: ResolversDraft): void {
  const [word, text, extra] = line.args;
  const expected = "'timeout' expects 'retry' or 'resolve' and <time> as arguments";
  if (word === undefined) return alertLine(line, `${expected}.`);
  if (word !== "resolve" && word !== "retry") {
    return alertLine(line, `${expected} got '${word}'.`);
  }
  if (text === undefined) return alertLine(line, `'timeout ${word}' expects <time> as argument.`);
  const ms = readTime(line, text, `argument to <timeout ${word}>`, extra);
  if (ms === undefined) return;
  if (word === "resolve") draft.resolveMs = ms;
  else draft.retryMs = ms;
}

function readTime(
  line: Line,
  text: string,
  where: string,
  extra: string | undefined,
): number | undefined {
  const time = parseTime(text);
  if (!time.ok) alertLine(line, `${time.message} in ${where}.`);
  else if (extra !== undefined) {
    alertLine(line, `'${line.keyword}' cannot handle unexpected argument '${extra}'.`);
  } else return time.value;
  return undefined;
}

/** `resolve_retries <number>`. */
function readRetries(line: Line, draft: ResolversDraft): void {
  const [text, extra] = line.args;
  if (text === undefined) return alertLine(line, "'resolve_retries' expects <nb> as argument.");
  const number = parseInteger(text, 1, DNS_RETRIES_MAX);
  if (!number.ok) alertLine(line, `'resolve_retries' : ${number.message}.`);
  else if (extra !== undefined) {
    alertLine(line, `'resolve_retries' cannot handle unexpected argument '${extra}'.`);
  } else draft.retries = number.value;
}

/** `accepted_payload_size <bytes>`. */
function readPayloadSize(line: Line, draft: ResolversDraft): void {
  const [text, extra] = line.args;
  if (text === undefined) {
    return alertLine(line, "'accepted_payload_size' expects <nb> as argument.");
  }
  const number = parseInteger(text, DNS_PAYLOAD_BYTES_MIN, DNS_PAYLOAD_BYTES_MAX);
  if (!number.ok) {
    const range = `between ${DNS_PAYLOAD_BYTES_MIN} and ${DNS_PAYLOAD_BYTES_MAX} inclusive`;
    alertLine(line, `'accepted_payload_size' must be ${range} (was ${text}).`);
  } else if (extra !== undefined) {
    alertLine(line, `'accepted_payload_size' cannot handle unexpected argument '${extra}'.`);
  } else draft.payloadBytes = number.value;
}

/** All sections, and `default`. @param files where the system's name servers are */
export function assembleResolvers(
  context: LoadContext,
  resolved: Resolved,
  files: FileAccess,
): ResolversSpec[] {
  const { resolvers, report, global } = context;
  const families = global.dnsFamilies;
  let system: string[] | undefined;
  const systemServers = (): string[] => (system ??= readResolvConf(files));
  const specs = resolvers.map(({ nameservers, ...rest }): ResolversSpec => {
    const servers: ResolversSpec["nameservers"] = [];
    for (const one of nameservers) {
      if (one.kind === "resolv-conf") {
        const known = new Set(servers.map(({ name }) => name));
        const hosts = systemServers().filter((host) => !known.has(host));
        if (hosts.length === 0) {
          report.warnAt(one.origin, `'parse-resolv-conf' : no name server in ${RESOLV_CONF}.`);
        }
        servers.push(...hosts.map(systemServer));
        continue;
      }
      const { name, address: written, isTcp, maxconn, origin } = one;
      const port = written.portLow === 0 ? DNS_PORT : written.portLow;
      const address = toAddress(written, resolved, port);
      if (address !== undefined) servers.push({ name, address, isTcp, maxconn });
      else {
        const text = `'nameserver ${name}' : invalid address: '${one.written}'`;
        report.alertAt(origin, text);
      }
    }
    return { ...rest, nameservers: servers, families };
  });
  if (specs.some(({ name }) => name === DEFAULT_NAME) || systemServers().length === 0) return specs;
  const { nameservers: _none, ...rest } = newDraft(DEFAULT_NAME, { file: RESOLV_CONF, line: 0 });
  return [...specs, { ...rest, nameservers: systemServers().map(systemServer), families }];
}

function systemServer(host: string): ResolversSpec["nameservers"][number] {
  const address: Address = { family: host.includes(":") ? "ipv6" : "ipv4", host, port: DNS_PORT };
  return { name: host, address, isTcp: false, maxconn: 0 };
}

/** Addresses of the system's name servers, each once; a file that cannot be read has none. */
function readResolvConf(files: FileAccess): string[] {
  const result = files.readText(RESOLV_CONF, RESOLV_CONF_BYTES_MAX);
  if (!("content" in result)) return [];
  const hosts = result.content.split("\n").flatMap((line) => {
    const [word, host = ""] = line.trim().split(/\s+/u);
    if (word !== "nameserver") return [];
    const rules = { port: "none", range: false, offset: false } as const;
    const parsed = parseAddress(host, {
      ...rules,
      transports: ["datagram"],
      variables: () => undefined,
    });
    return parsed.ok && parsed.value.kind === "ip" && host !== "" ? [parsed.value.host] : [];
  });
  return [...new Set(hosts)];
}
