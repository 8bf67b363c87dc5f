/** The `email-alert` lines of proxies (HAProxy manual 4.2). */
import { parseEmailAlert } from "../mailers.ts";
import { done, proxySections } from "./build.ts";
import type { Keyword } from "./keyword.ts";
import type { ProxyParser } from "./proxy-parsers.ts";

/** The rows. */
export const PROXY_MAIL: readonly Keyword<ProxyParser>[] = done<ProxyParser>(
  proxySections("DFLB"),
  "4.2",
  [
    ["email-alert from", "<address>", "Sender of alert mails.", parseEmailAlert("from")],
    ["email-alert level", "<level>", "Which alerts are mailed.", parseEmailAlert("level")],
    ["email-alert mailers", "<section>", "Servers for alert mails.", parseEmailAlert("mailers")],
    [
      "email-alert myhostname",
      "<name>",
      "Name of this machine to mail servers.",
      parseEmailAlert("myhostname"),
    ],
    ["email-alert to", "<address>", "Recipient of alert mails.", parseEmailAlert("to")],
  ],
);
