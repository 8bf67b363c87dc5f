/** Transactions: all or nothing; dry runs; changes at a version that the caller knows. */
import { describe, expect, test } from "bun:test";

import { applyAll } from "../../../src/api/transaction.ts";
import type { Prepared } from "../../../src/api/transaction.ts";
import { Refusal } from "../../../src/base/refusals.ts";
import { makeControlLab } from "../../support/control-lab.ts";
import type { ControlLab } from "../../support/control-lab.ts";
import { CHANGES_CONFIG } from "./changes-config.ts";

const makeLab = (): Promise<ControlLab> => makeControlLab(CHANGES_CONFIG);

async function resultOf(lab: ControlLab, line: string, payload?: string): Promise<unknown> {
  const { reply } = await lab.run(line, payload);
  return reply.kind === "pieces" ? undefined : reply.data;
}

describe("transaction", () => {
  test("makes all changes, in order, and tells the versions", async () => {
    const lab = await makeLab();
    const lines = [
      "# a new server instead of s5",
      "add server b/new 127.0.0.1:19999 weight 3",
      "",
      "set weight b/new 200%; enable server b/new",
      "set server b/s5 name old",
      "disable server b/old",
      "set maxconn frontend f 7",
    ];
    const { code, reply } = await lab.run("transaction", lines.join("\n"));
    expect(code).toBe("OK");
    expect(reply).toMatchObject({ text: "6 changes made." });
    expect(await lab.ask("get weight b/new")).toBe("6 (initial 3)");
    expect(reply.kind === "message" && reply.data).toMatchObject({
      versions: { b: 2, "b/new": lab.server("b/new").version, "frontend:f": 2 },
    });
  });

  test("what comes has a version for whoever wants to go on from there", async () => {
    const lab = await makeControlLab(CHANGES_CONFIG.replace("\ndefaults\n", "\ndefaults d\n"));
    expect(await resultOf(lab, "json add backend n from d")).toEqual({ version: 2 });
    expect(await resultOf(lab, "json add frontend e from d")).toEqual({ version: 2 });
    expect(await resultOf(lab, "json add server n/s 127.0.0.1:1")).toEqual({ version: 2 });
    expect(await lab.ask("if-version n/s=2,n=3,frontend:e=2 enable server n/s")).toBe("");
    const lines = "disable server n/s\ndel server n/s";
    expect(await resultOf(lab, "transaction", lines)).toMatchObject({ versions: { n: 4 } });
  });

  test("makes none when one is refused, and says which", async () => {
    const lab = await makeLab();
    const before = lab.snapshot();
    const cases: readonly (readonly [string, string])[] = [
      [
        "disable server b/none",
        "NO_SERVER: Line 2, 'disable server b/none': No such server. Nothing has changed.",
      ],
      [
        "show env",
        "BAD_ARGUMENT: Line 2, 'show env': 'show env' is no command that changes objects. Nothing has changed.",
      ],
      ["nonsense", "UNKNOWN_COMMAND: Line 2, 'nonsense': Unknown command. Nothing has changed."],
      [
        "enable server b/s1 'x",
        "BAD_ARGUMENT: Line 2, 'enable server b/s1 x': Unterminated quote. Nothing has changed.",
      ],
      [
        "set server b/s1 name x",
        "WRONG_STATE: Line 2, 'set server b/s1 name x': Server must be in maintenance mode to be renamed (set server <b>/<s> state maint). Nothing has changed.",
      ],
      [
        "del server b/s5 after-drain 1s",
        "BAD_ARGUMENT: Line 2, 'del server b/s5 after-drain 1s': it takes its time, and cannot be part of a transaction. Nothing has changed.",
      ],
      [
        "transaction",
        "BAD_ARGUMENT: Line 2, 'transaction': 'transaction' is no command that changes objects. Nothing has changed.",
      ],
    ];
    for (const [line, answer] of cases) {
      expect(await lab.ask("transaction", `set weight b/s2 1\n${line}\nset weight b/s2 2`)).toBe(
        answer,
      );
    }
    expect(lab.snapshot()).toEqual(before);
    expect(lab.told).toEqual([]);
  });

  test("checks each change against those before it", async () => {
    const lab = await makeLab();
    const lines = [
      "disable frontend f",
      "enable frontend f",
      "disable server b/s3",
      "set server b/s3 name backup",
      "del server b/backup",
      "add server b/s3 127.0.0.1:19999",
    ];
    expect(await lab.ask("transaction", lines.join("\n"))).toBe("6 changes made.");
    expect(lab.server("b/s3").isDynamic).toBe(true);
    expect(await lab.ask("transaction", "disable frontend f\ndisable frontend f")).toBe(
      "WRONG_STATE: Line 2, 'disable frontend f': All sockets are already disabled. Nothing has changed.",
    );
  });

  test("takes back what was made, the last change first, when one fails after all", async () => {
    const lab = await makeLab();
    const payload = [
      "set weight b/s2 1",
      "disable server b/s2",
      "set server b/s1 addr ::1",
      "set server b/s8 fqdn nobody.invalid",
      "disable server b/s3",
    ].join("\n");
    expect(await lab.ask("transaction", payload)).toBe(
      "SYSTEM: 'set server b/s8 fqdn nobody.invalid': could not resolve 'nobody.invalid'. " +
        "3 changes before it taken back.",
    );
    expect(await lab.ask("get weight b/s2")).toBe("10 (initial 10)");
    expect(lab.server("b/s1").spec.address).toMatchObject({ host: "127.0.0.1", port: 19_901 });
    expect(lab.told.filter((text) => text.includes("b/s3"))).toEqual([]);
    expect(lab.told.at(-1)).toContain("Server b/s2 is UP/READY");
  });

  // A backend whose server went with it was not let go, and stayed.
  test("takes back a backend together with its servers", async () => {
    const config = CHANGES_CONFIG.replace("\ndefaults\n", "\ndefaults d\n");
    const lab = await makeControlLab(config);
    const seen = (): Promise<string> => lab.ask("show servers state");
    const before = await seen();
    const lines = ["add backend new from d", "add server new/a 127.0.0.1:1", "publish backend new"];
    const payload = [...lines, "set server b/s8 fqdn nobody.invalid"].join("\n");
    expect(await lab.ask("transaction", payload)).toEndWith("3 changes before it taken back.");
    lab.settle();
    expect(await seen()).toEqual(before);
    expect(lab.control.references.total).toBe(0);
  });

  // What had gone meanwhile was removed once more, and what had come was made twice.
  test.each([
    ["del server b/s5", ["del server b/s5"], "NO_SERVER", "No such server."],
    [
      "add server b/new 127.0.0.1:1",
      ["add server b/new 127.0.0.1:2"],
      "EXISTS",
      "Already exists a server with the same name in backend.",
    ],
    [
      "add server b/one 127.0.0.1:1 id 77",
      ["add server b/other 127.0.0.1:2 id 77"],
      "EXISTS",
      "'id' : custom id 77 already used by server 'other'.",
    ],
    [
      "add backend new from d",
      ["add backend new from d"],
      "EXISTS",
      "name is already used by other proxy 'backend new'.",
    ],
    ["publish backend n", ["del backend n"], "NO_BACKEND", "No such backend."],
    ["del backend n", ["del backend n"], "NO_BACKEND", "No such backend."],
    ["add server n/s 127.0.0.1:1", ["del backend n"], "NO_BACKEND", "No such backend."],
    ["del frontend e", ["del frontend e"], "NO_FRONTEND", "No such frontend."],
  ])(
    "'%s' after others were faster while a name was looked up",
    async (line, others, code, why) => {
      const lab = await makeControlLab(CHANGES_CONFIG.replace("\ndefaults\n", "\ndefaults d\n"));
      await lab.ask("add backend n from d");
      await lab.ask("add frontend e from d");
      const running = lab.ask("transaction", `set server b/s8 fqdn localhost\n${line}`);
      for (const other of others) expect(await lab.ask(other)).not.toContain(":");
      expect(await running).toBe(`${code}: '${line}': ${why} 1 change before it taken back.`);
      expect(lab.server("b/s8").spec.hostName).toBe("db.test");
    },
  );

  // The second removal failed with the backend's lock held: control and all workers hung.
  test("takes back what it has made and removed again", async () => {
    const lab = await makeLab();
    const seen = (): Promise<string> => lab.ask("show servers state");
    const before = await seen();
    const lines = ["add server b/a 127.0.0.1:1", "enable server b/a", "disable server b/a"];
    const payload = [...lines, "del server b/a", "set server b/s8 fqdn nobody.invalid"].join("\n");
    expect(await lab.ask("transaction", payload)).toEndWith("4 changes before it taken back.");
    lab.settle();
    expect(await seen()).toEqual(before);
    expect(await lab.ask("set weight b/s2 7")).toBe("");
  });

  test("says what could not be taken back", async () => {
    const order: string[] = [];
    const change = (name: string, rest: Partial<Prepared["change"]> = {}): Prepared => ({
      text: name,
      touched: [],
      change: {
        effect: name,
        apply: () => {
          order.push(name);
          return { text: "" };
        },
        undo: () => void order.push(`-${name}`),
        ...rest,
      },
    });
    const fail = (): never => {
      throw new Refusal("SYSTEM", "it fails.");
    };
    const { undo: _undo, ...noUndo } = change("b").change;
    const all = [
      change("a"),
      { text: "b", touched: [], change: noUndo },
      change("c", { undo: fail }),
      change("d"),
      change("e", { apply: fail }),
      change("f"),
    ];
    await expect(applyAll(all)).rejects.toThrow(
      "'e': it fails. 2 changes before it taken back. These stay made: 'c' (it fails.), " +
        "'b' (it cannot be taken back).",
    );
    expect(order).toEqual(["a", "b", "c", "d", "-d", "-a"]);
  });
});

describe("dry-run", () => {
  test("says what would happen, and changes nothing", async () => {
    const lab = await makeLab();
    const before = lab.snapshot();
    expect(await lab.ask("dry-run set weight b/s2 50%")).toBe("would do: gives b/s2 the weight 5");
    const lines = "disable server b/s1\nset server b/s5 name x\nset maxconn global 9";
    expect(await lab.ask("dry-run transaction", lines)).toBe(
      "would do: puts b/s1 in maintenance\n" +
        "would do: calls b/s5 x from now on\n" +
        "would do: limits the process to 9 connections",
    );
    expect(await resultOf(lab, "dry-run shutdown frontend f")).toEqual({
      commands: [
        { command: "shutdown frontend f", effect: "closes all addresses of frontend f for good" },
      ],
    });
    expect(lab.snapshot()).toEqual(before);
  });

  test("takes no payload beside a transaction", async () => {
    const lab = await makeLab();
    expect(await lab.ask("dry-run enable server b/s1", "x")).toBe(
      "BAD_ARGUMENT: 'enable server b/s1' takes no payload.",
    );
  });
});

describe("if-version", () => {
  test("makes a change only at the versions that were named", async () => {
    const lab = await makeLab();
    expect(await resultOf(lab, "if-version b/s2=1,b=1,frontend:f=1 set weight b/s2 5")).toEqual({
      version: 2,
      versions: { "b/s2": 2 },
      result: { version: 2 },
    });
    expect(await lab.ask("if-version b/s2=1 set weight b/s2 6")).toBe(
      "VERSION: b/s2 is at version 2, not at 1.",
    );
    expect(await lab.ask("get weight b/s2")).toBe("5 (initial 10)");
    expect(await lab.ask("if-version @guid:srv:1=1 disable server b/s1")).toBe("");
  });

  test("0 stands for what is not there", async () => {
    const lab = await makeLab();
    const add = "add server b/new 127.0.0.1:1";
    expect(await lab.ask(`if-version b/new=0 ${add}`)).toBe("New server registered.");
    expect(await lab.ask(`if-version b/new=0 ${add}`)).toContain("VERSION: b/new is at version");
  });

  test("stands before a transaction too", async () => {
    const lab = await makeLab();
    const payload = "disable server b/s2\nset weight b/s2 1";
    expect(await lab.ask("if-version b/s2=1 transaction", payload)).toBe("2 changes made.");
    expect(await lab.ask("if-version b/s2=1 transaction", payload)).toBe(
      "VERSION: b/s2 is at version 3, not at 1.",
    );
  });
});
