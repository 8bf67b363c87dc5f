/**
 * Mails about servers: `mailers` sections (HAProxy manual 12.3) and the `email-alert` lines of
 * proxies (manual 4.2), read, checked and made into the plan. Sending is control's.
 */
import { TIME_MAIL_MS } from "../base/limits.ts";
import type { EmailAlertSpec, MailersSpec, Origin } from "../tables/spec.ts";
import { LEVEL_NAMES } from "../wire/syslog.ts";
import { parseAddress } from "./address.ts";
import type { ConfigAddress } from "./address.ts";
import { alertLine, hasArgs } from "./context.ts";
import type { Line, LoadContext } from "./context.ts";
import { titleOf } from "./draft.ts";
import type { ProxyDraft } from "./draft.ts";
import type { OpenedSection } from "./keywords/other-sections.ts";
import type { Report } from "./message.ts";
import { toAddress } from "./names.ts";
import { parseTime } from "./numbers.ts";
import type { Resolved } from "./resolve.ts";
import { didYouMean } from "./suggest.ts";

/** A `mailers` section as read so far. */
export type MailersDraft = {
  name: string;
  timeoutMs: number;
  mailers: { name: string; address: ConfigAddress; written: string; origin: Origin }[];
  origin: Origin;
};

/** The level of mails where none is given. */
const LEVEL_ALERT = 1;

/** Begins a section; undefined after reporting what is wrong with its line. */
export function openMailers(
  context: LoadContext,
  args: readonly string[],
  origin: Origin,
): OpenedSection | undefined {
  const { report, mailers } = context;
  const [name = "", extra] = args;
  if (name === "") {
    report.alertAt(origin, "missing name for mailers section.");
    return undefined;
  }
  if (extra !== undefined) {
    report.alertAt(origin, `'mailers' cannot handle unexpected argument '${extra}'.`);
    return undefined;
  }
  const bad = /[^A-Za-z0-9_:.-]/u.exec(name)?.[0];
  if (bad !== undefined) {
    report.alertAt(origin, `character '${bad}' is not permitted in 'mailers' name '${name}'.`);
    return undefined;
  }
  const same = mailers.find((other) => other.name === name);
  if (same !== undefined) {
    const where = `${same.origin.file}:${same.origin.line}`;
    const text = `mailers section '${name}' has the same name as another mailers section`;
    report.alertAt(origin, `${text} declared at ${where}.`);
    return undefined;
  }
  const draft: MailersDraft = { name, timeoutMs: TIME_MAIL_MS, mailers: [], origin };
  mailers.push(draft);
  return {
    line: (line) =>
      line.keyword === "mailer" ? readMailer(line, draft) : readTimeout(line, draft),
  };
}

/** `mailer <name> <address>:<port>`. */
function readMailer(line: Line, draft: MailersDraft): void {
  const { args, origin, context } = line;
  const [name = "", written = ""] = args;
  if (!hasArgs(line, 2, 2, "<name> and <addr>[:<port>] as arguments")) return;
  const subject = `'mailer ${name}'`;
  if (draft.mailers.some((mailer) => mailer.name === name)) {
    alertLine(line, `${subject} : name already used in this section.`);
    return;
  }
  const address = parseAddress(written, {
    port: "mandatory",
    range: false,
    offset: false,
    transports: ["stream"],
    variables: context.environment.lookup,
  });
  if (!address.ok) {
    if (address.coming === true) context.coming(origin, subject, "this mailer");
    else alertLine(line, `${subject} : ${address.message}`);
    return;
  }
  if (address.value.kind !== "ip" && address.value.kind !== "name") {
    alertLine(line, `${subject} : TCP not supported for this address family.`);
    return;
  }
  draft.mailers.push({ name, address: address.value, written, origin });
}

/** `timeout mail <time>`. */
function readTimeout(line: Line, draft: MailersDraft): void {
  const [word, text = "", extra] = line.args;
  if (word !== "mail") {
    const got = word === undefined ? "." : ` got '${word}'.`;
    alertLine(line, `'timeout' expects 'mail' and <time> as arguments${got}`);
    return;
  }
  if (text === "") {
    alertLine(line, "'timeout mail' expects <time> as argument.");
    return;
  }
  const time = parseTime(text);
  if (!time.ok) alertLine(line, `${time.message} in 'timeout mail'`);
  else if (extra !== undefined) {
    alertLine(line, `'timeout mail' : unexpected extra argument '${extra}' after '${text}'.`);
  } else if (time.value === 0) {
    alertLine(line, "'timeout mail' has to be > 0: a mail server may never answer.");
  } else draft.timeoutMs = time.value;
}

/** Words of `email-alert` and what they set. */
const ALERT_KEYS = {
  from: "from",
  mailers: "mailers",
  myhostname: "hostName",
  to: "to",
} as const;

/** `email-alert <word> <value>` of a section or of `defaults`. */
export function parseEmailAlert(word: keyof typeof ALERT_KEYS | "level") {
  return (line: Line, { settings }: ProxyDraft): void => {
    if (!hasArgs(line, 1, 1, "one argument")) return;
    const text = line.args[0] ?? "";
    if (word === "level") {
      const level = LEVEL_NAMES.findIndex((name) => name === text);
      if (level < 0) {
        alertLine(
          line,
          `unknown log level '${text}' after 'level'${didYouMean(text, LEVEL_NAMES)}`,
        );
      } else
        settings.emailAlert = { ...settings.emailAlert, level: level as EmailAlertSpec["level"] };
      return;
    }
    const problem = word === "mailers" ? undefined : badText(text);
    if (problem !== undefined) alertLine(line, `'${line.keyword}' : ${problem}.`);
    else settings.emailAlert = { ...settings.emailAlert, [ALERT_KEYS[word]]: text };
  };
}

/** Such a text would say more to a mail server than an address or a name. */
function badText(text: string): string | undefined {
  if (text === "") return "an empty text is no address";
  const bad = /[\p{Cc}\s<>]/u.exec(text)?.[0];
  if (bad === undefined) return undefined;
  const shown = /[<>]/u.test(bad) ? `character '${bad}'` : "white space or a control character";
  return `${shown} in '${text}': an address alone is expected`;
}

/** Is all there that a mail needs? */
function isComplete(
  alert: Partial<EmailAlertSpec> | undefined,
): alert is Partial<EmailAlertSpec> & Pick<EmailAlertSpec, "from" | "to" | "mailers"> {
  return alert?.from !== undefined && alert.to !== undefined && alert.mailers !== undefined;
}

/** A section's mails, with those of its defaults; undefined where it has none. */
export function emailAlertOf(
  alert: Partial<EmailAlertSpec> | undefined,
): EmailAlertSpec | undefined {
  return isComplete(alert) ? { level: LEVEL_ALERT, ...alert } : undefined;
}

/** Does the section find what its lines name? @param mailers all sections that there are */
export function checkEmailAlert(
  report: Report,
  mailers: readonly (MailersDraft | MailersSpec)[],
  proxy: ProxyDraft,
): void {
  const { emailAlert } = proxy.settings;
  if (emailAlert === undefined) return;
  if (!isComplete(emailAlert)) {
    const words = ["from", "to", "mailers"] as const;
    const missing = words.filter((word) => emailAlert[word] === undefined);
    const list = missing.map((word) => `'email-alert ${word}'`).join(" and ");
    report.add(
      "warning",
      proxy.origin,
      `'email-alert' will be ignored for ${titleOf(proxy)}: ${list} ` +
        `${missing.length > 1 ? "are" : "is"} not there.`,
    );
    return;
  }
  const section = mailers.find(({ name }) => name === emailAlert.mailers);
  if (section === undefined) {
    const names = mailers.map(({ name }) => name);
    const hint = didYouMean(emailAlert.mailers, names);
    const text = `Proxy '${proxy.name}': unable to find mailers '${emailAlert.mailers}'${hint}.`;
    report.add("alert", proxy.origin, text);
  } else if (section.mailers.length === 0) {
    const { file, line } = section.origin;
    const text = `mailers section '${section.name}' has no mailer: mails go nowhere.`;
    report.add("warning", section.origin, `[${file}:${line}] : ${text}`, text);
  }
}

/** The sections of the plan, addresses looked up. */
export function assembleMailers(context: LoadContext, resolved: Resolved): MailersSpec[] {
  return context.mailers.map(({ name, timeoutMs, mailers, origin }) => ({
    name,
    timeoutMs,
    origin,
    mailers: mailers.flatMap((mailer) => {
      const address = toAddress(mailer.address, resolved);
      if (address !== undefined) return [{ name: mailer.name, address }];
      const text = `'mailer ${mailer.name}' : could not resolve address '${mailer.written}'`;
      context.report.alertAt(mailer.origin, text);
      return [];
    }),
  }));
}
