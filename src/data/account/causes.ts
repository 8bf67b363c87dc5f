/**
 * Session state at disconnection, as logged: manual 8.5. Two ASCII letters in one integer,
 * cause << 8 | phase.
 */

/** Ended in order. */
export const CAUSE_NONE = 0x2d; // -
/** The client aborted. */
export const CAUSE_CLIENT = 0x43; // C
/** The server aborted or refused. */
export const CAUSE_SERVER = 0x53; // S
/** A rule, a limit or a bad header. */
export const CAUSE_PROXY = 0x50; // P
/** A resource of ours ran out. */
export const CAUSE_RESOURCE = 0x52; // R
/** Killed because its server went down. */
export const CAUSE_DOWN = 0x44; // D
/** Killed because an active server came back (backup sessions). */
export const CAUSE_UP = 0x55; // U
/** Killed by an operator. */
export const CAUSE_KILLED = 0x4b; // K
/** The client was silent too long. */
export const CAUSE_CLIENT_TIMEOUT = 0x63; // c
/** The server was silent too long. */
export const CAUSE_SERVER_TIMEOUT = 0x73; // s

/** No phase: the end is in order. */
export const PHASE_NONE = 0x2d; // -
/** Waiting for the client's header or rules. */
export const PHASE_REQUEST = 0x52; // R
/** Waiting in a queue. */
export const PHASE_QUEUE = 0x51; // Q
/** Connecting to the server. */
export const PHASE_CONNECT = 0x43; // C
/** Transferring data. */
export const PHASE_DATA = 0x44; // D
