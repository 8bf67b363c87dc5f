/**
 * Checks of servers when the whole configuration is known: what each server is asked and over
 * which TLS, whether there is a port to ask at, and HAProxy's sentences about what cannot work.
 */
import type { CheckProgramSpec } from "../../tables/spec.ts";
import { hasPort } from "../checks.ts";
import type { LoadContext } from "../context.ts";
import { hasBack, isQuic, titleOf } from "../draft.ts";
import type { ProxyDraft, ServerDraft } from "../draft.ts";
import { didYouMean } from "../suggest.ts";
import { programOf } from "./program.ts";
import { connectsOf, settleCheckTls } from "./tls.ts";

/** Settles the servers of a section and reports what is wrong with its checks. */
export function settleChecks(context: LoadContext, proxy: ProxyDraft): void {
  if (!hasBack(proxy.section)) return;
  const { report } = context;
  warnOfUnused(context, proxy);
  requireProgram(context, proxy);
  const backend = programOf(proxy.settings.checks, context.global);
  const quic: string[] = [];
  for (const server of proxy.servers) {
    const problem = settleServer(context, server, backend);
    if (problem !== undefined) {
      const { file, line } = server.origin;
      const subject = `[${file}:${line}] : 'server ${proxy.name}/${server.name}'`;
      report.add("alert", server.origin, `${subject} : ${problem}`, problem);
    }
    if (isHandshakeOnly(server, backend)) quic.push(server.name);
  }
  if (quic.length === 0) return;
  const names = quic.map((name) => `'${name}'`).join(", ");
  const text = `${titleOf(proxy)} : checks of servers that speak QUIC are handshakes, whatever `;
  report.add("warning", proxy.origin, `${text}else is asked of the others: ${names}.`);
}

/**
 * Settles one server: `server.checks` says what its words left open.
 * @param backend the program of its backend
 * @param dynamic name of the backend of a server that comes at run time
 * @returns a sentence about what is wrong
 */
export function settleServer(
  context: LoadContext,
  server: ServerDraft,
  backend: CheckProgramSpec,
  dynamic?: string,
): string | undefined {
  const { healthcheck, check, agent } = server.settings;
  const own = healthcheck === undefined ? check.program : context.healthchecks.get(healthcheck);
  if (healthcheck !== undefined && own === undefined) {
    const hint = didYouMean(healthcheck, [...context.healthchecks.keys()]);
    return `'healthcheck' : unable to find healthcheck section '${healthcheck}'${hint}.`;
  }
  const program = own ?? backend;
  const tls = settleCheckTls(context, server, program);
  if (!tls.ok) return `${tls.message}.`;
  server.checks = { ...tls.value, ...(own === undefined ? {} : { program: own }) };
  if (agent.enabled && agent.port === 0 && check.port === 0) {
    return `server ${server.name} does not have agent port. Agent check has been disabled.`;
  }
  if (!check.enabled) return undefined;
  // At run time HAProxy takes every check for one of rules.
  const isRuled =
    dynamic !== undefined || (program.kind !== "connect" && program.kind !== "external");
  const wrong = wrongPort(server, program, isRuled);
  if (wrong === undefined || dynamic === undefined) return wrong;
  return `config: backend '${dynamic}': ${wrong}`;
}

/** Some check has no port to go to: HAProxy's sentence about why. */
function wrongPort(
  server: ServerDraft,
  program: CheckProgramSpec,
  isRuled: boolean,
): string | undefined {
  const { name, settings } = server;
  if (settings.check.port > 0 || hasPort(server)) return undefined;
  const lack = `server '${name}' has neither service port nor check port`;
  if (!isRuled) return `${lack}.`;
  const connects = connectsOf(program);
  const [first] = connects;
  if (first?.port === undefined) {
    return `${lack} nor tcp_check rule 'connect' with port information.`;
  }
  if (connects.every(({ port }) => port !== undefined)) return undefined;
  return `${lack}, and a tcp_check rule 'connect' with no port information.`;
}

/** A server of QUIC whose backend asks more than a handshake. */
function isHandshakeOnly(server: ServerDraft, backend: CheckProgramSpec): boolean {
  const { kind } = server.checks?.program ?? backend;
  const isMore = kind !== "connect" && kind !== "external";
  return isQuic(server.address) && server.settings.check.enabled && isMore;
}

function warnOfUnused({ report }: LoadContext, proxy: ProxyDraft): void {
  const { checks } = proxy.settings;
  const { kind } = checks.choice;
  const warn = (text: string): void => report.add("warning", proxy.origin, text);
  const uses = `${proxy.section} '${proxy.name}' uses`;
  if (checks.hasOwnTcp && kind !== "tcp") {
    warn(`${uses} tcp-check rules without 'option tcp-check', so the rules are ignored.`);
  }
  if (checks.hasOwnHttp && kind !== "http") {
    warn(`${uses} http-check rules without 'option httpchk', so the rules are ignored.`);
  }
  const ignored = (word: string, option: string): void => {
    warn(`'${word}' will be ignored for ${titleOf(proxy)} (requires 'option ${option}').`);
  };
  if (kind !== "connect" && kind !== "http") {
    if (checks.disableOn404) ignored("disable-on-404", "httpchk");
    if (checks.sendState) ignored("send-state", "httpchk");
  }
  if (kind === "external") return;
  if (checks.externalCommand !== undefined) ignored("external-check command", "external-check");
  if (checks.externalPath !== undefined) ignored("external-check path", "external-check");
}

/** `option external-check` runs nothing unless `global` allows it. */
function requireProgram({ report, global }: LoadContext, proxy: ProxyDraft): void {
  const { choice, externalCommand: command, externalPath: path } = proxy.settings.checks;
  if (choice.kind !== "external") return;
  const { file, line } = choice.origin;
  const subject = `Proxy '${proxy.name}' : 'option external-check'`;
  const alert = (text: string): void => {
    report.add("alert", choice.origin, `[${file}:${line}] : ${text}`, text);
  };
  if (!global.externalCheck.isAllowed) {
    alert(`${subject} unable to find required 'global.external-check'.`);
  }
  if (command === undefined) {
    alert(`${subject} unable to find required 'external-check command'.`);
  } else if (!command.startsWith("/") && path === undefined) {
    const what = `Proxy '${proxy.name}' : 'external-check command'`;
    alert(`${what} does not have a leading '/' and 'external-check path' is not set.`);
  }
  if (global.insecureFork) return;
  const what = `Proxy '${proxy.name}' : 'insecure-fork-wanted' not enabled in the global section`;
  report.add("warning", proxy.origin, `${what}, 'option external-check' will likely fail.`);
}
