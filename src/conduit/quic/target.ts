/**
 * Where and how to reach a QUIC server, as the data plane hands it to whoever dials: made once a
 * server, with the pool of its connections in it. A changed server gets a new target; the old one's
 * connections end with their streams.
 */
import type { QuicServerSpec } from "../../tables/spec.ts";
import { QuicProfile } from "./profile.ts";

/** A QUIC server as those who dial it see it. */
export class QuicTarget {
  readonly spec: QuicServerSpec;
  readonly profile: QuicProfile;
  private forSessions: QuicProfile | null = null;
  /** Row of the backend: what the connections count for. */
  readonly proxyRow: number;
  readonly serverRow: number;
  /** Address for which a certificate without a configured name is held to; "" for none. */
  readonly host: string;
  /** Connections of this worker; null = none yet. Only the pool's module touches it. */
  pool: unknown = null;

  constructor(spec: QuicServerSpec, proxyRow: number, serverRow: number, host: string) {
    this.spec = spec;
    this.profile = QuicProfile.ofServer(spec);
    this.proxyRow = proxyRow;
    this.serverRow = serverRow;
    this.host = host;
  }

  /** Settings of the connections that are made for one client's session each. */
  get sessionProfile(): QuicProfile {
    this.forSessions ??= QuicProfile.ofSession(this.spec);
    return this.forSessions;
  }
}
