/**
 * What a plan asks for that only the native part can do: socket options, source addresses,
 * inherited descriptors. Without it such words are refused by name; nothing is left out silently.
 */
import type { BindSpec, Plan, ProxySpec, ServerSpec } from "../tables/spec.ts";

/** Each need as words for a sentence, with file and line where there are. Empty = none. */
export function nativeNeeds(plan: Plan): string[] {
  const { global } = plan;
  const needs: string[] = [];
  const sizes = [
    global.rcvbufClient,
    global.rcvbufServer,
    global.sndbufClient,
    global.sndbufServer,
  ];
  if (sizes.some((size) => size > 0)) needs.push("global : 'tune.rcvbuf.*' and 'tune.sndbuf.*'");
  if (global.noreuseport) needs.push("global : 'noreuseport'");
  for (const proxy of plan.proxies) {
    for (const bind of proxy.binds) needs.push(...bindNeeds(bind));
    for (const server of proxy.servers) needs.push(...serverNeeds(proxy, server));
    if (hasKeepaliveOptions(proxy)) needs.push(`proxy ${proxy.name} : TCP keep-alive options`);
  }
  return needs;
}

function hasKeepaliveOptions({ clientKeepalive, serverKeepalive }: ProxySpec): boolean {
  return clientKeepalive.enabled || serverKeepalive.enabled;
}

function bindNeeds(bind: BindSpec): string[] {
  const words: string[] = [];
  if (bind.address.family === "fd") words.push("fd@");
  if (bind.interfaceName !== undefined) words.push("interface");
  if (bind.transparent) words.push("transparent");
  if (bind.tfo) words.push("tfo");
  if (bind.deferAccept) words.push("defer-accept");
  if (bind.mss > 0) words.push("mss");
  if (bind.tcpUserTimeoutMs > 0) words.push("tcp-ut");
  if (bind.workers !== undefined) words.push("thread");
  if (bind.mode >= 0 || bind.uid >= 0 || bind.gid >= 0) words.push("mode/user/group");
  const { file, line } = bind.origin;
  return words.map((word) => `[${file}:${line}] : 'bind ${bind.text}' : '${word}'`);
}

function serverNeeds(proxy: ProxySpec, server: ServerSpec): string[] {
  const words: string[] = [];
  if (server.source !== undefined || proxy.source !== undefined) words.push("source");
  if (server.tfo) words.push("tfo");
  if (server.tcpUserTimeoutMs > 0) words.push("tcp-ut");
  if (server.mark !== 0) words.push("set-mark");
  if (server.tos !== 0) words.push("set-tos");
  const { file, line } = server.origin;
  return words.map((word) => `[${file}:${line}] : 'server ${server.name}' : '${word}'`);
}
