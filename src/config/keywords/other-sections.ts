/**
 * Sections that are neither `global` nor proxies (HAProxy manual 5.3.2, 6, 10 to 12), with the
 * words that may stand in them. Those that are not done are left out as a whole.
 */
import type { Origin } from "../../tables/spec.ts";
import { openHealthcheck } from "../checks/healthcheck-section.ts";
import type { Line, LoadContext } from "../context.ts";
import { openMailers } from "../mailers.ts";
import { openResolvers } from "../names/section.ts";
import type { ShortRow } from "./build.ts";
import type { KeywordState } from "./keyword.ts";

/** A section that is being read. */
export type OpenedSection = {
  /** One line of it: `keyword` is its first word, one of the section's, `args` all the others. */
  line(line: Line): void;
  /** The section ends here. */
  end?(): void;
};

/**
 * Begins a section that is done. Undefined: its own line was refused, which is reported; its lines
 * are only looked at for words that nobody knows.
 * @param args what stands behind the section's word
 */
export type OpenSection = (
  context: LoadContext,
  args: readonly string[],
  origin: Origin,
) => OpenedSection | undefined;

/** A kind of section, what sluice does about it, and its words. */
export type OtherSection = {
  name: string;
  args: string;
  effect: string;
  reference: string;
  words: readonly ShortRow[];
} & ({ state: "done"; open: OpenSection } | { state: Exclude<KeywordState, "done"> });

const CHECK_RULES: readonly ShortRow[] = [
  ["http-check", "…", "A step of an HTTP check."],
  ["tcp-check", "…", "A step of a check."],
];

/** All of them. */
export const OTHER_SECTIONS: readonly OtherSection[] = [
  {
    name: "acme",
    args: "<name>",
    effect: "Gets certificates from an authority.",
    reference: "12.8",
    state: "coming",
    words: [
      ["account-key", "<file>", "Key of the account."],
      ["acme-vars", "<text>", "Texts for the DNS challenge."],
      ["bits", "<number>", "Size of keys."],
      ["challenge", "<kind>", "Kind of challenge."],
      ["challenge-ready", "<value>[,…]", "When a challenge counts as ready."],
      ["contact", "<address>", "Mail address of the account."],
      ["curves", "<name>", "Curve of keys."],
      ["directory", "<url>", "Where the authority is."],
      ["dns-delay", "<time>", "Wait for the DNS."],
      ["dns-timeout", "<time>", "Wait for the DNS."],
      ["eab-key-id", "<file>", "Outside account."],
      ["eab-mac-alg", "<name>", "Outside account."],
      ["eab-mac-key", "<file>", "Outside account."],
      ["keytype", "<kind>", "Kind of keys."],
      ["map", "<map>", "Where challenges are stored."],
      ["profile", "<name>", "Profile of the order."],
      ["provider-name", "<text>", "Name of the DNS provider."],
      ["reuse-key", "{on|off}", "Keeps the key at a renewal."],
    ],
  },
  {
    name: "cache",
    args: "<name>",
    effect: "Keeps HTTP answers.",
    reference: "6.2.1",
    state: "inert",
    words: [
      ["early-hints", "…", "Hints kept with answers."],
      ["max-age", "<seconds>", "Longest life of an answer."],
      ["max-object-size", "<bytes>", "Largest answer."],
      ["max-secondary-entries", "<number>", "Variants of an answer."],
      ["process-vary", "<on|off>", "Variants of an answer."],
      ["total-max-size", "<megabytes>", "Size of the cache."],
    ],
  },
  {
    name: "crt-store",
    args: "[<name>]",
    effect: "Names certificates for TLS listeners.",
    reference: "12.7",
    state: "inert",
    words: [
      ["crt-base", "<dir>", "Folder of certificates."],
      ["key-base", "<dir>", "Folder of keys."],
      ["load", "[crt <file>] […]", "A certificate."],
    ],
  },
  {
    name: "fcgi-app",
    args: "<name>",
    effect: "Describes a FastCGI application.",
    reference: "10.1.1",
    state: "inert",
    words: [
      ["acl", "…", "A test."],
      ["docroot", "<path>", "Folder of the application."],
      ["index", "<name>", "Script of a folder."],
      ["log-stderr", "…", "Where errors are logged."],
      ["option", "…", "Options of the protocol."],
      ["pass-header", "<name> […]", "Header to pass on."],
      ["path-info", "<regex>", "Splitting of the path."],
      ["set-param", "<name> <format>", "A parameter."],
    ],
  },
  {
    name: "healthcheck",
    args: "<name>",
    effect: "A check that servers share.",
    reference: "12.9",
    state: "done",
    open: openHealthcheck,
    words: [["type", "<kind>", "Protocol of the check."], ...CHECK_RULES],
  },
  {
    name: "http-errors",
    args: "<name>",
    effect: "A set of HTTP error pages.",
    reference: "12.4",
    state: "inert",
    words: [["errorfile", "<code> <file>", "A page."]],
  },
  {
    name: "log-forward",
    args: "<name>",
    effect: "Takes and forwards syslog messages.",
    reference: "12.6",
    state: "coming",
    words: [
      ["backlog", "<number>", "Queue of new connections."],
      ["bind", "<address> […]", "Listens for syslog over TCP."],
      ["description", "<text>", "A text."],
      ["dgram-bind", "<address> […]", "Listens for syslog over UDP."],
      ["log", "…", "Where messages go."],
      ["maxconn", "<number>", "Most connections."],
      ["option", "…", "How messages are read."],
      ["timeout", "client <time>", "Longest silence."],
    ],
  },
  {
    name: "log-profile",
    args: "<name>",
    effect: "What is logged at which moment.",
    reference: "8.3.5",
    state: "coming",
    words: [
      ["log-tag", "<text>", "Tag of syslog headers."],
      ["on", "<step> […]", "What is logged at a step."],
    ],
  },
  {
    name: "mailers",
    args: "<name>",
    effect: "Mail servers for alerts.",
    reference: "12.3",
    state: "done",
    open: openMailers,
    words: [
      ["mailer", "<name> <address>:<port>", "A mail server."],
      ["timeout", "mail <time>", "Longest delivery."],
    ],
  },
  {
    name: "peers",
    args: "<name>",
    effect: "Processes that share stick tables.",
    reference: "11.2",
    state: "coming",
    words: [
      ["bind", "<address> […]", "Where this process listens."],
      ["default-bind", "[…]", "Options of listeners."],
      ["default-server", "[…]", "Options of peers."],
      ["disabled", "", "Not used."],
      ["enabled", "", "Used."],
      ["log", "…", "Where events are logged."],
      ["peer", "<name> <address>:<port> […]", "A process."],
      ["server", "<name> <address>:<port> […]", "A process."],
      ["shards", "<number>", "Spreads keys over peers."],
      ["table", "<name> type <type> […]", "A table."],
    ],
  },
  {
    name: "program",
    args: "<name>",
    effect: "Old: a program that the master starts.",
    reference: "3.8",
    state: "coming",
    words: [
      ["command", "<command> […]", "The program."],
      ["group", "<name>", "Its group."],
      ["option", "start-on-reload", "Starts it again at a reload."],
      ["user", "<name>", "Its user."],
    ],
  },
  {
    name: "resolvers",
    args: "<name>",
    effect: "Name servers that keep server addresses up to date.",
    reference: "5.3.2",
    state: "done",
    open: openResolvers,
    words: [
      ["accepted_payload_size", "<bytes>", "Largest answer."],
      ["hold", "<status> <time>", "How long the last good answer counts after others."],
      ["nameserver", "<name> <address>[:<port>] [maxconn <number>]", "A name server."],
      ["parse-resolv-conf", "", "Takes the system's name servers."],
      ["resolve_retries", "<number>", "Tries of a question."],
      ["timeout", "{resolve|retry} <time>", "Time between questions."],
    ],
  },
  {
    name: "ring",
    args: "<name>",
    effect: "A buffer of log lines.",
    reference: "12.5",
    state: "coming",
    words: [
      ["backing-file", "<file>", "File that holds the buffer."],
      ["description", "<text>", "A text."],
      ["format", "<format>", "Shape of lines."],
      ["maxlen", "<bytes>", "Longest line."],
      ["server", "<name> <address> […]", "Where lines go."],
      ["size", "<bytes>", "Size of the buffer."],
      ["timeout", "{connect|server} <time>", "Limits of connections."],
    ],
  },
  {
    name: "traces",
    args: "",
    effect: "Debugging output of the program itself.",
    reference: "12.1",
    state: "inert",
    words: [["trace", "<source> […]", "A trace."]],
  },
  {
    name: "userlist",
    args: "<name>",
    effect: "Users for HTTP logins.",
    reference: "12.2",
    state: "inert",
    words: [
      ["group", "<name> [users <names>]", "A group."],
      ["user", "<name> […]", "A user."],
    ],
  },
];
