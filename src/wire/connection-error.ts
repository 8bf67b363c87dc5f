/**
 * What can go wrong with a client's connection before its stream begins, with HAProxy's numbers,
 * names and sentences (manual 7.3.3, `fc_err_str`): tools parse them in error logs.
 */

/** No error. */
export const CONN_OK = 0;
/** The client closed before it sent a byte. */
export const CONN_PRX_EMPTY = 11;
/** The connection broke. */
export const CONN_PRX_ABORT = 12;
/** The client was too slow. */
export const CONN_PRX_TIMEOUT = 13;
/** The client closed in the middle. */
export const CONN_PRX_TRUNCATED = 14;
/** Something else than a header. */
export const CONN_PRX_NOT_HDR = 15;
/** A header with a mistake. */
export const CONN_PRX_BAD_HDR = 16;
/** A header for a protocol that is none of ours. */
export const CONN_PRX_BAD_PROTO = 17;

type Row = { name: string; text: string };

const ROWS: ReadonlyMap<number, Row> = new Map([
  [CONN_OK, { name: "-", text: "Success" }],
  [1, { name: "CONF_FDLIM", text: "Reached configured maxconn value" }],
  [2, { name: "PROC_FDLIM", text: "Too many sockets on the process" }],
  [3, { name: "SYS_FDLIM", text: "Too many sockets on the system" }],
  [4, { name: "SYS_MEMLIM", text: "Out of system buffers" }],
  [5, { name: "NOPROTO", text: "Protocol or address family not supported" }],
  [6, { name: "SOCK_ERR", text: "General socket error" }],
  [7, { name: "PORT_RANGE", text: "Source port range exhausted" }],
  [8, { name: "CANT_BIND", text: "Can't bind to source address" }],
  [9, { name: "FREE_PORTS", text: "Out of local source ports on the system" }],
  [10, { name: "ADDR_INUSE", text: "Local source address already in use" }],
  [
    CONN_PRX_EMPTY,
    { name: "PRX_EMPTY", text: "Connection closed while waiting for PROXY protocol header" },
  ],
  [
    CONN_PRX_ABORT,
    { name: "PRX_ABORT", text: "Connection error while waiting for PROXY protocol header" },
  ],
  [
    CONN_PRX_TIMEOUT,
    { name: "PRX_TIMEOUT", text: "Timeout while waiting for PROXY protocol header" },
  ],
  [CONN_PRX_TRUNCATED, { name: "PRX_TRUNCATED", text: "Truncated PROXY protocol header received" }],
  [
    CONN_PRX_NOT_HDR,
    {
      name: "PRX_NOT_HDR",
      text: "Received something which does not look like a PROXY protocol header",
    },
  ],
  [CONN_PRX_BAD_HDR, { name: "PRX_BAD_HDR", text: "Received an invalid PROXY protocol header" }],
  [
    CONN_PRX_BAD_PROTO,
    { name: "PRX_BAD_PROTO", text: "Received an unhandled protocol in the PROXY protocol header" },
  ],
]);

/** Sentence of an error, `fc_err_str`. */
export function connectionErrorText(code: number): string {
  return ROWS.get(code)?.text ?? "Unknown connection error";
}

/** One-word name of an error, `fc_err_name`; "" for none. */
export function connectionErrorName(code: number): string {
  return code === CONN_OK ? "" : (ROWS.get(code)?.name ?? "");
}
