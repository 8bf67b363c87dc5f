/**
 * TLS of a TCP server's checks: what its words say (HAProxy manual 5.2: `check-ssl`, `check-sni`,
 * `check-alpn`, `verify`, `ca-file`, `crt`, `verifyhost`), and the spec that it becomes once it is
 * known whether some check asks for TLS. Files are read then.
 */
import type { CheckProgramSpec, CheckSpec, CheckTlsSpec } from "../../tables/spec.ts";
import type { LoadContext } from "../context.ts";
import { isQuic } from "../draft.ts";
import type { ServerDraft } from "../draft.ts";
import { parsed, refused } from "../numbers.ts";
import type { Parsed } from "../numbers.ts";
import { SYSTEM_CA, within } from "../quic/pem.ts";

/** See the words of the same names; undefined = not said. Replaced, never changed in place. */
export type CheckTlsDraft = {
  /** `check-ssl`. */
  isOn: boolean;
  sni?: string;
  /** `check-sni-auto`: the name in the request is asked for. */
  isSniAuto: boolean;
  alpn: string[];
  verify?: CheckTlsSpec["verify"];
  caFile?: string;
  /** `no-verifyhost` is an empty one. */
  verifyHost?: string;
  crt?: string;
  /** Of a server that runs, whose settings are copied. */
  base?: CheckTlsSpec;
};

/** Before any word. */
export const NEW_CHECK_TLS: CheckTlsDraft = { isOn: false, isSniAuto: true, alpn: [] };

/** What a running server has, for one that takes after it. */
export function checkTlsOf({ tls, stepTls }: CheckSpec): CheckTlsDraft {
  const base = tls ?? stepTls;
  if (base === undefined) return NEW_CHECK_TLS;
  return { ...NEW_CHECK_TLS, isOn: tls !== undefined, base };
}

/**
 * TLS of a server's checks. Certificates that are odd are warned about.
 * @returns nothing where no check asks for it; a refusal is a sentence without its full stop
 */
export function settleCheckTls(
  context: LoadContext,
  server: ServerDraft,
  program: CheckProgramSpec,
): Parsed<Pick<CheckSpec, "tls" | "stepTls">> {
  const { checkTls } = server.settings;
  const hasTlsStep = connectsOf(program).some(({ isTls }) => isTls);
  if (isQuic(server.address) || (!checkTls.isOn && !hasTlsStep)) return parsed({});
  const spec = specOf(context, server, program);
  if (!spec.ok) return spec;
  return parsed({
    ...(checkTls.isOn ? { tls: spec.value } : {}),
    ...(hasTlsStep ? { stepTls: spec.value } : {}),
  });
}

/** The `connect` steps of a program. */
export function connectsOf(program: CheckProgramSpec) {
  const steps = program.kind === "tcp" || program.kind === "http" ? program.steps : [];
  return steps.flatMap((step) => (step.kind === "connect" ? [step] : []));
}

function specOf(
  context: LoadContext,
  server: ServerDraft,
  program: CheckProgramSpec,
): Parsed<CheckTlsSpec> {
  const { checkTls: words } = server.settings;
  const { base } = words;
  const sni = words.sni ?? base?.sni ?? (words.isSniAuto ? autoSni(program) : undefined);
  const verifyHost = words.verifyHost ?? base?.verifyHost ?? "";
  const verify = words.verify ?? base?.verify ?? context.global.tls.serverVerify;
  const authorities = readAuthorities(context, words, verify);
  if (!authorities.ok) return authorities;
  const certificate = readCertificate(context, server, words);
  if (!certificate.ok) return certificate;
  return parsed({
    ...(sni === undefined ? {} : { sni }),
    alpn: words.alpn.length === 0 ? (base?.alpn ?? []) : words.alpn,
    verify,
    ...authorities.value,
    ...(verifyHost === "" ? {} : { verifyHost }),
    ...certificate.value,
  });
}

type Authorities = Pick<CheckTlsSpec, "authorities" | "authoritiesFile">;

function readAuthorities(
  { global, pem }: LoadContext,
  { caFile, base }: CheckTlsDraft,
  verify: CheckTlsSpec["verify"],
): Parsed<Authorities> {
  if (caFile !== undefined && caFile !== SYSTEM_CA) {
    const found = pem.authorities(caFile, global.tls.caBase);
    if (!found.ok) return refused(`'ca-file' : ${found.message}`);
    return parsed({
      authorities: found.value,
      authoritiesFile: within(global.tls.caBase, caFile),
    });
  }
  if (caFile === undefined && base?.authorities !== undefined) {
    const { authorities, authoritiesFile } = base;
    return parsed({
      authorities,
      ...(authoritiesFile === undefined ? {} : { authoritiesFile }),
    });
  }
  // A process that changes its root could not find the system's authorities any more.
  const isLost = global.chroot !== undefined && verify === "required";
  return parsed(isLost ? (pem.systemAuthorities() ?? {}) : {});
}

function readCertificate(
  { global, pem, report }: LoadContext,
  server: ServerDraft,
  { crt, base }: CheckTlsDraft,
): Parsed<Pick<CheckTlsSpec, "certificate">> {
  if (crt === undefined) {
    return parsed(base?.certificate === undefined ? {} : { certificate: base.certificate });
  }
  const found = pem.certificates(crt, global.tls.crtBase);
  if (!found.ok) return refused(`'crt' : ${found.message}`);
  const [certificate, ...more] = found.value.certificates;
  if (certificate === undefined || more.length > 0) {
    return refused(`'crt' : '${crt}' : one certificate is taken`);
  }
  for (const warning of found.value.warnings) {
    report.warnAt(server.origin, `'server ${server.name}' : ${warning}`);
  }
  return parsed({ certificate });
}

/** The host that the first request names, without its port, where no `connect` rule stands. */
function autoSni(program: CheckProgramSpec): string | undefined {
  if (program.kind !== "http" || connectsOf(program).length > 0) return undefined;
  const request = program.steps.find((step) => step.kind === "http-send");
  if (request?.kind !== "http-send") return undefined;
  const host = request.headers.find(({ name }) => name.toLowerCase() === "host");
  const [part, ...more] = host?.value.parts ?? [];
  if (part?.kind !== "text" || more.length > 0) return undefined;
  const name = part.text.replace(/:\d*$/u, "");
  return /^[A-Za-z0-9_.-]{1,253}$/u.test(name) && !/^[0-9.]+$/u.test(name) ? name : undefined;
}
