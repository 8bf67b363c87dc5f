/**
 * Checks about QUIC that need the whole configuration: whole sessions go to QUIC servers only,
 * pages do not speak HTTP/3, listeners that `tune.quic.listen off` leaves out. They only report,
 * and drop what is left out.
 */
import type { LoadContext } from "../context.ts";
import { hasBack, hasFront, isQuic, titleOf } from "../draft.ts";
import type { BindDraft, ProxyDraft, ServerDraft } from "../draft.ts";
import { wrongForSessions } from "./session-words.ts";

/**
 * Runs them.
 * @param proxies sections that proxy
 * @param pages sections that answer about the process itself
 */
export function checkQuic(
  context: LoadContext,
  proxies: readonly ProxyDraft[],
  pages: readonly ProxyDraft[],
): void {
  for (const page of pages) {
    const bind = page.binds.find(({ configAddress }) => isQuic(configAddress));
    if (bind === undefined) continue;
    const text = `'bind ${bind.text}' : ${titleOf(page)} answers HTTP/1 itself, which QUIC lacks.`;
    context.report.alertAt(bind.origin, text);
  }
  for (const proxy of proxies) {
    if (!hasFront(proxy.section) || proxy.settings.disabled) continue;
    if (!context.global.quic.isListening) leaveOut(context, proxy);
    const session = proxy.binds.find(isSession);
    if (session === undefined) continue;
    for (const target of targetsOf(context, proxy)) checkSession(context, session, target);
  }
}

/** `tune.quic.listen off`: the manual's listeners that do not listen. */
function leaveOut(context: LoadContext, proxy: ProxyDraft): void {
  for (const bind of proxy.binds) {
    if (!isQuic(bind.configAddress)) continue;
    const text = `'bind ${bind.text}' : left out, since 'tune.quic.listen' is off.`;
    context.report.warnAt(bind.origin, text);
  }
  proxy.binds = proxy.binds.filter(({ configAddress }) => !isQuic(configAddress));
}

function isSession({ configAddress, tls }: BindDraft): boolean {
  return isQuic(configAddress) && tls.map === "session";
}

/** Backends that the section may choose, as far as they are named. */
function targetsOf(context: LoadContext, proxy: ProxyDraft): Set<ProxyDraft> {
  const { defaultBackend } = proxy.settings;
  const names = proxy.useBackends.flatMap(({ backend }) =>
    backend.kind === "name" ? [backend.name] : [],
  );
  if (defaultBackend !== undefined) names.push(defaultBackend.name);
  const found = names.flatMap((name) => {
    const target = context.proxiesNamed(name).find(({ section }) => hasBack(section));
    return target === undefined ? [] : [target];
  });
  const isOwn = defaultBackend === undefined && hasBack(proxy.section);
  return new Set(isOwn ? [...found, proxy] : found);
}

/** Servers that cannot take a whole session. */
function checkSession(context: LoadContext, bind: BindDraft, target: ProxyDraft): void {
  for (const server of target.servers) {
    const sendsProxy = server.settings.sendProxy !== undefined;
    const wrong = wrongForSessions(bind, { isQuic: isQuic(server.address), sendsProxy });
    if (wrong !== undefined) alertServer(context, target, server, wrong);
  }
}

function alertServer(
  { report }: LoadContext,
  backend: ProxyDraft,
  { name, origin }: ServerDraft,
  text: string,
): void {
  const subject = `[${origin.file}:${origin.line}] : 'server ${backend.name}/${name}'`;
  report.add("alert", origin, `${subject} : ${text}`, text);
}
