/**
 * What can go wrong with a client's connection before its stream begins, with HAProxy's numbers
 * and sentences (manual 7.3.3, `fc_err_str`): tools parse them in error logs.
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

const SENTENCES: ReadonlyMap<number, string> = new Map([
  [CONN_OK, "Success"],
  [1, "Reached configured maxconn value"],
  [2, "Too many sockets on the process"],
  [3, "Too many sockets on the system"],
  [4, "Out of system buffers"],
  [5, "Protocol or address family not supported"],
  [6, "General socket error"],
  [7, "Source port range exhausted"],
  [8, "Can't bind to source address"],
  [9, "Out of local source ports on the system"],
  [10, "Local source address already in use"],
  [CONN_PRX_EMPTY, "Connection closed while waiting for PROXY protocol header"],
  [CONN_PRX_ABORT, "Connection error while waiting for PROXY protocol header"],
  [CONN_PRX_TIMEOUT, "Timeout while waiting for PROXY protocol header"],
  [CONN_PRX_TRUNCATED, "Truncated PROXY protocol header received"],
  [CONN_PRX_NOT_HDR, "Received something which does not look like a PROXY protocol header"],
  [CONN_PRX_BAD_HDR, "Received an invalid PROXY protocol header"],
  [CONN_PRX_BAD_PROTO, "Received an unhandled protocol in the PROXY protocol header"],
]);

/** Sentence of an error, `fc_err_str`. */
export function connectionErrorText(code: number): string {
  return SENTENCES.get(code) ?? "Unknown connection error";
}
