/**
 * The fifth founding rule: a backend in which a QUIC server is or was used is never removed, on
 * whatever way it is tried; one that never used it is.
 */
import { describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { runCommand, RunningCall } from "../../../../src/api/call.ts";
import { splitLine } from "../../../../src/api/lines.ts";
import { QuicAccount } from "../../../../src/conduit/quic/account.ts";
import { changeSpec } from "../../../../src/control/change/server-address.ts";
import { Draft } from "../../../../src/control/draft.ts";
import { prepareAddServer } from "../../../../src/control/life/servers.ts";
import { PROXY_FLAG_QUIC_USED } from "../../../../src/tables/generated/enums.ts";
import { PROXY_FLAGS } from "../../../../src/tables/generated/proxy.ts";
import type { ServerSpec } from "../../../../src/tables/spec.ts";
import { makeControlLab } from "../../../support/control-lab.ts";
import type { ControlLab } from "../../../support/control-lab.ts";
import { quicServerSpec } from "../../../support/quic-specs.ts";
import { adminAsker } from "../../../support/rig-control.ts";
import { begin, fileOf } from "../../../support/state-lab.ts";
import type { StateLab } from "../../../support/state-lab.ts";

const CONFIG = `defaults d
  mode tcp
  timeout connect 1s
  timeout client 1s
  timeout server 1s
  balance roundrobin
backend q
backend plain
  server t1 127.0.0.1:2
`;

const SENTENCE = "Cannot remove a backend in which a QUIC server is or was used.";

/** What a `server` line of QUIC means. */
function quicSpec(lab: ControlLab, backend: string, name: string): ServerSpec {
  const made = lab.control.runtime.makeServer(backend, name, ["127.0.0.1:4433"]);
  if (!made.ok) throw new Error(made.message);
  return { ...made.spec, quic: quicServerSpec() };
}

/** Links a QUIC server at run time, as `add server` does. */
function addQuic(lab: ControlLab, backend: string, name: string): void {
  const draft = new Draft(lab.control.model);
  const spec = quicSpec(lab, backend, name);
  void prepareAddServer(lab.control, draft, draft.backend(backend), spec).apply();
  lab.settle();
}

/** A lab whose backend `q` used QUIC for a while, and has nothing left of it. */
async function usedAndGone(): Promise<ControlLab> {
  const lab = await makeControlLab(CONFIG);
  addQuic(lab, "q", "s1");
  expect(await lab.ask("del server q/s1")).toBe("Server deleted.");
  lab.settle();
  return lab;
}

async function isRefused(lab: ControlLab): Promise<void> {
  expect(await lab.ask("unpublish backend q")).toBe("Backend unpublished.");
  const said = await lab.ask("del backend q");
  expect(said).toStartWith(`CONFIGURED: ${SENTENCE} Held by: QUIC since `);
  expect(lab.control.model.backends.has("q")).toBe(true);
}

describe("the ways to try", () => {
  test("its server is gone", async () => {
    const lab = await usedAndGone();
    await isRefused(lab);
    const said = await lab.ask("del backend q");
    // When, which server, what is left.
    expect(said).toMatch(
      /QUIC since \d\d\/\w{3}\/\d{4}:\d\d:\d\d:\d\d, first by server s1 \(gone\); 0 QUIC connections now\.$/,
    );
  });

  test("its connections are gone", async () => {
    const lab = await makeControlLab(CONFIG);
    addQuic(lab, "q", "s1");
    const { row } = lab.control.model.backends.get("q")!;
    const account = new QuicAccount(lab.control.tables, 1, () => {});
    account.opened(row, false);
    await lab.ask("del server q/s1");
    lab.settle();
    await lab.ask("unpublish backend q");
    expect(await lab.ask("del backend q")).toContain("; 1 QUIC connection now.");
    account.closed(row, false, 1, 0n);
    account.released(row, false);
    await isRefused(lab);
    expect(await lab.ask("del backend q")).toContain("; 0 QUIC connections now.");
  });

  test("it is unpublished, and waited for", async () => {
    const lab = await usedAndGone();
    await isRefused(lab);
    // At once, not when the time is over: the test would take an hour.
    const said = await lab.ask("wait 1h be-removable q");
    expect(said).toStartWith(`WRONG_STATE: Failed. ${SENTENCE} Held by: QUIC since `);
  });

  test("it is published, and waited for", async () => {
    const lab = await usedAndGone();
    expect(await lab.ask("wait 1h be-removable q")).toStartWith(`WRONG_STATE: Failed. ${SENTENCE}`);
  });

  test("the process begins again with a snapshot", async () => {
    const lab = (await begin(CONFIG)) as StateLab;
    addQuic(lab, "q", "s1");
    const since = lab.control.model.backends.get("q")!.quicUse;
    await lab.ask("del server q/s1");
    lab.settle();
    let again = await begin(CONFIG, fileOf(lab));
    await isRefused(again);
    expect(again.control.model.backends.get("q")!.quicUse).toEqual(since!);
    // And once more: what was restored is written down again.
    again = await begin(CONFIG, fileOf(again));
    await isRefused(again);
    expect(again.control.model.backends.get("q")!.quicUse).toEqual(since!);
  });

  test("a backend that was made at run time comes back from a snapshot with its mark", async () => {
    const lab = (await begin(CONFIG)) as StateLab;
    await lab.ask("add backend late from d");
    addQuic(lab, "late", "s1");
    await lab.ask("del server late/s1");
    lab.settle();
    const again = await begin(CONFIG, fileOf(lab));
    expect(await again.ask("del backend late")).toStartWith(`CONFIGURED: ${SENTENCE}`);
  });

  test("its QUIC server was moved to TCP", async () => {
    const lab = await makeControlLab(CONFIG);
    const server = lab.server("plain/t1");
    const before = server.spec;
    changeSpec(lab.control, server, { ...before, quic: quicServerSpec() });
    changeSpec(lab.control, server, before);
    await lab.ask("disable server plain/t1");
    await lab.ask("del server plain/t1");
    lab.settle();
    await lab.ask("unpublish backend plain");
    expect(await lab.ask("del backend plain")).toStartWith(`CONFIGURED: ${SENTENCE}`);
  });

  test("a configured QUIC server marks its backend at the start", async () => {
    const lab = await makeControlLab(CONFIG, {
      planned: ({ proxies }) => {
        const plain = proxies.find(({ name }) => name === "plain")!;
        plain.servers[0]!.quic = quicServerSpec();
      },
    });
    const { row } = lab.control.model.backends.get("plain")!;
    const flags = lab.control.tables.proxies.words[row + PROXY_FLAGS]!;
    expect(flags & PROXY_FLAG_QUIC_USED).toBe(PROXY_FLAG_QUIC_USED);
    await lab.ask("disable server plain/t1");
    await lab.ask("del server plain/t1");
    await lab.ask("unpublish backend plain");
    lab.settle();
    expect(await lab.ask("del backend plain")).toContain("first by server t1 (gone)");
  });
});

describe("several clients at once", () => {
  /** Lines of one client, one after the other; the answers. */
  async function client(lab: ControlLab, lines: readonly string[]): Promise<string[]> {
    const asker = adminAsker();
    const said: string[] = [];
    for (const line of lines) {
      const raw = splitLine(line).commands[0]!;
      const { code, reply } = await runCommand(new RunningCall(lab.control, asker, raw), raw);
      said.push(`${code}: ${reply.kind === "pieces" ? "" : reply.text}`);
      lab.settle();
    }
    return said;
  }

  test("no order of theirs removes it", async () => {
    const attack = [
      "unpublish backend q",
      "disable server q/s1",
      "wait 1ms srv-removable q/s1",
      "del server q/s1",
      "del backend q",
      "wait 1ms be-removable q",
      "del backend q",
    ];
    for (let offset = 0; offset < attack.length; offset++) {
      const lab = await makeControlLab(CONFIG);
      addQuic(lab, "q", "s1");
      const { row } = lab.control.model.backends.get("q")!;
      const account = new QuicAccount(lab.control.tables, 1, () => {});
      account.opened(row, false);
      const orders = [0, 1, 2, 3].map((shift) => {
        const at = (offset * shift) % attack.length;
        return [...attack.slice(at), ...attack.slice(0, at)];
      });
      const all = Promise.all(orders.map((lines) => client(lab, lines)));
      account.released(row, false);
      const answers = (await all).flat();
      expect(answers.filter((text) => text === "OK: Server deleted.")).toHaveLength(1);
      expect(answers.filter((text) => text.includes("Backend deleted"))).toEqual([]);
      expect(lab.control.model.backends.get("q")?.row).toBe(row);
      await isRefused(lab);
    }
  });

  test("a transaction that links, unlinks and removes is refused as a whole", async () => {
    const lab = await usedAndGone();
    const lines = ["unpublish backend q", "del backend q"];
    const said = await lab.ask("transaction", lines.join("\n"));
    expect(said).toContain(SENTENCE);
    expect(lab.control.model.backends.has("q")).toBe(true);
  });

  test("what a draft has linked counts, although it is deleted again", async () => {
    const lab = await makeControlLab(CONFIG);
    await lab.ask("unpublish backend q");
    const { control } = lab;
    const { prepareDelServer } = await import("../../../../src/control/life/servers.ts");
    const { prepareDelBackend } = await import("../../../../src/control/life/proxies.ts");
    const draft = new Draft(control.model);
    const backend = draft.backend("q");
    prepareAddServer(control, draft, backend, quicSpec(lab, "q", "s1"));
    prepareDelServer(control, draft.findServer(backend, "s1")!);
    expect(() => prepareDelBackend(control, backend)).toThrow(SENTENCE);
  });
});

describe("what tells of it", () => {
  test("show backend, show objects, why", async () => {
    const lab = await usedAndGone();
    const list = (await lab.ask("show backend")).split("\n");
    expect(list[0]).toBe("# name");
    expect(list[1]).toMatch(/^q # QUIC since .*, first by server s1 \(gone\); 0 QUIC connections/);
    expect(list[2]).toBe("plain");
    expect(await lab.ask("show objects")).toMatch(/\nkept for QUIC: q \(QUIC since .*\)\n$/);
    expect(await lab.ask("why backend q")).toContain("- QUIC since ");
    expect(await lab.ask("show backend plain")).not.toContain("QUIC");
  });

  test("names are hidden from a connection that wants none", async () => {
    const lab = await usedAndGone();
    lab.asker.anonymKey = 77;
    for (const line of ["show backend", "show objects", "show backend q"]) {
      expect(await lab.ask(line)).not.toContain("s1");
    }
  });
});

test("a backend that never used QUIC is removed", async () => {
  const lab = await usedAndGone();
  await lab.ask("disable server plain/t1");
  expect(await lab.ask("del server plain/t1")).toBe("Server deleted.");
  await lab.ask("unpublish backend plain");
  lab.settle();
  expect(await lab.ask("wait 1s be-removable plain")).toBe("Done.");
  expect(await lab.ask("del backend plain")).toBe("Backend deleted.");
});

/** Pieces of the guard, each taken out of a copy of the sources. */
const MUTANTS: readonly [name: string, file: string, find: string, replace: string][] = [
  [
    "holders do not look at the mark",
    "control/life/holders.ts",
    "if (isQuicUsed(tables, proxy)) {",
    "if (isQuicUsed(tables, proxy) && proxy.servers.length > 0) {",
  ],
  [
    "the refusal does not know its kind",
    "control/life/holders.ts",
    '    kind: "quic",\n    code: "CONFIGURED",',
    '    kind: "check",\n    code: "CONFIGURED",',
  ],
  [
    "a server that is linked does not mark",
    "control/build.ts",
    "  noteQuicServer(shop.tables, backend, spec, shop.clock.epochMicros() / 1000);\n",
    "",
  ],
  [
    "a snapshot does not keep it",
    "control/state/collect.ts",
    "    ...(quicUse === undefined ? {} : { quicUse }),\n",
    "",
  ],
  [
    "restoring does not set it",
    "control/state/restore.ts",
    "  if (saved.quicUse !== undefined) markQuicUsed(tables, proxy, saved.quicUse);\n",
    "",
  ],
];

// Only the real sources have mutants: in a copy this file would copy itself for ever.
const isCopy = import.meta.dir.includes("sluice-guard-");
test.skipIf(isCopy).each(MUTANTS)(
  "these tests fail when %s",
  async (_name, file, find, replace) => {
    const root = join(import.meta.dir, "../../../..");
    const copy = mkdtempSync(join(tmpdir(), "sluice-guard-"));
    try {
      for (const part of ["src", "test", "tsconfig.json", "package.json", "bunfig.toml"]) {
        cpSync(join(root, part), join(copy, part), { recursive: true });
      }
      symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
      const path = join(copy, "src", file);
      const text = readFileSync(path, "utf8");
      expect(text.split(find)).toHaveLength(2);
      writeFileSync(path, text.replace(find, replace));
      const run = Bun.spawn(
        [process.execPath, "test", "test/unit/control/life/quic-guard.test.ts"],
        { cwd: copy, stdout: "pipe", stderr: "pipe" },
      );
      const said = await new Response(run.stderr).text();
      expect({ code: await run.exited, failed: /\n +([1-9]\d*) fail\n/.test(said) }).toEqual({
        code: 1,
        failed: true,
      });
    } finally {
      rmSync(copy, { recursive: true, force: true });
    }
  },
  60_000,
);
