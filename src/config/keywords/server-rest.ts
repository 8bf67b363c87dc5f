/** Options of servers that are not done (HAProxy manual 5.2), by name. */
import { undone } from "./build.ts";
import type { Keyword } from "./keyword.ts";
import type { ServerParser } from "./server.ts";

const SERVER = ["server", "default-server"];

const INERT = undone<ServerParser>("inert", SERVER, "5.2", [
  ["cookie", "<value>", "Value of the HTTP persistence cookie."],
  ["idle-ping", "<time>", "Pings of idle HTTP/2 connections."],
  ["log-bufsize", "<size>", "Buffer of a log server."],
  ["log-proto", "<protocol>", "Framing towards a log server."],
  ["max-reuse", "<number>", "QUIC: streams after which a connection takes no more."],
  ["no-renegotiate", "", "No renegotiation of TLS."],
  ["non-stick", "", "Left out of stick tables."],
  ["pool-conn-name", "<expression>", "Name of reusable HTTP connections."],
  ["pool-low-conn", "<number>", "Idle connections that other threads leave alone."],
  ["pool-max-conn", "<number>", "QUIC: idle connections that each worker keeps; -1 = all."],
  ["pool-purge-delay", "<time>", "QUIC: pause after which half of the idle ones are closed."],
  ["quic-cc-algo", "{cubic|newreno|bbr}[(<size>)]", "Congestion control, and its window."],
  ["redir", "<prefix>", "Redirects HTTP requests to the server."],
  ["renegotiate", "", "Renegotiation of TLS."],
  ["shard", "<number>", "Share of the keys of a peer."],
  ["stick", "", "Undoes `non-stick`."],
  ["strict-maxconn", "", "What `maxconn` always means here: connections, not streams."],
  ["ws", "{auto|h1|h2}", "HTTP version of WebSockets."],
]);

const COMING = undone<ServerParser>("coming", SERVER, "5.2", [
  ["agent-addr", "<address>", "Address of the agent."],
  ["agent-check", "", "Asks an agent for weight and state."],
  ["agent-inter", "<time>", "Interval between questions to the agent."],
  ["agent-port", "<port>", "Port of the agent."],
  ["agent-send", "<text>", "Text sent to the agent."],
  ["cc", "<algorithm>", "Congestion control towards the server."],
  ["check-alpn", "<protocols>", "Protocols offered in TLS checks."],
  ["check-pool-conn-name", "<name>", "Name of the connection that checks reuse."],
  ["check-proto", "<name>", "Protocol of checks."],
  ["check-reuse-pool", "", "Checks over idle connections."],
  ["check-sni", "<name>", "Name that TLS checks ask for, and that the certificate must have."],
  ["check-sni-auto", "", "Server name in TLS checks, chosen automatically."],
  ["check-ssl", "", "Checks over TLS."],
  ["check-via-socks4", "", "Checks through a SOCKS proxy."],
  ["hash-key", "<key>", "What places the server on the hash ring."],
  ["healthcheck", "<name>", "Checks by a `healthcheck` section."],
  ["namespace", "<name>", "Connects inside a network namespace."],
  ["no-agent-check", "", "Undoes `agent-check`."],
  ["no-check-reuse-pool", "", "Undoes `check-reuse-pool`."],
  ["no-check-sni-auto", "", "Undoes `check-sni-auto`."],
  ["observe", "<mode>", "Judges the server by its real traffic."],
  ["proto", "<name>", "Forces a protocol on the connection."],
  ["set-proxy-v2-tlv-fmt()", "<format>", "Own fields in the PROXY header."],
  ["slowstart", "<time>", "Ramps the weight up after the server came back."],
  ["socks4", "<address>", "Connects through a SOCKS proxy."],
  ["tcp-md5sig", "<password>", "Signs segments (RFC 2385)."],
  ["usesrc", "<address>", "Source address that this machine does not have."],
]);

/** Undoing what cannot be switched on changes nothing. */
const TLS_UNDONE = undone<ServerParser>("inert", SERVER, "5.2", [
  ["no-check-ssl", "", "Undoes `check-ssl`."],
  ["no-sni-auto", "", "Undoes `sni-auto`."],
  ["no-ssl", "", "Undoes `ssl`."],
  ["no-ssl-reuse", "", "No reuse of TLS sessions."],
  ["no-sslv3", "", "No SSL 3.0."],
  ["no-tls-tickets", "", "No session tickets."],
  ["no-tlsv10", "", "No TLS 1.0."],
  ["no-tlsv11", "", "No TLS 1.1."],
  ["no-tlsv12", "", "No TLS 1.2."],
  ["no-tlsv13", "", "No TLS 1.3."],
  ["no-verifyhost", "", "Undoes `verifyhost`."],
]);

/** Parameters of TLS, of no use without `ssl` or `check-ssl`, which are refused by name. */
const TLS_SETTINGS = undone<ServerParser>("inert", SERVER, "5.2", [
  ["allow-0rtt", "", "Sends TLS early data."],
  ["alpn", "<protocols>", "Protocols offered in the TLS handshake."],
  ["ca-file", "<file>", "Authorities that the server's certificate must come from."],
  ["ciphers", "<list>", "Ciphers up to TLS 1.2."],
  ["ciphersuites", "<list>", "Cipher suites of TLS 1.3."],
  ["client-sigalgs", "<list>", "Signature algorithms of the own certificate."],
  ["crl-file", "<file>", "Revoked server certificates."],
  ["crt", "<file>", "Own certificate shown to the server."],
  ["curves", "<list>", "Curves for the key exchange."],
  ["force-sslv3", "", "SSL 3.0 only."],
  ["force-tlsv10", "", "TLS 1.0 only."],
  ["force-tlsv11", "", "TLS 1.1 only."],
  ["force-tlsv12", "", "TLS 1.2 only."],
  ["force-tlsv13", "", "TLS 1.3 only."],
  ["ktls", "<on|off>", "TLS in the kernel."],
  ["npn", "<protocols>", "Old protocol negotiation."],
  ["sigalgs", "<list>", "Signature algorithms."],
  ["sni", "<expression>", "Server name in the TLS handshake."],
  ["sni-auto", "", "Server name in the TLS handshake, chosen automatically."],
  ["ssl-max-ver", "<version>", "Highest TLS version."],
  ["ssl-min-ver", "<version>", "Lowest TLS version."],
  ["ssl-reuse", "", "Reuse of TLS sessions."],
  ["tls-tickets", "", "Session tickets."],
  ["verify", "<mode>", "Whether the server's certificate is verified."],
  ["verifyhost", "<name>", "Name that the certificate must have."],
]);

const TLS = undone<ServerParser>("coming", SERVER, "5.2", [
  ["ssl", "", "Speaks TLS to the server."],
]).map((row) => ({ ...row, wholeLine: true }));

/** The rows. */
export const SERVER_REST: readonly Keyword<ServerParser>[] = [
  ...INERT,
  ...COMING,
  ...TLS_UNDONE,
  ...TLS_SETTINGS,
  ...TLS,
];
