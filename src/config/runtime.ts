/**
 * What of a configuration is kept for run time: the settings that new servers, backends, frontends
 * and binds begin with, and the same keyword tables that read the files. Nothing here touches
 * running objects: it turns words into specs, or into one sentence that says what is wrong.
 */
import type { BindSpec, ProxySpec, ServerSpec } from "../tables/spec.ts";

/** Words that became a spec, or a refusal in HAProxy's words; `warnings` are told either way. */
export type Made<T> = { ok: true; spec: T; warnings: string[] } | { ok: false; message: string };

export type RuntimeConfig = {
  /** Names of `defaults` sections, in order; the last one without a name is "". */
  readonly defaultsNames: readonly string[];
  /**
   * `add server`: words behind the name, address first. Ids are not given out: 0 = not said.
   * @param backend its name, for `default-server` and `from`
   */
  makeServer(backend: string, name: string, words: readonly string[]): Made<ServerSpec>;
  /** `add backend NAME from DEFAULTS [mode …] [guid …]`; id 0. */
  makeBackend(name: string, defaults: string, words: readonly string[]): Made<ProxySpec>;
  /** `add frontend NAME from DEFAULTS [mode …] [guid …] [default_backend …]`; id 0. */
  makeFrontend(name: string, defaults: string, words: readonly string[]): Made<ProxySpec>;
  /** `add bind FRONTEND ADDRESS …`: one spec an address; ids 0. */
  makeBinds(frontend: string, words: readonly string[]): Made<BindSpec[]>;
  /** An address as `set server … addr`, `check-addr` take it: no name look-up. */
  forget(backend: string): void;
};
