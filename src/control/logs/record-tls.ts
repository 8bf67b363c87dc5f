/**
 * Samples of the client's TLS (manual 7.3.4) from a record of the log ring. Texts that were longer
 * than their room end in CUT. Control thread.
 */
import type { IntegerField, TextField } from "../../expr/keyword.ts";
import {
  LOG_TLS_ALPN_CUT,
  LOG_TLS_CERTIFICATE,
  LOG_TLS_EARLY,
  LOG_TLS_NAME_CUT,
  LOG_TLS_ON,
  LOG_TLS_RESUMED,
  LOG_TLS_SNI_CUT,
  LOG_TLS_UNFINISHED,
  LOG_TLS_VERIFIED,
} from "../../tables/generated/enums.ts";
import * as log from "../../tables/generated/stream-log.ts";
import { getText } from "../../tables/log-text.ts";
import { cipherName } from "../../wire/cipher-suite.ts";

/** Marks a text that was cut. */
const CUT = "...";
const PROTOCOL = "TLSv1.3";
const NOT_VERIFIED = 1;

/** A text; undefined where there is none. */
export function recordTlsText(
  words: Int32Array,
  row: number,
  field: TextField,
): string | undefined {
  const flags = words[row + log.STREAM_LOG_TLS_FLAGS]!;
  if ((flags & LOG_TLS_ON) === 0) return undefined;
  const text = (at: number, cut: number): string | undefined => {
    const found = getText(words, row + at);
    return (flags & cut) === 0 ? found || undefined : found + CUT;
  };
  switch (field) {
    case "ssl_c_cn":
      return text(log.STREAM_LOG_COMMON_NAME, LOG_TLS_NAME_CUT);
    case "ssl_fc_alpn":
      return text(log.STREAM_LOG_ALPN, LOG_TLS_ALPN_CUT);
    case "ssl_fc_cipher":
      return cipherName(words[row + log.STREAM_LOG_TLS_CIPHER]!);
    case "ssl_fc_protocol":
      return PROTOCOL;
    case "ssl_fc_sni":
      return text(log.STREAM_LOG_SNI, LOG_TLS_SNI_CUT);
    default:
      return undefined;
  }
}

/**
 * A number, or a boolean as 0 or 1; undefined where there is none.
 * @param flags LOG_TLS_* bits of the record
 */
export function recordTlsInteger(flags: number, field: IntegerField): number | undefined {
  const has = (wanted: number): number => ((flags & wanted) === wanted ? 1 : 0);
  if (field === "ssl_fc") return has(LOG_TLS_ON);
  if ((flags & LOG_TLS_ON) === 0) return undefined;
  switch (field) {
    case "ssl_c_used":
      return has(LOG_TLS_CERTIFICATE);
    case "ssl_c_verify":
      return has(LOG_TLS_CERTIFICATE) > has(LOG_TLS_VERIFIED) ? NOT_VERIFIED : 0;
    case "ssl_fc_early_rcvd":
      return has(LOG_TLS_EARLY);
    case "ssl_fc_has_crt":
      return has(LOG_TLS_CERTIFICATE) & (1 - has(LOG_TLS_RESUMED));
    case "ssl_fc_has_early":
      return has(LOG_TLS_EARLY | LOG_TLS_UNFINISHED);
    case "ssl_fc_is_resumed":
      return has(LOG_TLS_RESUMED);
    default:
      return undefined;
  }
}
