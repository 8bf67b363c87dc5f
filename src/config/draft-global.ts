/** The `global` section as read so far: `GlobalSpec` before names are looked up. */
import { BUFSIZE_DEFAULT } from "../base/limits.ts";
import type { GlobalSpec, ResolversSpec } from "../tables/spec.ts";
import type { LogDraft, StatsSocketDraft } from "./draft.ts";
import { newQuicTuning, newTlsDefaults } from "./quic/tuning.ts";
import type { QuicTuning, TlsDefaults } from "./quic/tuning.ts";

/** See `GlobalSpec`; `plan.ts` completes it. */
export type GlobalDraft = Omit<
  GlobalSpec,
  "logs" | "statsSockets" | "environment" | "isQuicEnabled"
> & {
  logs: LogDraft[];
  statsSockets: StatsSocketDraft[];
  localPeer: string;
  /**
   * Proxies before the first line about the runtime socket, -1 = there is none: HAProxy keeps an
   * unseen proxy for it, which takes a number, and tools count on those that follow.
   */
  runtimePlace: number;
  quic: QuicTuning;
  /** `dns-accept-family`. */
  dnsFamilies: ResolversSpec["families"];
  tls: TlsDefaults;
  /** `external-check`. */
  externalCheck: { isAllowed: boolean; preservesEnvironment: boolean };
  /** `insecure-fork-wanted`. */
  insecureFork: boolean;
  /** `unix-bind`: what every unix listener takes over. */
  unixBind: { prefix: string; mode: number; uid: number; gid: number };
};

/** Values before any file is read. @param hostName this machine's name */
export function newGlobalDraft(hostName: string): GlobalDraft {
  return {
    nbthread: 0,
    maxconn: 0,
    maxconnrate: 0,
    maxsessrate: 0,
    ulimitN: 0,
    strictLimits: true,
    daemon: false,
    quiet: false,
    zeroWarning: false,
    hardStopAfterMs: -1,
    graceMs: 0,
    node: hostName,
    description: "",
    logs: [],
    logTag: "haproxy",
    bufsize: BUFSIZE_DEFAULT,
    rcvbufClient: 0,
    rcvbufServer: 0,
    sndbufClient: 0,
    sndbufServer: 0,
    maxaccept: 4,
    spreadChecksPercent: 0,
    maxSpreadChecksMs: 0,
    statsSockets: [],
    statsTimeoutMs: 10_000,
    statsMaxconn: 10,
    noreuseport: false,
    localPeer: hostName,
    runtimePlace: -1,
    quic: newQuicTuning(),
    dnsFamilies: "auto",
    tls: newTlsDefaults(),
    externalCheck: { isAllowed: false, preservesEnvironment: false },
    insecureFork: false,
    unixBind: { prefix: "", mode: -1, uid: -1, gid: -1 },
  };
}
