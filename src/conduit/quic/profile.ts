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
  /** Its connections carry streams of many clients: none of them may use up what others need. */
  readonly isShared: boolean;
  /** What the transport made of it; null = nothing yet. Only the transport touches it. */
  made: unknown = null;

  private constructor(bind: QuicBindSpec | null, server: QuicServerSpec | null, isShared: boolean) {
    this.isServer = bind !== null;
    this.bind = bind;
    this.server = server;
    this.isShared = isShared;
  }

  static ofBind(spec: QuicBindSpec): QuicProfile {
    return new QuicProfile(spec, null, false);
  }

  static ofServer(spec: QuicServerSpec): QuicProfile {
    return new QuicProfile(null, spec, true);
  }

  /** Of connections that are one client's alone: its session's. */
  static ofSession(spec: QuicServerSpec): QuicProfile {
    return new QuicProfile(null, spec, false);
  }
}
