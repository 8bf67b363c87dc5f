/**
 * How QUIC begins in a process: before the first object that speaks it, workers are told where the
 * module's functions are and the secret that they share. Main thread.
 */
import { hkdfSync, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";

import { QUIC_CHUNKS_MAX } from "../base/limits.ts";
import { Refusal } from "../base/refusals.ts";
import { problemOfBind, problemOfServer } from "../conduit/quic/native-profile.ts";
import {
  quicAddresses,
  quicModule,
  quicReason,
  SECRET_BYTES,
} from "../conduit/quic/native-quic.ts";
import type { Quic } from "../conduit/quic/native-quic.ts";
import type { Message } from "../config/message.ts";
import type { QuicSettings } from "../tables/mutations.ts";
import type { BindSpec, Plan, QuicBindSpec, QuicServerSpec, ServerSpec } from "../tables/spec.ts";
import type { Workshop } from "./build.ts";

/** Where QUIC comes from: the module, or what a test or the simulator has. */
export type QuicSource = {
  /** What workers need, made anew; or, as text, why there is none. */
  settings(): QuicSettings | string;
  /** Why certificates or settings cannot be used; "" = they can. */
  problemOfBind(spec: QuicBindSpec): string;
  problemOfServer(spec: QuicServerSpec): string;
};

/**
 * The module's. Before a chroot.
 * @param clusterSecret `cluster-secret`, undefined = a secret of this process
 * @param host tells hosts apart that have the same `cluster-secret`
 */
export function moduleQuic(clusterSecret: string | undefined, host = hostIdentity()): QuicSource {
  // A start looks twice: when files are read, and when objects are made.
  const known = new Map<string, string>();
  const look = <S>(spec: S, check: (quic: Quic, spec: S) => string): string => {
    const quic = quicModule();
    if (quic === null) return quicReason();
    const key = new Bun.CryptoHasher("sha256").update(JSON.stringify(spec)).digest("hex");
    const problem = known.get(key) ?? check(quic, spec);
    known.set(key, problem);
    return problem;
  };
  return {
    settings: () => {
      const addresses = quicAddresses();
      if (addresses === null) return quicReason();
      return { addresses, secret: makeSecret(clusterSecret, host), chunksMax: QUIC_CHUNKS_MAX };
    },
    problemOfBind: (spec) => look(spec, problemOfBind),
    problemOfServer: (spec) => look(spec, problemOfServer),
  };
}

/**
 * Hex digits; derived, so that processes of one cluster know each other's tokens and tickets.
 * Resets are those of one host: of another host's connections it could not know whether they live,
 * and would end those that do.
 */
function makeSecret(clusterSecret: string | undefined, host: string): string {
  if (clusterSecret === undefined) return randomBytes(SECRET_BYTES).toString("hex");
  const half = SECRET_BYTES / 2;
  const shared = hkdfSync("sha256", clusterSecret, "", "sluice quic", half);
  const own = hkdfSync("sha256", clusterSecret, host, "sluice quic reset", half);
  return Buffer.concat([Buffer.from(shared), Buffer.from(own)]).toString("hex");
}

/**
 * What a process and its successor have in common, and no other host or container. Not the
 * machine's identifier where it can be helped: copies of an image share that.
 */
function hostIdentity(): string {
  for (const file of ["/proc/sys/kernel/random/boot_id", "/etc/machine-id"]) {
    try {
      const text = readFileSync(file, "utf8").trim();
      if (text !== "") return `${text} ${hostname()}`;
    } catch {
      // The next one.
    }
  }
  return randomBytes(16).toString("hex");
}

/**
 * Before a listener that speaks QUIC is made: workers must be able to.
 * @throws Refusal when they are not, or its certificates cannot be used
 */
export function beginQuicListener(shop: Workshop, { quic }: BindSpec): void {
  if (quic !== undefined) begin(shop, shop.quic.problemOfBind(quic));
}

/** The same of a server that is made or changed. @throws Refusal */
export function beginQuicServer(shop: Workshop, { quic }: ServerSpec): void {
  if (quic !== undefined) begin(shop, shop.quic.problemOfServer(quic));
}

function begin({ model, log, quic }: Workshop, problem: string): void {
  if (problem !== "") throw new Refusal("BAD_ARGUMENT", `${problem}.`);
  if (model.quic !== null) return;
  const settings = quic.settings();
  if (typeof settings === "string") throw new Refusal("SYSTEM", `No QUIC: ${settings}.`);
  model.quic = settings;
  log.append({ kind: "quic", settings });
}

/** Certificates and keys of a plan that cannot be used, each as an alert at its line. */
export function quicMessages(plan: Plan, source: QuicSource): Message[] {
  const messages: Message[] = [];
  const alert = ({ file, line }: BindSpec["origin"], what: string, problem: string): void => {
    if (problem === "") return;
    const text = `parsing [${file}:${line}] : ${what} : ${problem}.`;
    messages.push({ severity: "alert", file, line, text });
  };
  for (const { binds, servers } of plan.proxies) {
    for (const { quic, origin, text } of binds) {
      if (quic !== undefined) alert(origin, `'bind ${text}'`, source.problemOfBind(quic));
    }
    for (const { quic, origin, name } of servers) {
      if (quic !== undefined) alert(origin, `'server ${name}'`, source.problemOfServer(quic));
    }
  }
  return messages;
}
