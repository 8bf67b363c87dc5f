/**
 * The text of a mail about a server, as HAProxy writes it: the headers From, To, Date and Subject,
 * and the sentence of the log, without its full stop, as subject and as body. Pure. Recorded from
 * HAProxy (`test/conformance/mail.test.ts`).
 */
import { formatUtcOffset, MONTHS, pad2 } from "../../base/calendar.ts";

/** One mail. */
export type Mail = {
  from: string;
  to: string;
  /** What this machine calls itself (`email-alert myhostname`). */
  hostName: string;
  /** The sentence. */
  text: string;
  /** When it happened. */
  epochMs: number;
};

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"] as const;

/** Headers and body, lines ended by CR LF; dots at their begin are for the client to double. */
export function mailMessage({ from, to, text, epochMs }: Mail): string {
  const said = text.replace(/\.$/u, "");
  return [
    `From: ${from}`,
    `To: ${to}`,
    `Date: ${mailDate(new Date(epochMs))}`,
    `Subject: [HAProxy Alert] ${said}`,
    "",
    said,
    "",
    "",
  ].join("\r\n");
}

/** Local time: `Sat, 21 Nov 2026 18:56:46 +0000` (RFC 5322 section 3.3). */
export function mailDate(date: Date): string {
  const day = `${DAYS[date.getDay()]!}, ${pad2(date.getDate())} ${MONTHS[date.getMonth()]!}`;
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(pad2).join(":");
  return `${day} ${date.getFullYear()} ${time} ${formatUtcOffset(date, "")}`;
}
