/** Samples of the client's TLS (manual 7.3.4) for a living stream. Cold. */
import type { ConnectionFacts } from "../../conduit/conduit.ts";
import type { IntegerField, TextField } from "../../expr/keyword.ts";
import type { Stream } from "../stream.ts";
import { tlsOf } from "./stream-tls.ts";

/** QUIC has this one (RFC 9001). */
const PROTOCOL = "TLSv1.3";
/** Result of a verification that went wrong for a reason that is not told. */
const NOT_VERIFIED = 1;

/** A text, undefined where there is none: no TLS, or the client did not say. */
export function tlsText(stream: Stream, field: TextField): string | undefined {
  if (!field.startsWith("ssl_")) return undefined;
  const facts = tlsOf(stream);
  return facts === null ? undefined : textOf(facts, field) || undefined;
}

function textOf(facts: ConnectionFacts, field: TextField): string {
  switch (field) {
    case "ssl_c_cn":
      return facts.commonName;
    case "ssl_c_s_dn":
      return facts.subject;
    case "ssl_fc_alpn":
      return facts.alpn;
    case "ssl_fc_cipher":
      return facts.cipher;
    case "ssl_fc_protocol":
      return PROTOCOL;
    case "ssl_fc_sni":
      return facts.sni;
    default:
      return "";
  }
}

/** A number or a boolean as 0 or 1; undefined where there is none. */
export function tlsInteger(stream: Stream, field: IntegerField): number | undefined {
  if (!field.startsWith("ssl_")) return undefined;
  const facts = tlsOf(stream);
  if (field === "ssl_fc") return facts === null ? 0 : 1;
  if (facts === null) return undefined;
  const { hasCertificate, isComplete, isEarly, isResumed, isVerified } = facts;
  switch (field) {
    case "ssl_c_used":
      return Number(hasCertificate);
    case "ssl_c_verify":
      return hasCertificate && !isVerified ? NOT_VERIFIED : 0;
    case "ssl_fc_early_rcvd":
      return Number(isEarly);
    case "ssl_fc_has_crt":
      // A resumed session keeps the certificate, which is not shown again.
      return Number(hasCertificate && !isResumed);
    case "ssl_fc_has_early":
      return Number(isEarly && !isComplete);
    case "ssl_fc_is_resumed":
      return Number(isResumed);
    default:
      return undefined;
  }
}
