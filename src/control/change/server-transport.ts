/**
 * Which transport a server is reached by after `set server … addr`: a bare address keeps it, a
 * prefix names it (`quic4@`, `tcp6@`). QUIC needs TLS words, which no address has: a server that
 * spoke QUIC before has its own again, any other those of its backend's `default-server`.
 */
import { Refusal } from "../../base/refusals.ts";
import type { RuntimeConfig } from "../../config/runtime.ts";
import type { QuicServerSpec, ServerSpec } from "../../tables/spec.ts";
import type { DraftServer } from "../draft.ts";

/** What an address says of the transport. */
export type WantedTransport = "quic" | "tcp" | "same";

/** The transport that a word with a prefix asks for; an IP family or a path alone: see below. */
export function wantedTransport(word: string): WantedTransport {
  if (/^(?:quic[46]@|quic\+)/u.test(word)) return "quic";
  // What is no IP address is reached by a stream socket.
  return /^(?:tcp[46]?@|stream\+|unix@|uxst@|abns@|\/)/u.test(word) ? "tcp" : "same";
}

/** Name of the transport of a spec. */
export const transportOf = ({ quic }: Pick<ServerSpec, "quic">): "tcp" | "quic" =>
  quic === undefined ? "tcp" : "quic";

/**
 * How QUIC is spoken with the server at its new address; undefined = TCP.
 * @throws Refusal that says what to write, where nothing says how
 */
export function quicAfter(
  runtime: Pick<RuntimeConfig, "quicSettings">,
  { spec, object, proxy }: DraftServer,
  wanted: WantedTransport,
): QuicServerSpec | undefined {
  if (wanted === "tcp") return undefined;
  if (wanted === "same" || spec.quic !== undefined) return spec.quic;
  const former = object?.lastQuic ?? object?.configured.quic;
  if (former !== undefined) return former;
  const made = runtime.quicSettings(proxy.spec.name);
  if (!made.ok) throw new Refusal("WRONG_STATE", made.message);
  const bare = runtime.quicSettings("");
  // Not a word about certificates or protocols: nobody has thought of QUIC there.
  if (bare.ok && Bun.deepEquals(bare.spec, made.spec)) {
    const name = `${proxy.spec.name}/${spec.name}`;
    const words = "ssl verify required ca-file <file> alpn <protocols>";
    const usual = `'default-server ${words.slice(4)}' in its backend`;
    const anew = `'add server ${name} quic4@<address> ${words}'`;
    const text = `nothing says how to speak QUIC with ${name}: write ${usual}, or ${anew}.`;
    throw new Refusal("WRONG_STATE", text);
  }
  return made.spec;
}
