/**
 * What the catalogues of fetches and converters are made of.
 *
 * The catalogues are data: `parse.ts` checks text against them, `evaluate.ts` finds the code behind
 * a name, the documentation is generated from them. Pure, any thread.
 * Source: HAProxy configuration manual, chapter 7.3.
 */
import type { SampleType } from "../tables/expression.ts";

/**
 * `done`: works. `coming`: known, refused by name. `http`, `tls`: known, of a layer that sluice
 * does not look into, refused by name too.
 */
export type KeywordState = "done" | "coming" | "http" | "tls";

/** What an argument must look like; `…name` types are checked against the configuration later. */
export type ArgumentType =
  "str" | "sint" | "ipv4" | "ipv6" | "mask4" | "mask6" | "frontend" | "backend" | "server";

/** The words of HAProxy's messages for the argument types. */
export const ARGUMENT_TYPE_NAMES: Readonly<Record<ArgumentType, string>> = {
  str: "string",
  sint: "integer",
  ipv4: "IPv4 address",
  ipv6: "IPv6 address",
  mask4: "IPv4 mask",
  mask6: "IPv6 mask",
  frontend: "frontend",
  backend: "backend",
  server: "server",
};

/**
 * From when in a stream's life a fetch has a value.
 * `any`: always · `client`: accepted · `backend`: backend chosen · `server`: server connection
 * tried · `close`: only in logs.
 */
export type FetchScope = "any" | "client" | "backend" | "server" | "close";

/** A checked text of an argument: `undefined` or why it is wrong. */
type ArgumentCheck = (args: readonly string[]) => string | undefined;

/** Where `evaluate.ts` takes a fetch's value from. */
export type FetchSource =
  | { from: "address"; field: AddressField }
  | { from: "port"; field: AddressField }
  | { from: "text"; field: TextField }
  | { from: "integer"; field: IntegerField }
  /** A counter of a named, or without a name the current, frontend or backend. */
  | { from: "proxy"; field: ProxyField }
  | { from: "server"; field: ServerField }
  /** The HTTP request that a page answers. */
  | { from: "request"; field: RequestField }
  /** What a server has answered to a check, and a check's variables. */
  | { from: "answer"; field: AnswerField }
  | { from: "own" };

/** Addresses that a context can tell. `front`: of the real connection, before any PROXY header. */
export type AddressField =
  "client" | "destination" | "frontClient" | "frontDestination" | "backSource" | "backDestination";

/** Texts that a context can tell, named as their fetches; `ssl_c_cn` is `ssl_c_s_dn(CN)`. */
export type TextField =
  | "fe_name"
  | "be_name"
  | "srv_name"
  | "so_name"
  | "fe_defbe"
  | "hostname"
  | "fc_pp_authority"
  | "fc_pp_unique_id"
  | "fc_err_str"
  | "ssl_c_cn"
  | "ssl_c_s_dn"
  | "ssl_fc_alpn"
  | "ssl_fc_cipher"
  | "ssl_fc_protocol"
  | "ssl_fc_sni"
  | "txn.sess_term_state"
  | "unique-id";

/** Numbers and booleans (0, 1) that a context can tell, named as their fetches. */
export type IntegerField =
  | "act_conn"
  | "be_connect_timeout"
  | "be_id"
  | "be_max_retries"
  | "be_queue_timeout"
  | "be_server_timeout"
  | "be_tunnel_timeout"
  | "bc.timer.connect"
  | "bc_be_queue"
  | "bc_srv_queue"
  | "bytes_in"
  | "bytes_out"
  | "dst_conn"
  | "dst_is_local"
  | "fc.timer.handshake"
  | "fc.timer.total"
  | "fc_dst_is_local"
  | "fc_err"
  | "fc_rcvd_proxy"
  | "fc_src_is_local"
  | "fe_client_timeout"
  | "fe_id"
  | "pid"
  | "quic_enabled"
  | "req.timer.queue"
  | "res.timer.data"
  | "so_id"
  | "src_is_local"
  | "srv_id"
  | "ssl_c_used"
  | "ssl_c_verify"
  | "ssl_fc"
  | "ssl_fc_early_rcvd"
  | "ssl_fc_has_crt"
  | "ssl_fc_has_early"
  | "ssl_fc_is_resumed"
  | "stopping"
  | "thread"
  | "txn.conn_retries"
  | "txn.id32"
  | "txn.redispatched"
  | "uptime";

/** Counters of a frontend or backend, named as their fetches. */
export type ProxyField =
  | "avg_queue"
  | "be_conn"
  | "be_conn_free"
  | "be_sess_rate"
  | "connslots"
  | "fe_conn"
  | "fe_sess_rate"
  | "nbsrv"
  | "queue";

/** States and counters of a server, named as their fetches. */
export type ServerField =
  | "srv_conn"
  | "srv_conn_free"
  | "srv_is_up"
  | "srv_iweight"
  | "srv_queue"
  | "srv_sess_rate"
  | "srv_uweight"
  | "srv_weight";

/** What a request can tell. */
export type RequestField =
  | "base"
  | "header"
  | "headerAddress"
  | "headerCount"
  | "headerNumber"
  | "isHttp"
  | "method"
  | "parameter"
  | "path"
  | "pathAndQuery"
  | "query"
  | "url"
  | "version"
  | "wholeHeader";

/** What a check can tell of the answer that it looks at. */
export type AnswerField =
  | "body"
  | "bodyLength"
  | "header"
  | "headerCount"
  | "headerNumber"
  | "length"
  | "payload"
  | "payloadAfterLength"
  | "status"
  | "variable"
  | "version"
  | "wholeHeader"
  | "wholeHeaderCount";

/** Where an expression stands, which tells what it may fetch. */
export type FetchPlace = "stream" | "page" | "check";

/** One sample fetch. */
export type FetchKeyword = {
  name: string;
  /** Argument types; those from `required` on may be left out. */
  args: readonly ArgumentType[];
  required: number;
  type: SampleType;
  scope: FetchScope;
  section: string;
  state: KeywordState;
  source: FetchSource;
  check?: ArgumentCheck;
};

/** One converter. */
export type ConverterKeyword = {
  name: string;
  args: readonly ArgumentType[];
  required: number;
  /** What it takes; other types are cast to it, where a cast exists. */
  input: SampleType;
  /** What it gives; "any" = the type it got. */
  output: SampleType;
  state: KeywordState;
  check?: ArgumentCheck;
};
