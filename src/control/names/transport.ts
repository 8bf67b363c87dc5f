/**
 * How messages reach name servers: UDP ports that are connected to one server, so that the kernel
 * drops what others send, and TCP connections. What tests and simulations replace. Main thread.
 */
import type { Address } from "../../tables/spec.ts";

/** An IP address and port. */
export type Endpoint = Extract<Address, { family: "ipv4" | "ipv6" }>;

/** What a port or connection tells. Nothing is told before the opening call has returned. */
export type WireEars = {
  /** A UDP message as it came, or any piece of a TCP stream. The bytes are the caller's. */
  onData(bytes: Buffer): void;
  /** TCP: it is up. */
  onOpen?(): void;
  /** It cannot be used any more; UDP: it could not be opened. */
  onClose(): void;
};

/** A UDP port or a TCP connection. */
export type Wire = {
  /**
   * UDP: one message; false: it could not be sent. TCP: only after `onOpen`; false: the connection
   * is closed, and nothing is told any more.
   */
  send(bytes: Buffer): boolean;
  /** Nothing is told any more. */
  close(): void;
};

/** Where ports and connections come from. */
export type Transport = {
  /** A port that nobody has used just before. What is sent before it is open goes out then. */
  openUdp(to: Endpoint, ears: WireEars): Wire;
  openTcp(to: Endpoint, ears: WireEars): Wire;
  /** Can addresses of the public IPv6 be reached, as far as routes say? */
  hasIpv6(): Promise<boolean>;
};
