/** Lives of servers, backends and what refers to them, over the simulated process. */
import { beforeEach, describe, expect, test } from "bun:test";

import { Refusal } from "../../../../src/base/refusals.ts";
import { addServer as addObject } from "../../../../src/control/build.ts";
import type { LifeControl } from "../../../../src/control/control.ts";
import { Draft } from "../../../../src/control/draft.ts";
import type { Change } from "../../../../src/control/draft.ts";
import { backendHolders, serverHolders } from "../../../../src/control/life/holders.ts";
import {
  prepareAddProxy,
  prepareDelBackend,
  preparePublish,
} from "../../../../src/control/life/proxies.ts";
import { prepareAddServer, prepareDelServer } from "../../../../src/control/life/servers.ts";
import { lookAtBackend, lookAtServer, waitRemovable } from "../../../../src/control/life/wait.ts";
import type { WaitEnd } from "../../../../src/control/life/wait.ts";
import { watch } from "../../../../src/control/life/watches.ts";
import type { ProxyObject, ServerObject } from "../../../../src/control/model.ts";
import { PROXY_FLAG_QUIC_USED, SERVER_FLAG_NEW } from "../../../../src/tables/generated/enums.ts";
import { PROXY_FLAGS, PROXY_REFERENCES } from "../../../../src/tables/generated/proxy.ts";
import {
  SERVER_FLAGS,
  SERVER_SERVED_MAX,
  SERVER_WATCHED,
} from "../../../../src/tables/generated/server.ts";
import type { ProxySpec } from "../../../../src/tables/spec.ts";
import { PLAIN_PROXY, PLAIN_SERVER, Rig } from "../../../sim/rig.ts";
import { makeProxySpec, makeServer } from "../../../sim/specs.ts";

let rig: Rig;
let control: LifeControl;

beforeEach(() => {
  rig = new Rig({ proxies: [{ ...PLAIN_PROXY, algorithm: "leastconn", servers: [PLAIN_SERVER] }] });
  control = rig.world.control;
});

/** Control's turn: what was put off, then what workers have rung for. */
function settle(): void {
  rig.world.isDraining = true;
  for (let i = 0; i < 20; i++) {
    rig.world.lookAtBell();
    rig.run();
  }
}

function make(prepare: (draft: Draft) => Change): string {
  const result = prepare(new Draft(control.model)).apply();
  if (result instanceof Promise) throw new Error("a change that takes its time");
  return result.text;
}

function refusal(prepare: (draft: Draft) => Change): Refusal {
  try {
    make(prepare);
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error("it was made");
}

function backendSpec(name: string): ProxySpec {
  const spec = makeProxySpec({ ...PLAIN_PROXY, algorithm: "leastconn" }, 0, []);
  const parts = { hasFront: false, hasBack: true, section: "backend" as const };
  return { ...spec, name, id: 0, ...parts, useBackends: [], useServers: [] };
}

const addBackend = (name: string): string =>
  make((draft) => prepareAddProxy(control, draft, backendSpec(name)));

const addServer = (backend: string, name: string, id = 0): string =>
  make((draft) => {
    const spec = { ...makeServer(PLAIN_SERVER, name, id, 9100), disabled: false };
    return prepareAddServer(control, draft, draft.backend(backend), spec);
  });

const delServer = (backend: string, name: string) => (draft: Draft) =>
  prepareDelServer(control, draft.server(draft.backend(backend), name));

const delBackend = (name: string) => (draft: Draft) =>
  prepareDelBackend(control, draft.backend(name));

const backend = (name: string): ProxyObject => control.model.backends.get(name)!;
const server = (name: string, of: string): ServerObject => backend(of).serversByName.get(name)!;

describe("a server that is added", () => {
  test("begins in maintenance, and is not chosen before all workers know it", () => {
    addBackend("b");
    expect(addServer("b", "s")).toBe("New server registered.");
    const { words } = control.tables.servers;
    const { row } = server("s", "b");
    expect(words[row + SERVER_FLAGS]! & SERVER_FLAG_NEW).not.toBe(0);
    settle();
    expect(words[row + SERVER_FLAGS]! & SERVER_FLAG_NEW).toBe(0);
  });

  test("takes the lowest free id; one that is taken is refused, and nothing has changed", () => {
    addBackend("b");
    addServer("b", "s1");
    addServer("b", "s2");
    expect(server("s2", "b").spec.id).toBe(2);
    const rows = control.shop.serverRows.count;
    const refused = refusal((draft) => {
      const spec = makeServer(PLAIN_SERVER, "s3", 2, 9100);
      return prepareAddServer(control, draft, draft.backend("b"), spec);
    });
    expect([refused.code, refused.message]).toEqual([
      "EXISTS",
      "'id' : custom id 2 already used by server 's2'.",
    ]);
    expect(control.shop.serverRows.count).toBe(rows);
    make(delServer("b", "s1"));
    addServer("b", "s4");
    expect(server("s4", "b").spec.id).toBe(1);
  });

  test("a static algorithm takes none", () => {
    const spec = backendSpec("fixed");
    const balance = { ...spec.balance, algorithm: "static-rr" as const };
    const text = make((draft) => prepareAddProxy(control, draft, { ...spec, balance }));
    expect(text).toContain("no support for dynamic servers");
    expect(
      refusal((draft) =>
        prepareAddServer(
          control,
          draft,
          draft.backend("fixed"),
          makeServer(PLAIN_SERVER, "s", 0, 9100),
        ),
      ).message,
    ).toBe(
      "Backend does not support dynamic servers : " +
        "backend 'fixed' uses a non dynamic load balancing method.",
    );
  });

  test("is gone again when a later change of its transaction is refused", async () => {
    addBackend("b");
    const rows = control.shop.serverRows.count;
    const draft = new Draft(control.model);
    const spec = makeServer(PLAIN_SERVER, "s", 0, 9100);
    const change = prepareAddServer(control, draft, draft.backend("b"), spec);
    await change.apply();
    await change.undo?.();
    settle();
    expect(server("s", "b")).toBeUndefined();
    expect(control.shop.serverRows.count).toBe(rows);
  });
});

describe("a server that is removed", () => {
  test("holds its backend until all workers have forgotten it: the first founding rule", () => {
    addBackend("b");
    addServer("b", "s");
    settle();
    const { row, generation } = server("s", "b");
    make(delServer("b", "s"));
    const { words } = control.tables.proxies;
    expect(words[backend("b").row + PROXY_REFERENCES]).toBe(1);
    expect(backendHolders(control, backend("b"))).toEqual([
      { kind: "purge", text: "1 deleted server not yet purged: s" },
    ]);
    const refused = refusal(delBackend("b"));
    expect([refused.code, refused.message]).toEqual([
      "IN_USE",
      "Backend is still referenced. Held by: 1 deleted server not yet purged: s.",
    ]);
    expect(control.shop.serverRows.generation(row)).toBe(generation);
    settle();
    expect(control.shop.serverRows.generation(row)).toBe(generation + 1);
    expect(words[backend("b").row + PROXY_REFERENCES]).toBe(0);
    expect(make(delBackend("b"))).toBe("Backend deleted.");
    settle();
    expect(control.shop.proxyRows.count).toBe(control.model.proxies.length);
  });

  test("must be in maintenance", () => {
    const name = backend("p1").servers[0]!.spec.name;
    const refused = refusal(delServer("p1", name));
    expect(refused.message).toBe("Only servers in maintenance mode can be deleted.");
  });

  test("a rule and a server that tracks it keep it, by name", () => {
    const [first] = backend("p1").servers;
    const origin = { file: "lb.cfg", line: 7 };
    backend("p1").spec.useServers.push({ server: first!.spec.name, origin });
    addBackend("b");
    const track = `p1/${first!.spec.name}`;
    const spec = { ...makeServer(PLAIN_SERVER, "t", 1, 9100), track };
    addObject(control.shop, backend("b"), spec, true);
    const held = serverHolders(control, first!).map(({ text }) => text);
    expect(held).toEqual([
      `the rule 'use-server ${first!.spec.name}' at [lb.cfg:7]`,
      "server b/t tracks it",
      "the server is not in maintenance",
    ]);
    expect(refusal(delServer("p1", first!.spec.name)).code).toBe("CONFIGURED");
  });
});

describe("a backend that is removed", () => {
  test("is refused for each reason in turn, and each says what clears it", () => {
    addBackend("b");
    addServer("b", "s");
    settle();
    make((draft) => preparePublish(control, draft.backend("b"), true));
    const reasons = (): string[] => backendHolders(control, backend("b")).map(({ kind }) => kind);
    expect(reasons()).toEqual(["state", "server"]);
    expect(refusal(delBackend("b")).message).toStartWith("Backend must be unpublished prior to");
    make((draft) => preparePublish(control, draft.backend("b"), false));
    expect(refusal(delBackend("b")).message).toStartWith("Only a backend without server can be");
    make(delServer("b", "s"));
    settle();
    expect(reasons()).toEqual([]);
    expect(make(delBackend("b"))).toBe("Backend deleted.");
  });

  test("never when a QUIC server is or was in it: the fifth founding rule", () => {
    addBackend("b");
    const at = backend("b").row + PROXY_FLAGS;
    control.tables.proxies.words[at]! |= PROXY_FLAG_QUIC_USED;
    const refused = refusal(delBackend("b"));
    expect([refused.code, refused.message.split(".")[0]]).toEqual([
      "CONFIGURED",
      "Cannot remove a backend in which a QUIC server is or was used",
    ]);
  });

  test("a listen section is no backend to remove", () => {
    expect(refusal(delBackend("p1")).message).toStartWith("Cannot delete a listen section.");
  });

  test("what a transaction did before counts: published in it, it stays", () => {
    addBackend("b");
    const draft = new Draft(control.model);
    preparePublish(control, draft.backend("b"), true);
    expect(() => delBackend("b")(draft)).toThrow(/must be unpublished/);
  });
});

describe("waiting", () => {
  const never = new AbortController().signal;

  test("ends at once when nothing holds the object, and when nothing can clear it", async () => {
    addBackend("b");
    const look = (): ReturnType<typeof lookAtBackend> => lookAtBackend(control, () => backend("b"));
    expect(await waitRemovable(control, 1000, never, look)).toEqual({ kind: "done" });
    make((draft) => preparePublish(control, draft.backend("b"), true));
    const end = await waitRemovable(control, 1000, never, look);
    expect([end.kind, end.kind === "failed" && end.reason]).toEqual([
      "failed",
      "Backend must be unpublished prior to its deletion.",
    ]);
  });

  test("ends with the event that clears the last holder", async () => {
    addBackend("b");
    addServer("b", "s");
    settle();
    make(delServer("b", "s"));
    let end: WaitEnd | undefined;
    const look = (): ReturnType<typeof lookAtBackend> => lookAtBackend(control, () => backend("b"));
    const waiting = waitRemovable(control, 60_000, never, look).then((one) => (end = one));
    await Promise.resolve();
    expect(end).toBeUndefined();
    settle();
    expect(await waiting).toEqual({ kind: "done" });
  });

  test("says who holds the object when the caller leaves or the time is over", async () => {
    addBackend("b");
    addServer("b", "s");
    settle();
    make(delServer("b", "s"));
    const look = (): ReturnType<typeof lookAtBackend> => lookAtBackend(control, () => backend("b"));
    const caller = new AbortController();
    const waiting = waitRemovable(control, 60_000, caller.signal, look);
    caller.abort();
    const held = [{ kind: "purge", text: "1 deleted server not yet purged: s" }];
    const reason = "Backend is still referenced.";
    expect(await waiting).toEqual({ kind: "interrupted", held, reason } as never);
    const late = await waitRemovable(control, 1, never, look);
    expect(late).toEqual({ kind: "expired", held, reason } as never);
  });

  test("a server that is gone meanwhile fails the wait", async () => {
    const gone = (): never => {
      throw new Refusal("NO_SERVER", "No such server.");
    };
    const look = (): ReturnType<typeof lookAtServer> => lookAtServer(control, gone);
    const end = await waitRemovable(control, 10, never, look);
    expect(end).toEqual({ kind: "failed", held: [], reason: "No such server." });
  });

  test("two that watch the same server: it is watched until both have ended", () => {
    const one = backend("p1").servers[0]!;
    const at = one.row + SERVER_WATCHED;
    const { words } = control.tables.servers;
    const first = watch(control, one);
    const second = watch(control, one);
    first();
    first();
    expect(words[at]).toBe(1);
    second();
    expect(words[at]).toBe(0);
  });
});

describe("a removal that is taken back", () => {
  /** Prepares and makes a change. @returns what takes it back */
  const made = (prepare: (draft: Draft) => Change): (() => void) => {
    const change = prepare(new Draft(control.model));
    void change.apply();
    return () => void change.undo?.();
  };

  test("leaves a server what it was: row, id, place, maxima; nothing is purged", () => {
    addBackend("b");
    for (const name of ["s1", "s2", "s3"]) addServer("b", name);
    settle();
    const before = server("s2", "b");
    const { words } = control.tables.servers;
    words[before.row + SERVER_SERVED_MAX] = 7;
    const takeBack = made(delServer("b", "s2"));
    expect(server("s2", "b")).toBeUndefined();
    takeBack();
    // A worker that has yet to unlink it must not be given a stream for it.
    expect(words[before.row + SERVER_FLAGS]! & SERVER_FLAG_NEW).not.toBe(0);
    settle();
    expect(words[before.row + SERVER_FLAGS]! & SERVER_FLAG_NEW).toBe(0);
    expect(server("s2", "b")).toBe(before);
    expect(backend("b").servers.map(({ spec }) => spec.name)).toEqual(["s1", "s2", "s3"]);
    expect(words[before.row + SERVER_SERVED_MAX]).toBe(7);
    expect(control.shop.serverRows.generation(before.row)).toBe(before.generation);
    expect(control.references.total).toBe(0);
    expect(make(delServer("b", "s2"))).toBe("Server deleted.");
    settle();
    expect(control.shop.serverRows.generation(before.row)).toBe(before.generation + 1);
  });

  test("leaves a backend what it was", () => {
    addBackend("b");
    settle();
    const before = backend("b");
    made(delBackend("b"))();
    settle();
    expect(backend("b")).toBe(before);
    expect(addServer("b", "s")).toBe("New server registered.");
    expect(control.shop.proxyRows.generation(before.row)).toBe(before.generation);
  });

  test("comes too late once the object is purged", () => {
    addBackend("b");
    settle();
    const takeBack = made(delBackend("b"));
    settle();
    expect(takeBack).toThrow("b is purged.");
  });
});
