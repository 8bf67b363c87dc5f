import { initialHealth } from "../../src/check/health.ts";
/** A process in memory that ends and begins again, with a state file between the two. */
import type { Control } from "../../src/control/control.ts";
import { batchesOf, cut, graveOf } from "../../src/control/state/collect.ts";
import { Kept } from "../../src/control/state/kept.ts";
import { leaveOut } from "../../src/control/state/leave-out.ts";
import { readState } from "../../src/control/state/read-state.ts";
import type { SavedGrave } from "../../src/control/state/records.ts";
import { restoreLate } from "../../src/control/state/restore-late.ts";
import { restoreState } from "../../src/control/state/restore.ts";
import type { Restored } from "../../src/control/state/restore.ts";
import { StateWriter } from "../../src/control/state/state-format.ts";
import { Shards } from "../../src/control/stats/shards.ts";
import { LISTENER_STATE } from "../../src/tables/generated/listener.ts";
import * as process from "../../src/tables/generated/process.ts";
import * as proxyRow from "../../src/tables/generated/proxy.ts";
import * as serverRow from "../../src/tables/generated/server.ts";
import { makeControlLab } from "./control-lab.ts";
import type { ControlLab, LabStart } from "./control-lab.ts";

/** A lab whose removals, and what it keeps, are noted as the saver does. */
export type StateLab = ControlLab & {
  graves: SavedGrave[];
  kept: Kept;
  /** What the file before could not do. */
  leftOut: string[];
  overruled: string[];
};

/** A process that begins with a file; undefined = without one. */
export async function begin(
  text: string,
  file?: Uint8Array,
  start: LabStart = {},
): Promise<StateLab> {
  const read = file === undefined ? undefined : readState(file);
  if (read !== undefined && !read.ok) throw new Error(`the file is refused: ${read.reason}`);
  const state = read?.state;
  let restored: Restored | undefined;
  let graves: SavedGrave[] = [];
  let overruled: string[] = [];
  const lab = await makeControlLab(text, {
    ...start,
    planned: (plan) => {
      start.planned?.(plan);
      ({ graves, overruled } = leaveOut(plan, state?.graves ?? []));
    },
    built: (shop, runtime) => {
      // The checks of a process do so as they start.
      for (const { row, spec } of shop.model.serverByRow.values()) {
        if (!spec.check.enabled) continue;
        shop.tables.servers.words[row + serverRow.SERVER_HEALTH] = initialHealth(spec);
      }
      if (state !== undefined) restored = restoreState(shop, runtime, state);
    },
  });
  const { control } = lab;
  if (state !== undefined) {
    const sockets = { listen: () => 0, shutdown: () => 0 };
    restoreLate({ ...control, sockets }, state, restored!);
  }
  const kept = new Kept(restored?.kept, state);
  control.events.listen((event) => {
    const { kind, server, listener, proxy } = event;
    kept.note(event);
    if (!kind.endsWith("-removed")) return;
    const gone = graveOf((server ?? listener ?? proxy)!);
    if (gone !== undefined) graves.push(gone);
  });
  return { ...lab, graves, kept, leftOut: restored?.leftOut ?? [], overruled };
}

/** Writes the file. */
export function fileOf({ control, graves, kept }: StateLab): Uint8Array {
  const writer = new StateWriter();
  const head = { program: "test", writtenEpochMs: control.clock.epochMicros() / 1000, pid: 1 };
  const made = cut(control, head, graves, kept);
  for (const batch of batchesOf(made, control.model, new Shards(control.tables))) writer.add(batch);
  return Buffer.concat(writer.finish());
}

/** What a later process must have too, in plain words. */
export function describeControl({ model, tables, environment }: Control): unknown {
  const { proxies, servers, listeners } = tables;
  const words = tables.process.words;
  return {
    limits: [
      words[process.PROCESS_MAXCONN],
      words[process.PROCESS_MAXCONNRATE],
      words[process.PROCESS_MAXSESSRATE],
    ],
    environment: [...environment].toSorted(),
    proxies: model.proxies.map(({ row, spec, isDynamic, serversByName, ...proxy }) => ({
      name: spec.name,
      isDynamic,
      settings: withoutParts(spec),
      state: proxies.words[row + proxyRow.PROXY_STATE],
      flags: proxies.words[row + proxyRow.PROXY_FLAGS],
      maxconn: proxies.words[row + proxyRow.PROXY_FRONT_MAXCONN],
      listeners: proxy.listeners.map(({ row: at, spec: bind }) => [
        bind.text,
        bind.guid,
        listeners.words[at + LISTENER_STATE],
      ]),
      servers: proxy.servers.map((server) => ({
        name: server.spec.name,
        found: serversByName.get(server.spec.name) === server,
        isDynamic: server.isDynamic,
        spec: structuredClone({ ...server.spec, origin: undefined }),
        row: [
          serverRow.SERVER_STATE,
          serverRow.SERVER_ADMIN_STATE,
          serverRow.SERVER_WEIGHT,
          serverRow.SERVER_MAXCONN,
          serverRow.SERVER_MINCONN,
          serverRow.SERVER_FLAGS,
          serverRow.SERVER_HEALTH,
          serverRow.SERVER_USABLE,
          serverRow.SERVER_TIER_WEIGHT,
        ].map((offset) => servers.words[server.row + offset]),
      })),
    })),
  };
}

function withoutParts(spec: object): unknown {
  return structuredClone({ ...spec, binds: [], servers: [], origin: undefined });
}
