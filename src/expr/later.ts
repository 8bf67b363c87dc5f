/**
 * Fetches and converters that HAProxy has and sluice knows by name only, so that a refusal can say
 * what the word is. Families are patterns, the rest a list. Any thread, read-only.
 */
import type { KeywordState } from "./keyword.ts";

/** A known word and why it is not taken. */
export type LaterKeyword = { state: Exclude<KeywordState, "done">; what: string };

type Family = { pattern: RegExp; keyword: LaterKeyword };

const words = (text: string): RegExp => {
  const escaped = text.trim().replace(/\./g, "\\.").split(/\s+/);
  return new RegExp(`^(?:${escaped.join("|")})$`);
};

const coming = (what: string): LaterKeyword => ({ state: "coming", what });
const http: LaterKeyword = { state: "http", what: "a sample of HTTP" };
const tls: LaterKeyword = { state: "tls", what: "a sample of a TLS connection that ends here" };

/** The endings of ACL keywords that carry a matching method (`hdr_beg`). */
const DERIVED = "(?:_(?:beg|dir|dom|end|len|reg|sub))?";

const HTTP_FETCHES = `base base32 baseq
  capture\\.(?:req|res)\\.(?:hdr|method|uri|ver) cook cookie cook_cnt cook_val hdr hdr_cnt hdr_ip
  hdr_val http_auth http_auth_(?:bearer|group|pass|type|user) http_first_req method meth path pathq
  query req\\.body req\\.body_(?:len|param|size) req\\.cook req\\.cook_(?:cnt|names|val) req\\.fhdr
  req\\.fhdr_cnt req\\.hdr req\\.hdr_(?:cnt|ip|names|val) req\\.hdrs req\\.hdrs_bin
  req\\.timer\\.(?:hdr|idle|tq) req\\.ver req_ver req\\.proto_http req_proto_http request_date
  res\\.body res\\.body_(?:len|size) res\\.cache_(?:hit|name) res\\.comp res\\.comp_algo res\\.cook
  res\\.cook_(?:cnt|names|val) res\\.fhdr res\\.fhdr_cnt res\\.hdr res\\.hdr_(?:cnt|ip|names|val)
  res\\.hdrs res\\.hdrs_bin res\\.timer\\.hdr res\\.ver resp_ver rep_ver scook scook_cnt scook_val
  server_status shdr shdr_cnt shdr_ip shdr_val status txn\\.status txn\\.timer\\.total url url32
  url_ip url_port urlp url_param urlp_val fe_req_rate (?:be|fe)_tarpit_timeout cur_tarpit_timeout
  internal\\.htx.* internal\\.strm\\..* bc_http_major fc_http_major`;

const FETCH_FAMILIES: readonly Family[] = [
  {
    pattern: new RegExp(`^(?:${HTTP_FETCHES.trim().split(/\s+/).join("|")})${DERIVED}$`),
    keyword: http,
  },
  { pattern: /^ssl_/, keyword: tls },
  {
    pattern: words(`distcc_body distcc_param payload payload_lv req.len req_len req.payload
      req.payload_lv req.rdp_cookie rdp_cookie req.rdp_cookie_cnt rdp_cookie_cnt req.ssl_alpn
      req.ssl_ec_ext req.ssl_hello_type req_ssl_hello_type req.ssl_sni req_ssl_sni req.ssl_st_ext
      req.ssl_ver req_ssl_ver res.len res.payload res.payload_lv res.ssl_hello_type
      rep_ssl_hello_type wait_end req.ssl_keyshare_groups req.ssl_supported_groups
      req.ssl_sigalgs req.ssl_cipherlist`),
    keyword: coming("a sample of the bytes at the start of a connection"),
  },
  {
    pattern: /^(?:sc[0-2]?_[a-z0-9_]+|table_(?:avl|cnt)|src_(?!is_local$|port$)[a-z0-9_]+)$/,
    keyword: coming("a sample of stick tables"),
  },
  { pattern: words("var dump_all_vars"), keyword: coming("a sample of variables") },
  { pattern: words("acl"), keyword: coming("a sample of named ACLs") },
  {
    pattern: words(`bc_rtt bc_rttvar fc_rtt fc_rttvar fc_fackets fc_lost fc_reordering fc_retrans
      fc_sacked fc_unacked fc_saved_syn`),
    keyword: coming("a sample of the kernel's view of a TCP connection"),
  },
  {
    pattern: words(`bc_err bc_err_name bc_err_str fc_err_name bc_glitches fc_glitches bc_nb_streams
      fc_nb_streams bc_reused bc_settings_streams_limit fc_settings_streams_limit fc_pp_tlv
      bs.aborted bs.debug_str bs.id bs.rst_code fs.aborted fs.debug_str fs.id fs.rst_code
      cur_connect_timeout cur_client_timeout cur_max_retries cur_queue_timeout cur_server_timeout
      cur_tunnel_timeout req.bytes_out res.bytes_out txn.timer.user`),
    keyword: coming("a sample of a connection's inner state"),
  },
  {
    pattern: words(`cpu_calls cpu_ns_avg cpu_ns_tot cpu_usage_grp cpu_usage_proc cpu_usage_thr
      lat_ns_avg lat_ns_tot last_entity last_rule_file last_rule_line waiting_entity term_events
      prio_class prio_offset tgroup`),
    keyword: coming("a sample of how a stream is processed"),
  },
];

const CONVERTER_FAMILIES: readonly Family[] = [
  {
    pattern: words(`51d.single capture-req capture-res da-csv-conv fix_is_valid fix_tag_value
      http_date jwt_decrypt_jwk jwt_decrypt_cert jwt_decrypt_secret jwt_header_query
      jwt_payload_query jwt_verify jwt_verify_cert language mqtt_field_value mqtt_is_valid protobuf
      rfc7239_field rfc7239_is_valid rfc7239_n2nn rfc7239_n2np rfc7239_nn rfc7239_np ungrpc
      x509_v_err_str param host_only port_only`),
    keyword: coming("a converter for a protocol of layer 7"),
  },
  { pattern: /^(?:table_[a-z0-9_]+|in_table)$/, keyword: coming("a converter of stick tables") },
  {
    pattern: /^map(?:_(?:bool|int|ip|str|beg|end|sub|reg|regm|dir|dom|len|bin|found)[a-z_]*)?$/,
    keyword: coming("a converter of maps"),
  },
  {
    pattern: words("set-var unset-var strcmp secure_memcmp add_item when"),
    keyword: coming("a converter of variables"),
  },
  { pattern: /^(?:eth|ip|tcp)\./, keyword: coming("a converter of saved SYN packets") },
  {
    pattern: words(`aes_cbc_dec aes_cbc_enc aes_gcm_dec aes_gcm_enc base2 be2dec le2dec be2hex date
      debug fe_exists has_ctl hmac json json_query ltime ms_ltime ms_utime
      us_ltime us_utime utime xxh3 xxh64`),
    keyword: coming("a converter"),
  },
];

function find(families: readonly Family[], name: string): LaterKeyword | undefined {
  return families.find((family) => family.pattern.test(name))?.keyword;
}

/** A fetch that HAProxy has and sluice has not, or undefined for a word that nobody knows. */
export function findLaterFetch(name: string): LaterKeyword | undefined {
  return find(FETCH_FAMILIES, name);
}

/** The same for converters. */
export function findLaterConverter(name: string): LaterKeyword | undefined {
  return find(CONVERTER_FAMILIES, name);
}
