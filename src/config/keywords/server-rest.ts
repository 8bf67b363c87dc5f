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
  ["cc", "<algorithm>", "Congestion control towards the server."],
  ["hash-key", "<key>", "What places the server on the hash ring."],
  ["namespace", "<name>", "Connects inside a network namespace."],
  ["proto", "<name>", "Forces a protocol on the connection."],
  ["set-proxy-v2-tlv-fmt()", "<format>", "Own fields in the PROXY header."],
  ["socks4", "<address>", "Connects through a SOCKS proxy."],
  ["tcp-md5sig", "<password>", "Signs segments (RFC 2385)."],
  ["usesrc", "<address>", "Source address that this machine does not have."],
]);

/** Undoing what cannot be switched on changes nothing. */
const TLS_UNDONE = undone<ServerParser>("inert", SERVER, "5.2", [
  ["no-sni-auto", "", "Undoes `sni-auto`."],
  ["no-ssl", "", "Undoes `ssl`."],
  ["no-ssl-reuse", "", "No reuse of TLS sessions."],
  ["no-sslv3", "", "No SSL 3.0."],
  ["no-tls-tickets", "", "No session tickets."],
  ["no-tlsv10", "", "No TLS 1.0."],
  ["no-tlsv11", "", "No TLS 1.1."],
  ["no-tlsv12", "", "No TLS 1.2."],
  ["no-tlsv13", "", "No TLS 1.3."],
]);

/** Parameters of TLS, of no use without `ssl`, which is refused by name; checks need none. */
const TLS_SETTINGS = undone<ServerParser>("inert", SERVER, "5.2", [
  ["allow-0rtt", "", "Sends TLS early data."],
  ["alpn", "<protocols>", "Protocols offered in the TLS handshake."],
  ["ciphers", "<list>", "Ciphers up to TLS 1.2."],
  ["ciphersuites", "<list>", "Cipher suites of TLS 1.3."],
  ["client-sigalgs", "<list>", "Signature algorithms of the own certificate."],
  ["crl-file", "<file>", "Revoked server certificates."],
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
