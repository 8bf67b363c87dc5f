/**
 * The catalogue of sample fetches that work here (manual 7.3.2 and 7.3.3), as data.
 *
 * Names known but not built are in `later.ts`. Any thread, read-only.
 */
import type { SampleType } from "../tables/expression.ts";
import type {
  AddressField,
  ArgumentType,
  FetchKeyword,
  FetchScope,
  IntegerField,
  ProxyField,
  ServerField,
  TextField,
} from "./keyword.ts";

/** One row; what is left out: no arguments, done. */
function row(
  name: string,
  type: SampleType,
  scope: FetchScope,
  section: string,
  rest: Pick<FetchKeyword, "source"> & Partial<FetchKeyword>,
): FetchKeyword {
  return { name, type, scope, section, args: [], required: 0, state: "done", ...rest };
}

function address(name: string, scope: FetchScope, field: AddressField): FetchKeyword {
  return row(name, "addr", scope, "7.3.3", { source: { from: "address", field } });
}

function port(name: string, scope: FetchScope, field: AddressField): FetchKeyword {
  return row(name, "sint", scope, "7.3.3", { source: { from: "port", field } });
}

function text(field: TextField, scope: FetchScope, section = "7.3.3"): FetchKeyword {
  return row(field, "str", scope, section, { source: { from: "text", field } });
}

function integer(field: IntegerField, scope: FetchScope, section = "7.3.3"): FetchKeyword {
  return row(field, "sint", scope, section, { source: { from: "integer", field } });
}

function flag(field: IntegerField, scope: FetchScope, section = "7.3.3"): FetchKeyword {
  return row(field, "bool", scope, section, { source: { from: "integer", field } });
}

function proxy(field: ProxyField, side: "frontend" | "backend"): FetchKeyword {
  const source = { from: "proxy", field } as const;
  return row(field, "sint", "any", "7.3.2", { source, args: [side] });
}

function server(field: ServerField, type: SampleType = "sint"): FetchKeyword {
  const source = { from: "server", field } as const;
  return row(field, type, "any", "7.3.2", { source, args: ["server"], required: 1 });
}

function own(
  name: string,
  type: SampleType,
  args: readonly ArgumentType[],
  required: number,
  check?: FetchKeyword["check"],
): FetchKeyword {
  const rest = { source: { from: "own" } as const, args, required };
  return row(name, type, "any", "7.3.2", check === undefined ? rest : { ...rest, check });
}

/** `undefined` if `text` is an even number of hexadecimal digits, else HAProxy's sentence. */
export function checkHex(text: string): string | undefined {
  if (text.length % 2 !== 0) return "an even number of hex digit is expected";
  const wrong = /[^0-9a-fA-F]/.exec(text);
  return wrong === null ? undefined : `an hex digit is expected (found '${wrong[0]}')`;
}

function checkDateUnit(unit: string | undefined): string | undefined {
  if (unit === undefined || unit === "s" || unit === "ms" || unit === "us") return undefined;
  return `expects 's', 'ms' or 'us', got '${unit}'`;
}

function checkNameFormat(format: string | undefined): string | undefined {
  if (format === undefined || format === "" || format === "rfc2253") return undefined;
  return `only rfc2253 is supported currently, got '${format}'`;
}

function checkBool(text: string | undefined): string | undefined {
  const known = /^(true|false|0|1)$/i.test(text ?? "");
  return known ? undefined : "Expects 'true', 'false', '0' or '1'";
}

const INTERNAL: readonly FetchKeyword[] = [
  integer("act_conn", "any", "7.3.2"),
  own("always_false", "bool", [], 0),
  own("always_true", "bool", [], 0),
  proxy("avg_queue", "backend"),
  proxy("be_conn", "backend"),
  proxy("be_conn_free", "backend"),
  proxy("be_sess_rate", "backend"),
  own("bin", "bin", ["str"], 1, (args) => checkHex(args[0] ?? "")),
  own("bool", "bool", ["str"], 1, (args) => checkBool(args[0])),
  proxy("connslots", "backend"),
  own("date", "sint", ["sint", "str"], 0, (args) => checkDateUnit(args[1])),
  own("date_us", "sint", [], 0),
  own("env", "str", ["str"], 1),
  proxy("fe_conn", "frontend"),
  proxy("fe_sess_rate", "frontend"),
  text("hostname", "any", "7.3.2"),
  own("int", "sint", ["sint"], 1),
  own("ipv4", "addr", ["ipv4"], 1),
  own("ipv6", "addr", ["ipv6"], 1),
  proxy("nbsrv", "backend"),
  integer("pid", "any", "7.3.2"),
  own("proc", "sint", [], 0),
  proxy("queue", "backend"),
  flag("quic_enabled", "any", "7.3.2"),
  own("rand", "sint", ["sint"], 0),
  server("srv_conn"),
  server("srv_conn_free"),
  server("srv_is_up", "bool"),
  server("srv_iweight"),
  server("srv_queue"),
  server("srv_sess_rate"),
  server("srv_uweight"),
  server("srv_weight"),
  flag("stopping", "any", "7.3.2"),
  own("str", "str", ["str"], 1),
  integer("thread", "any", "7.3.2"),
  integer("txn.id32", "client", "7.3.2"),
  text("txn.sess_term_state", "client", "7.3.2"),
  integer("uptime", "any", "7.3.2"),
  own("uuid", "str", ["sint"], 0, (args) =>
    args[0] === undefined || args[0] === "4" || args[0] === "7"
      ? undefined
      : `Unsupported UUID version: '${args[0]}'`,
  ),
];

const LAYER4: readonly FetchKeyword[] = [
  row("accept_date", "sint", "client", "7.3.3", {
    source: { from: "own" },
    args: ["str"],
    check: (args) => checkDateUnit(args[0]),
  }),
  integer("bc.timer.connect", "server"),
  integer("bc_be_queue", "backend"),
  address("bc_dst", "server", "backDestination"),
  port("bc_dst_port", "server", "backDestination"),
  address("bc_src", "server", "backSource"),
  port("bc_src_port", "server", "backSource"),
  integer("bc_srv_queue", "server"),
  integer("be_connect_timeout", "backend"),
  integer("be_id", "backend"),
  integer("be_max_retries", "backend"),
  text("be_name", "backend"),
  integer("be_queue_timeout", "backend"),
  integer("be_server_timeout", "backend"),
  integer("be_tunnel_timeout", "backend"),
  integer("bytes_in", "client"),
  integer("bytes_out", "client"),
  address("dst", "client", "destination"),
  integer("dst_conn", "client"),
  flag("dst_is_local", "client"),
  port("dst_port", "client", "destination"),
  integer("fc.timer.handshake", "client"),
  integer("fc.timer.total", "close"),
  address("fc_dst", "client", "frontDestination"),
  flag("fc_dst_is_local", "client"),
  port("fc_dst_port", "client", "frontDestination"),
  integer("fc_err", "client"),
  text("fc_err_str", "client"),
  text("fc_pp_authority", "client"),
  text("fc_pp_unique_id", "client"),
  flag("fc_rcvd_proxy", "client"),
  address("fc_src", "client", "frontClient"),
  flag("fc_src_is_local", "client"),
  port("fc_src_port", "client", "frontClient"),
  integer("fe_client_timeout", "client"),
  text("fe_defbe", "client"),
  integer("fe_id", "client"),
  text("fe_name", "client"),
  row("req.bytes_in", "sint", "client", "7.3.3", {
    source: { from: "integer", field: "bytes_in" },
  }),
  integer("req.timer.queue", "backend", "7.3.6"),
  row("res.bytes_in", "sint", "client", "7.3.3", {
    source: { from: "integer", field: "bytes_out" },
  }),
  integer("res.timer.data", "close"),
  integer("so_id", "client"),
  text("so_name", "client"),
  address("src", "client", "client"),
  flag("src_is_local", "client"),
  port("src_port", "client", "client"),
  integer("srv_id", "server"),
  text("srv_name", "server"),
  integer("txn.conn_retries", "server"),
  flag("txn.redispatched", "server"),
  text("unique-id", "client", "7.3.6"),
];

/** TLS of the client's connection, which a QUIC listener ends here. */
const LAYER5: readonly FetchKeyword[] = [
  row("ssl_c_s_dn", "str", "client", "7.3.4", {
    source: { from: "own" },
    args: ["str", "sint", "str"],
    check: (args) => checkNameFormat(args[2]),
  }),
  flag("ssl_c_used", "client", "7.3.4"),
  integer("ssl_c_verify", "client", "7.3.4"),
  flag("ssl_fc", "client", "7.3.4"),
  text("ssl_fc_alpn", "client", "7.3.4"),
  text("ssl_fc_cipher", "client", "7.3.4"),
  flag("ssl_fc_early_rcvd", "client", "7.3.4"),
  flag("ssl_fc_has_crt", "client", "7.3.4"),
  flag("ssl_fc_has_early", "client", "7.3.4"),
  row("ssl_fc_has_sni", "bool", "client", "7.3.4", { source: { from: "own" } }),
  flag("ssl_fc_is_resumed", "client", "7.3.4"),
  text("ssl_fc_protocol", "client", "7.3.4"),
  text("ssl_fc_sni", "client", "7.3.4"),
];

/** Every fetch that works, by name. */
export const FETCHES: ReadonlyMap<string, FetchKeyword> = new Map(
  [...INTERNAL, ...LAYER4, ...LAYER5].map((keyword) => [keyword.name, keyword]),
);
