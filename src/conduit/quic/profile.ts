/**
 * Settings and TLS of one listener, or of the way to one server, as a transport takes them. Made
 * from a spec once; a transport makes of it whatever it needs at the first use and keeps it in
 * `made`. Belongs to one thread.
 */
import type { QuicBindSpec, QuicServerSpec } from "../../tables/spec.ts";

/** Settings and TLS of one side, for a transport. */
export class QuicProfile {
  readonly isServer: boolean;
  readonly bind: QuicBindSpec | null;
  readonly server: QuicServerSpec | null;
  /** What the transport made of it; null = nothing yet. Only the transport touches it. */
  made: unknown = null;

  private constructor(bind: QuicBindSpec | null, server: QuicServerSpec | null) {
    this.isServer = bind !== null;
    this.bind = bind;
    this.server = server;
  }

  static ofBind(spec: QuicBindSpec): QuicProfile {
    return new QuicProfile(spec, null);
  }

  static ofServer(spec: QuicServerSpec): QuicProfile {
    return new QuicProfile(null, spec);
  }
}
