/** Commands about the connection: what HAProxy 2.6 has not, so that nothing can be compared. */
import { describe, expect, test } from "bun:test";

import { anonymAddress, anonymName } from "../../../../src/api/anonymize.ts";
import type { Asker } from "../../../../src/api/command.ts";
import { SessionRig } from "../../../support/api-session.ts";
import { adminAsker } from "../../../support/rig-control.ts";

/** Answers to one line. */
async function ask(line: string, asker: Partial<Asker> = {}): Promise<string[]> {
  const rig = new SessionRig({}, asker);
  await rig.send(`${line}\n`);
  return rig.text().split(/(?<=^|\n)\n/);
}

test("prompt: usage, and words that it does not know", async () => {
  const [usage = "", refused = ""] = await ask("prompt help;prompt x");
  expect(usage).toStartWith("Usage: prompt [help | n | i | p | timed]*\n");
  expect(refused).toBe(usage);
});

test("prompt: every mode from every mode", async () => {
  const modes: [from: Asker["prompt"], words: string, to: Asker["prompt"]][] = [
    ["none", "", "plain"],
    ["interactive", "", "plain"],
    ["plain", "", "none"],
    ["timed", "", "none"],
    ["none", "timed", "timed"],
    ["plain", "timed", "timed"],
    ["timed", "timed", "plain"],
    ["none", "n", "none"],
    ["timed", "p", "timed"],
    ["plain", "i", "interactive"],
    ["none", "i timed", "interactive"],
    ["none", "timed p", "timed"],
  ];
  for (const [from, words, to] of modes) {
    const rig = new SessionRig({}, { prompt: from });
    await rig.send(`prompt ${words}\n`);
    expect([from, words, rig.asker.prompt]).toEqual([from, words, to]);
  }
});

describe("anonymous", () => {
  test("on, with a key or without, shown, off", async () => {
    expect(await ask("show anon;set anon on 7;show anon;set anon off;show anon")).toEqual([
      "Anonymized mode disabled\n",
      "",
      "Anonymized mode enabled\nKey : 7\n",
      "",
      "Anonymized mode disabled\n",
      "",
    ]);
    const rig = new SessionRig();
    await rig.send("set anon global-key 9;set anon on;prompt i\n");
    expect(rig.asker.anonymKey).toBe(9);
    await rig.send("set anon global-key 0;set anon on\n");
    expect(rig.asker.anonymKey).toBeGreaterThan(0);
  });

  test("users do not see the key, and only admins set the global one", async () => {
    const [, shown, denied] = await ask("set anon on 7;show anon;set anon global-key 3", {
      level: "user",
    });
    expect(shown).toBe("Anonymized mode enabled\n");
    expect(denied).toBe("Permission denied\n");
  });

  test("what is refused", async () => {
    const [key, low, high, off, neither] = await ask(
      "set anon on x;set anon on 0;set anon on 4294967296;set anon off 3;set anon maybe",
    );
    expect(key).toBe("Value out of range (1 to 4294967295 expected).\n");
    expect(low).toBe(key!);
    expect(high).toBe(key!);
    expect(off).toBe("Key can't be added while disabling anonymized mode\n");
    expect(neither).toStartWith("'set anon' only supports :\n");
  });

  test("names become hashes, the same for the same name and key", () => {
    const plain = adminAsker();
    const hidden = { ...plain, anonymKey: 7 };
    expect(anonymName(plain, "web")).toBe("web");
    expect(anonymName(hidden, "web")).toMatch(/^[0-9a-f]{6}$/);
    expect(anonymName(hidden, "web")).toBe(anonymName(hidden, "web"));
    expect(anonymName(hidden, "web")).not.toBe(anonymName({ ...plain, anonymKey: 8 }, "web"));
    expect(anonymName(hidden, "")).toBe("");
    expect(anonymAddress(plain, "10.0.0.1:80")).toBe("10.0.0.1:80");
    expect(anonymAddress(hidden, "10.0.0.1:80")).toMatch(/^[0-9a-f]{6}:80$/);
    expect(anonymAddress(hidden, "10.0.0.1")).toMatch(/^[0-9a-f]{6}$/);
  });
});

test("show env lists all, and never an empty line", async () => {
  expect(await ask("show env")).toEqual(["HOME=/\n", ""]);
});
