/**
 * Checks that need the whole configuration: names that rules refer to, identifiers, and HAProxy's
 * warnings about sections that will not work as meant. They only report.
 */
import { GUID_LENGTH_MAX, PROXIES_MAX, SERVERS_MAX } from "../base/limits.ts";
import { listReferences } from "../expr/parse.ts";
import type { Condition, LogFormat, SampleExpression } from "../tables/expression.ts";
import { TIME_UNSET } from "../tables/spec.ts";
import type { Origin } from "../tables/spec.ts";
import { settleChecks } from "./checks/settle.ts";
import type { LoadContext } from "./context.ts";
import { hasBack, hasFront, titleOf } from "./draft.ts";
import type { ProxyDraft, ServerDraft } from "./draft.ts";
import { checkEmailAlert } from "./mailers.ts";
import { checkNames } from "./names/check.ts";
import { isService } from "./names/words.ts";
import { checkQuic } from "./quic/checks.ts";
import { checkTracking } from "./tracking.ts";

/** Runs all checks. May drop a default backend or rule whose target is skipped on request. */
export function checkDrafts(context: LoadContext): void {
  const loaded = context.proxies.filter((proxy) => proxy.skipped === undefined);
  for (const proxy of loaded) {
    // What does not start may refer to what is not there.
    if (proxy.settings.disabled) continue;
    checkTargets(context, proxy);
    checkReferences(context, proxy);
    settleChecks(context, proxy);
    checkTracking(context, proxy);
    checkUse(context, proxy);
    checkNames(context, proxy);
    checkEmailAlert(context.report, context.mailers, proxy);
  }
  const pages = context.proxies.filter((proxy) => proxy.skipped === "page");
  for (const page of pages) if (!page.settings.disabled) checkPage(context, page);
  checkQuic(context, loaded, pages);
  checkGuids(context, [...loaded, ...pages]);
  checkLimits(context, loaded);
}

/** The shared tables hold only so many. */
function checkLimits(context: LoadContext, proxies: readonly ProxyDraft[]): void {
  const servers = proxies.reduce((sum, proxy) => sum + proxy.servers.length, 0);
  const check = (count: number, max: number, what: string): void => {
    if (count <= max) return;
    const text = `${count} ${what} are more than the ${max} that this program can hold.`;
    context.report.add("alert", undefined, text);
  };
  check(proxies.length, PROXIES_MAX, "proxies");
  check(servers, SERVERS_MAX, "servers");
}

type Target = { name: string; origin: Origin };

/** `default_backend` and `use_backend`. */
function checkTargets(context: LoadContext, proxy: ProxyDraft): void {
  if (!hasFront(proxy.section)) return;
  const { settings } = proxy;
  const { defaultBackend } = settings;
  if (
    defaultBackend !== undefined &&
    !isUsable(context, proxy, "default_backend", defaultBackend)
  ) {
    delete settings.defaultBackend;
  }
  proxy.useBackends = proxy.useBackends.filter(({ backend, origin }) => {
    if (backend.kind === "dynamic") return true;
    return isUsable(context, proxy, "use_backend", { name: backend.name, origin });
  });
}

function isUsable(context: LoadContext, proxy: ProxyDraft, word: string, target: Target): boolean {
  const found = context.proxiesNamed(target.name).find((other) => hasBack(other.section));
  const { file, line } = target.origin;
  if (found === undefined) {
    const text = `Proxy '${proxy.name}': unable to find required ${word}: '${target.name}'`;
    context.report.add("alert", target.origin, `[${file}:${line}] : ${text}.`);
    return false;
  }
  if (found.skipped === undefined) return true;
  const mode = found.settings.mode;
  const what = `${titleOf(proxy)} : '${word} ${target.name}' (a backend in 'mode ${mode}')`;
  context.coming(target.origin, what, "this rule");
  return false;
}

/** A page: what its conditions name, and what would keep it from working as meant. */
function checkPage(context: LoadContext, proxy: ProxyDraft): void {
  const { page, settings, origin } = proxy;
  const { stats } = settings;
  const plain = [...page.monitorFail, ...(stats?.admin ?? [])];
  const rules = [
    ...plain.map((condition) => ({ condition, origin })),
    ...page.rules,
    ...(stats?.rules ?? []),
  ];
  for (const rule of rules) {
    const samples = conditionSamples(rule.condition);
    for (const sample of samples) checkSample(context, proxy, sample, rule.origin);
  }
  const hasLogin = stats !== undefined && (stats.users.length > 0 || stats.hasRealm);
  if (hasLogin && stats.rules.length > 0) {
    const text = "stats 'auth'/'realm' and 'http-request' can't be used at the same time.";
    context.report.add("alert", origin, `${titleOf(proxy)}: ${text}`);
  }
  checkBinds(context, proxy);
  checkTimeouts(context, proxy, titleOf(proxy));
}

/** Proxies and servers that samples and `use-server` name. */
function checkReferences(context: LoadContext, proxy: ProxyDraft): void {
  const { settings, origin } = proxy;
  const checkAll = (samples: readonly SampleExpression[], where: Origin): void => {
    for (const sample of samples) checkSample(context, proxy, sample, where);
  };
  for (const rule of proxy.useBackends) {
    if (rule.backend.kind === "dynamic") checkAll(samplesOf(rule.backend.format), rule.origin);
    checkAll(conditionSamples(rule.condition), rule.origin);
  }
  for (const rule of proxy.useServers) {
    checkAll(conditionSamples(rule.condition), rule.origin);
    if (proxy.serversByName.has(rule.server)) continue;
    const text = `unable to find server '${rule.server}' referenced in a 'use-server' rule.`;
    context.report.alertAt(rule.origin, text);
  }
  if (settings.balance.sample !== undefined) checkAll([settings.balance.sample], origin);
  const { logFormat, errorLogFormat, uniqueIdFormat } = settings;
  for (const format of [logFormat, errorLogFormat, uniqueIdFormat]) {
    if (format !== undefined) checkAll(samplesOf(format), settings.logFormatOrigin ?? origin);
  }
}

function samplesOf(format: LogFormat): SampleExpression[] {
  return format.parts.flatMap((part) => (part.kind === "sample" ? [part.sample] : []));
}

function conditionSamples(condition: Condition | undefined): SampleExpression[] {
  const terms = condition?.anyOf.flatMap((all) => all.terms) ?? [];
  return terms.flatMap((term) => term.acl.tests.map((test) => test.sample));
}

function checkSample(
  context: LoadContext,
  proxy: ProxyDraft,
  sample: SampleExpression,
  origin: Origin,
): void {
  if (sample.fetch.name === "quic_enabled") context.asksForQuic = true;
  for (const reference of listReferences(sample)) {
    const name = reference.proxy === "" ? proxy.name : reference.proxy;
    const side = reference.kind === "frontend" ? hasFront : hasBack;
    const found = context.proxiesNamed(name).find((other) => side(other.section));
    const isServer = reference.kind === "server";
    const hasServer = found?.serversByName.has(reference.server) ?? false;
    const isKnown = found !== undefined && (!isServer || hasServer || found.skipped !== undefined);
    if (isKnown) continue;
    const written = isServer ? `${name}/${reference.server}` : name;
    const where = `referenced in arg 1 of sample fetch keyword '${reference.fetch}'`;
    const text = `unable to find ${reference.kind} '${written}' ${where} in proxy '${proxy.name}'.`;
    context.report.alertAt(origin, text);
  }
}

const ANY_HOSTS = ["0.0.0.0", "::"];

/**
 * True when a check of the server's own address has a port to go to. An address of zeros, which
 * stands for the one that the client wanted, needs none in HAProxy either: its check fails.
 */
export function hasPort(server: ServerDraft): boolean {
  const { address, settings } = server;
  const isAny = address.kind === "ip" && ANY_HOSTS.includes(address.host);
  if (isAny && settings.checkAddress === undefined) return true;
  if (address.kind !== "ip" && address.kind !== "name") return true;
  // Its records say the port.
  if (isService(server)) return true;
  return address.portMode === "fixed" && address.portLow > 0;
}

/** Warnings about sections that load and will not do what they seem to. */
function checkUse(context: LoadContext, proxy: ProxyDraft): void {
  const { report } = context;
  const { settings, origin } = proxy;
  const title = titleOf(proxy);
  const isFront = hasFront(proxy.section);
  if (isFront) checkBinds(context, proxy);
  if (isFront && settings.logFormatKind === "httplog" && settings.logFormatOrigin !== undefined) {
    const text = `'option httplog' not usable with ${title} (needs 'mode http').`;
    report.warnAt(settings.logFormatOrigin, `${text} Falling back to 'option tcplog'.`);
  }
  if (isFront && settings.logFormatKind !== "default" && !hasLogTarget(context, proxy)) {
    report.add("warning", origin, `log format ignored for ${title} since it has no log address.`);
  }
  checkTimeouts(context, proxy, title);
}

function checkBinds({ report }: LoadContext, proxy: ProxyDraft): void {
  if (proxy.binds.length > 0 || proxy.hasBrokenBind) return;
  const advice = "Please declare it as a backend if this was intended.";
  const text = `${titleOf(proxy)} has no 'bind' directive. ${advice}`;
  report.add("warning", proxy.origin, text);
}

function hasLogTarget(context: LoadContext, proxy: ProxyDraft): boolean {
  return proxy.settings.logs.some((log) => log.kind === "target" || context.global.logs.length > 0);
}

function checkTimeouts(context: LoadContext, proxy: ProxyDraft, title: string): void {
  const { timeouts } = proxy.settings;
  const isSet = (ms: number): boolean => ms !== TIME_UNSET;
  const missesFront = hasFront(proxy.section) && !isSet(timeouts.client);
  const hasServers = hasBack(proxy.section) && proxy.servers.length > 0;
  const serverSide = isSet(timeouts.connect) && (isSet(timeouts.server) || isSet(timeouts.tunnel));
  if (!missesFront && (!hasServers || serverSide)) return;
  context.report.add(
    "warning",
    proxy.origin,
    `missing timeouts for ${title}.\n` +
      "   | Without them a connection that falls silent is kept for ever. Set all of these\n" +
      "   | timeouts to a non-zero value: 'client', 'connect', 'server'.",
  );
}

/** Global identifiers: letters, digits and `-_:.`, each used once. */
function checkGuids(context: LoadContext, proxies: readonly ProxyDraft[]): void {
  const holders = new Map<string, string>();
  const check = (guid: string | undefined, holder: string, origin: Origin): void => {
    if (guid === undefined) return;
    const wrong = wrongGuid(guid);
    const other = holders.get(guid);
    if (wrong !== undefined) {
      context.report.alertAt(origin, `'guid' : ${wrong}`);
    } else if (other !== undefined) {
      context.report.alertAt(origin, `'guid' : duplicate entry '${guid}', used by ${other}.`);
    } else {
      holders.set(guid, holder);
    }
  };
  for (const proxy of proxies) {
    check(proxy.guid, titleOf(proxy), proxy.guidOrigin ?? proxy.origin);
    for (const bind of proxy.binds) {
      if (bind.guid === undefined) continue;
      const { configAddress, guid } = bind;
      const isRange = configAddress.kind === "ip" || configAddress.kind === "name";
      // One listener, and so one identifier, for each port of a range.
      const last = isRange ? configAddress.portHigh - configAddress.portLow : 0;
      for (let index = 0; index <= last; index++) {
        check(`${guid}-${index}`, `'bind ${bind.text}' of ${titleOf(proxy)}`, bind.origin);
      }
    }
    for (const server of proxy.servers) {
      check(server.guid, `server '${proxy.name}/${server.name}'`, server.origin);
    }
  }
}

/** What is wrong with the shape of a global identifier; undefined = nothing. */
export function wrongGuid(guid: string): string | undefined {
  if (guid === "") return "the value is empty.";
  const bad = /[^A-Za-z0-9_:.-]/u.exec(guid)?.[0];
  if (bad !== undefined) return `invalid character '${bad}' in '${guid}'.`;
  if (guid.length <= GUID_LENGTH_MAX) return undefined;
  return `'${guid}' is longer than ${GUID_LENGTH_MAX} characters.`;
}
