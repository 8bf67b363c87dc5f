/**
 * Keywords of `global` that are not done (HAProxy manual chapter 3), by name. Tuning has a file of
 * its own, `global-tune.ts`.
 */
import { undone } from "./build.ts";
import { GLOBAL_TUNE } from "./global-tune.ts";
import type { GlobalParser } from "./global.ts";
import type { Keyword } from "./keyword.ts";

const GLOBAL = ["global"];

const INERT = undone<GlobalParser>("inert", GLOBAL, "3.1", [
  ["close-spread-time", "<time>", "Spreads the closing of idle HTTP connections."],
  ["51degrees-allow-unmatched", "{on|off}", "Device detection."],
  ["51degrees-cache-size", "<number>", "Device detection."],
  ["51degrees-data-file", "<file>", "Device detection."],
  ["51degrees-difference", "<number>", "Device detection."],
  ["51degrees-drift", "<number>", "Device detection."],
  ["51degrees-property-name-list", "[<name>…]", "Device detection."],
  ["51degrees-property-separator", "<char>", "Device detection."],
  ["51degrees-use-performance-graph", "{on|off}", "Device detection."],
  ["51degrees-use-predictive-graph", "{on|off}", "Device detection."],
  ["acme.scheduler", "{auto|off}", "Renewal of certificates."],
  ["cpu-affinity", "<affinity>", "Which processors a thread may use: the scheduler decides."],
  ["cpu-map", "<threads> <processors>…", "Ties threads to processors: the scheduler decides."],
  ["cpu-policy", "<policy>", "Which processors are used: the scheduler decides."],
  ["cpu-set", "<directive>…", "Which processors are used: the scheduler decides."],
  [
    "default-path",
    "{current|config|parent|origin <path>}",
    "Folder of relative paths: the current one.",
  ],
  ["debug", "", "Old word: messages while running."],
  ["deviceatlas-json-file", "<file>", "Device detection."],
  ["deviceatlas-log-level", "<number>", "Device detection."],
  ["deviceatlas-properties-cookie", "<name>", "Device detection."],
  ["deviceatlas-separator", "<char>", "Device detection."],
  ["h1-accept-payload-with-any-method", "", "Parsing of HTTP/1."],
  ["h1-case-adjust", "<from> <to>", "Case of header names."],
  ["h1-case-adjust-file", "<file>", "Case of header names."],
  ["h1-do-not-close-on-insecure-transfer-encoding", "", "Parsing of HTTP/1."],
  ["h2-workaround-bogus-websocket-clients", "", "WebSockets over HTTP/2."],
  ["http-err-codes", "[+-]<range>[,…]", "Statuses counted as errors."],
  ["http-fail-codes", "[+-]<range>[,…]", "Statuses counted as failures."],
  ["insecure-setuid-wanted", "", "Permits programs to raise their rights."],
  ["issuers-chain-path", "<dir>", "Folder of intermediate certificates."],
  ["jwt.decrypt_alg_list", "<list>", "Algorithms of encrypted tokens."],
  ["jwt.decrypt_enc_list", "<list>", "Algorithms of encrypted tokens."],
  ["key-base", "<dir>", "Folder of private keys."],
  ["limited-quic", "", "QUIC with a TLS library that was not made for it."],
  ["lua-prepend-path", "<path> [<type>]", "Where Lua looks for modules."],
  ["max-threads-per-group", "<number>", "Workers form one group."],
  ["mworker-max-reloads", "<number>", "Old workers that the master keeps."],
  ["ocsp-update.disable", "{on|off}", "Updates of certificate states."],
  ["ocsp-update.httpproxy", "<address>[:<port>]", "Updates of certificate states."],
  ["ocsp-update.maxdelay", "<number>", "Updates of certificate states."],
  ["ocsp-update.mindelay", "<number>", "Updates of certificate states."],
  ["ocsp-update.mode", "{on|off}", "Updates of certificate states."],
  ["pp2-never-send-local", "", "PROXY headers of checks."],
  ["prealloc-fd", "", "Grows the table of descriptors at the start."],
  ["setcap", "<name>[,…]", "Capabilities to keep when the user changes."],
  ["shm-stats-file-max-objects", "<number>", "Size of the shared counters."],
  ["ssl-default-bind-ciphers", "<list>", "TLS defaults of listeners."],
  ["ssl-default-bind-ciphersuites", "<list>", "TLS defaults of listeners."],
  ["ssl-default-bind-client-sigalgs", "<list>", "TLS defaults of listeners."],
  ["ssl-default-bind-curves", "<list>", "TLS defaults of listeners."],
  ["ssl-default-bind-sigalgs", "<list>", "TLS defaults of listeners."],
  ["ssl-default-server-ciphers", "<list>", "TLS defaults of servers."],
  ["ssl-default-server-ciphersuites", "<list>", "TLS defaults of servers."],
  ["ssl-default-server-client-sigalgs", "<list>", "TLS defaults of servers."],
  ["ssl-default-server-curves", "<list>", "TLS defaults of servers."],
  ["ssl-default-server-options", "[<option>]…", "TLS defaults of servers."],
  ["ssl-default-server-sigalgs", "<list>", "TLS defaults of servers."],
  ["ssl-dh-param-file", "<file>", "Parameters of the key exchange."],
  ["ssl-load-extra-del-ext", "", "Names of files beside certificates."],
  ["ssl-load-extra-files", "<kind>…", "Files beside certificates."],
  ["ssl-passphrase-cmd", "<command> <args>…", "Program that knows the pass phrases of keys."],
  ["ssl-propquery", "<query>", "Choice of TLS algorithms."],
  ["ssl-provider", "<name>", "Provider of TLS algorithms."],
  ["ssl-provider-path", "<dir>", "Provider of TLS algorithms."],
  ["ssl-security-level", "<number>", "Lowest strength of TLS."],
  ["ssl-skip-self-issued-ca", "", "Certificates to send."],
  ["stats bind-process", "…", "Old word about processes."],
  ["stats calculate-max-counters", "{on|off}", "Maxima are always counted."],
  ["stress-level", "<number>", "Stress tests of the program itself."],
  ["thread-group", "<group> [<threads>…]", "Workers form one group."],
  ["thread-hard-limit", "<number>", "Most threads of the program."],
  ["wurfl-cache-size", "<size>", "Device detection."],
  ["wurfl-data-file", "<file>", "Device detection."],
  ["wurfl-engine-mode", "<mode>", "Device detection."],
  ["wurfl-information-list", "[<capability>]…", "Device detection."],
  ["wurfl-information-list-separator", "<char>", "Device detection."],
  ["wurfl-patch-file", "[<file>]", "Device detection."],
  ["wurfl-useragent-priority", "<mode>", "Device detection."],
]);

/** Inert words that may follow `no`. */
const INERT_SWITCHES = undone<GlobalParser>("inert", GLOBAL, "3.1", [
  ["busy-polling", "", "Polls without sleeping."],
  ["numa-cpu-mapping", "", "Choice of processors by memory."],
  ["set-dumpable", "[on|off|libs]", "Core dumps after a change of user."],
]).map((row) => ({ ...row, invertible: true }));

const COMING = undone<GlobalParser>("coming", GLOBAL, "3.1", [
  ["harden.reject-privileged-ports.tcp", "{on|off}", "Refuses clients on low ports."],
  ["lua-load", "<file> [<args>…]", "Loads a Lua program."],
  ["lua-load-per-thread", "<file> [<args>…]", "Loads a Lua program in each thread."],
  ["master-worker", "[no-exit-on-failure]", "A master process with workers."],
  ["set-var", "<name> <expression>", "Sets a variable of the process."],
  ["set-var-fmt", "<name> <format>", "Sets a variable of the process."],
  ["shm-stats-file", "<file>", "Counters shared with other processes."],
]);

const DEBUGGING = [
  ...undone<GlobalParser>("inert", GLOBAL, "3.3", [
    ["anonkey", "<key>", "Key of anonymised dumps."],
    ["debug.counters", "{on|off}", "Counters of rare events."],
    ["force-cfg-parser-pause", "<time>", "Pause while reading, for tests."],
    ["quick-exit", "", "Exit without cleaning up."],
    ["warn-blocked-traffic-after", "<time>", "Warning about a thread that hangs."],
  ]),
  ...undone<GlobalParser>("inert", GLOBAL, "3.4", [
    ["httpclient.resolvers.disabled", "{on|off}", "The HTTP client of Lua and OCSP."],
    ["httpclient.resolvers.id", "<section>", "The HTTP client of Lua and OCSP."],
    ["httpclient.resolvers.prefer", "{ipv4|ipv6}", "The HTTP client of Lua and OCSP."],
    ["httpclient.retries", "<number>", "The HTTP client of Lua and OCSP."],
    ["httpclient.ssl.ca-file", "<file>", "The HTTP client of Lua and OCSP."],
    ["httpclient.ssl.verify", "{none|required}", "The HTTP client of Lua and OCSP."],
    ["httpclient.timeout.connect", "<time>", "The HTTP client of Lua and OCSP."],
  ]),
];

/** The rows. */
export const GLOBAL_REST: readonly Keyword<GlobalParser>[] = [
  ...INERT,
  ...INERT_SWITCHES,
  ...COMING,
  ...GLOBAL_TUNE,
  ...DEBUGGING,
];
