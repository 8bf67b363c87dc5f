/** QUIC servers and listeners in a state file: everything but keys, which stay in their files. */
import { describe, expect, test } from "bun:test";

import { changeSpec } from "../../../../src/control/change/server-address.ts";
import { graveOf } from "../../../../src/control/state/collect.ts";
import { presetCounter, readCounters } from "../../../../src/control/state/counters.ts";
import { bindQuicOf, withoutKeys } from "../../../../src/control/state/quic-secrets.ts";
import { readStateBytes } from "../../../../src/control/state/state-format.ts";
import { Shards } from "../../../../src/control/stats/shards.ts";
import * as back from "../../../../src/tables/generated/back-count.ts";
import type { BindSpec, QuicServerSpec } from "../../../../src/tables/spec.ts";
import { makeControlLab } from "../../../support/control-lab.ts";
import type { ControlLab } from "../../../support/control-lab.ts";
import { quicBindSpec } from "../../../support/quic-specs.ts";
import { begin, describeControl, fileOf } from "../../../support/state-lab.ts";
import type { StateLab } from "../../../support/state-lab.ts";
import { A, B, MACHINE } from "../../config/quic-texts.ts";

const CONFIG = `defaults d
  mode tcp
  timeout connect 1s
  timeout client 1s
  timeout server 1s
backend b
  server tcp 127.0.0.1:1
  server q quic4@127.0.0.1:2 ssl verify required ca-file /tls/authorities crt /tls/a.pem alpn doq
`;
const ADD =
  "add server b/late quic4@127.0.0.1:3 ssl verify required ca-file /tls/b.pem crt /tls/apart.pem " +
  "alpn doq,x sni str(late.test) pool-max-conn 3 pool-purge-delay 7s max-reuse 9";

const start = { machine: MACHINE };

/** What is in the file as text, whatever its format. */
function textOf(file: Uint8Array): string {
  const read = readStateBytes(file);
  if (!read.ok) throw new Error(read.reason);
  return JSON.stringify(read.batches);
}

function quicOf(lab: ControlLab, path: string): unknown {
  return lab.server(path).spec.quic;
}

describe("servers", () => {
  test("one that was added comes back whole, its files read again", async () => {
    const lab = await begin(CONFIG, undefined, start);
    expect(await lab.ask(ADD)).toBe("New server registered.");
    lab.settle();
    const file = fileOf(lab);
    const again = await begin(CONFIG, file, start);
    expect(again.leftOut).toEqual([]);
    expect(quicOf(again, "b/late")).toEqual(quicOf(lab, "b/late"));
    expect(quicOf(again, "b/late")).toMatchObject({
      certificate: { file: "/tls/apart.pem", chain: A.chain, key: A.key },
      authorities: B.chain,
      authoritiesFile: "/tls/b.pem",
      poolMaxConn: 3,
      maxReuse: 9,
    });
    const made = again.mutations.find(
      (one) => one.kind === "server.link" && one.server.name === "late",
    );
    expect(made).toMatchObject({ server: { quic: { certificate: { key: A.key } } } });
  });

  test("no key and no certificate is in the file", async () => {
    const lab = await begin(CONFIG, undefined, start);
    await lab.ask(ADD);
    await lab.ask("set server b/q addr 127.0.0.9");
    await lab.ask("disable server b/q");
    await lab.ask("del server b/q");
    lab.settle();
    const text = textOf(fileOf(lab));
    expect(text).toContain("/tls/apart.pem");
    expect(text).toContain("/tls/a.pem");
    for (const word of ["PRIVATE KEY", "CERTIFICATE"]) expect(text).not.toContain(word);
  });

  test("a certificate that was renewed is taken as it is now", async () => {
    const lab = await begin(CONFIG, undefined, start);
    await lab.ask(ADD);
    lab.settle();
    const files = { ...MACHINE.files, "/tls/apart.pem": B.chain, "/tls/apart.pem.key": B.key };
    const again = await begin(CONFIG, fileOf(lab), { machine: { ...MACHINE, files } });
    expect(quicOf(again, "b/late")).toMatchObject({ certificate: { chain: B.chain, key: B.key } });
  });

  test("a file that is gone is named, and only that server is left out", async () => {
    const lab = await begin(CONFIG, undefined, start);
    await lab.ask(ADD);
    await lab.ask("add server b/other 127.0.0.1:4");
    lab.settle();
    const { "/tls/apart.pem.key": _gone, ...files } = MACHINE.files!;
    const again = await begin(CONFIG, fileOf(lab), { machine: { ...MACHINE, files } });
    expect(again.leftOut).toHaveLength(1);
    expect(again.leftOut[0]).toMatch(/^server b\/late: '\/tls\/apart\.pem' has no private key/);
    expect(again.control.model.backends.get("b")!.serversByName.has("other")).toBe(true);
  });

  test("one that changed its transport keeps it, in both directions", async () => {
    const lab = await begin(CONFIG, undefined, start);
    const [tcp, q] = [lab.server("b/tcp"), lab.server("b/q")];
    changeSpec(lab.control, tcp, { ...tcp.spec, quic: q.spec.quic! });
    const { quic: _quic, ...plain } = q.spec;
    changeSpec(lab.control, q, plain);
    const again = await begin(CONFIG, fileOf(lab), start);
    expect(again.leftOut).toEqual([]);
    expect(quicOf(again, "b/tcp")).toEqual(quicOf(lab, "b/tcp"));
    expect(quicOf(again, "b/q")).toBeUndefined();
  });

  test("an edit of the configuration counts", async () => {
    const lab = await begin(CONFIG, undefined, start);
    const q = lab.server("b/q");
    changeSpec(lab.control, q, { ...q.spec, quic: { ...q.spec.quic!, maxReuse: 5 } });
    const file = fileOf(lab);
    expect(quicOf(await begin(CONFIG, file, start), "b/q")).toMatchObject({ maxReuse: 5 });
    const edited = await begin(CONFIG.replace("alpn doq", "alpn h3"), file, start);
    expect(quicOf(edited, "b/q")).toMatchObject({ alpn: ["h3"], maxReuse: -1 });
    expect(edited.leftOut.join()).toContain("changed since in quic");
  });

  test("one that was deleted stays away while its line is as it was", async () => {
    const lab = (await begin(CONFIG, undefined, start)) as StateLab;
    await lab.ask("disable server b/q");
    await lab.ask("del server b/q");
    lab.settle();
    const file = fileOf(lab);
    const names = (one: StateLab): string[] => [
      ...one.control.model.backends.get("b")!.serversByName.keys(),
    ];
    expect(names(await begin(CONFIG, file, start))).toEqual(["tcp"]);
    const edited = await begin(CONFIG.replace("alpn doq", "alpn h3"), file, start);
    expect(names(edited)).toEqual(["tcp", "q"]);
    expect(edited.overruled.join()).toContain("its line has changed since");
  });
});

describe("what was left out for want of a file", () => {
  const FRONT = `frontend f
  bind quic4@127.0.0.1:19980 name first ssl crt /tls/a.pem
  default_backend b
`;
  const text = `${CONFIG}${FRONT}`;
  const BIND = "add bind f quic4@127.0.0.1:19981 name more ssl crt /tls/apart.pem";
  const { "/tls/apart.pem.key": _key, ...fewer } = MACHINE.files!;
  const poor = { machine: { ...MACHINE, files: fewer } };
  const SET = "set server b/late name later";

  /** A file with one of each kind that needs the certificate. */
  async function full(): Promise<StateLab> {
    const lab = await begin(text, undefined, start);
    for (const line of [ADD, SET, BIND]) expect(await lab.ask(line)).not.toMatch(/^[A-Z_]+: /u);
    const tcp = lab.server("b/tcp");
    const quic = withCertificate(lab.server("b/later").spec.quic!);
    changeSpec(lab.control, tcp, { ...tcp.spec, quic });
    presetCounter(
      lab.control.tables,
      { kind: "server", object: lab.server("b/later") },
      back.BACK_COUNT_SESSIONS,
      17,
    );
    lab.settle();
    return lab;
  }

  const withCertificate = (quic: QuicServerSpec): QuicServerSpec => ({ ...quic, maxReuse: 3 });

  /** Names of what is there that needs the certificate. */
  const there = (lab: StateLab): string[] => [
    ...[...lab.control.model.backends.get("b")!.serversByName.keys()],
    ...lab.control.model.frontends.get("f")!.listeners.map(({ spec }) => spec.name ?? ""),
  ];

  test("comes back whole once the file does, over any number of starts without", async () => {
    const lab = await full();
    let file = fileOf(lab);
    for (let i = 0; i < 2; i++) {
      const without = await begin(text, file, poor);
      expect(without.leftOut).toHaveLength(3);
      expect(there(without)).toEqual(["tcp", "q", "first"]);
      expect(quicOf(without, "b/tcp")).toBeUndefined();
      file = fileOf(without);
    }
    const again = await begin(text, file, start);
    expect(again.leftOut).toEqual([]);
    expect(describeControl(again.control)).toEqual(describeControl(lab.control));
    const counted = { kind: "server", object: again.server("b/later") } as const;
    const sums = readCounters(new Shards(again.control.tables), counted);
    expect(sums[back.BACK_COUNT_SESSIONS >> 1]).toBe(17);
    expect(again.kept.servers).toEqual([]);
  });

  test("comes back when the module does", async () => {
    const without = await begin(text, fileOf(await full()), { ...start, quicProblem: "none here" });
    expect(without.leftOut.filter((said) => said.includes("none here"))).toHaveLength(3);
    const again = await begin(text, fileOf(without), start);
    expect(there(again)).toEqual(["tcp", "q", "later", "first", "more"]);
  });

  test.each([
    ["a server of its name", ["add server b/later 127.0.0.1:7", "del server b/later"], "later"],
    [
      "a listener of its address",
      ["add bind f quic4@127.0.0.1:19981 name x", "del bind f/x"],
      "more",
    ],
  ])("is forgotten after %s was made and deleted", async (_what, lines, name) => {
    const without = await begin(text, fileOf(await full()), poor);
    for (const line of lines) {
      const words = line.startsWith("add bind") ? `${line} ssl crt /tls/a.pem` : line;
      expect(await without.ask(words)).not.toMatch(/^[A-Z_]+: /u);
      without.settle();
    }
    const again = await begin(text, fileOf(without), start);
    expect(there(again)).toEqual(["tcp", "q", "later", "first", "more"].filter((n) => n !== name));
    expect(quicOf(again, "b/tcp")).toMatchObject({ maxReuse: 3 });
  });

  test("changes of a server are forgotten after an operator has changed it", async () => {
    const without = await begin(text, fileOf(await full()), poor);
    await without.ask("set server b/tcp weight 9");
    without.settle();
    const again = await begin(text, fileOf(without), start);
    expect(quicOf(again, "b/tcp")).toBeUndefined();
    expect(there(again)).toEqual(["tcp", "q", "later", "first", "more"]);
  });

  test("is not kept where the configuration counts", async () => {
    const edited = text.replace("  server tcp", "  server later 127.0.0.1:8\n  server tcp");
    const first = await begin(edited, fileOf(await full()), poor);
    expect(first.leftOut.join()).toContain("the configuration has one of this name now");
    const again = await begin(text, fileOf(first), start);
    expect(there(again)).toEqual(["tcp", "q", "first", "more"]);
  });
});

describe("the version of the file", () => {
  const versionOf = (file: Uint8Array): number => new DataView(file.buffer).getUint32(8);

  test("is the old one without QUIC, and both are read", async () => {
    const plain = CONFIG.replace(/ {2}server q .*\n/u, "");
    const lab = await begin(plain, undefined, start);
    await lab.ask("add server b/x 127.0.0.1:7");
    expect(versionOf(fileOf(lab))).toBe(1);
    const again = await begin(plain, fileOf(lab), start);
    expect(again.control.model.backends.get("b")!.serversByName.has("x")).toBe(true);
  });

  test.each([
    ["a server that was added", [ADD]],
    ["one that was deleted", ["disable server b/q", "del server b/q"]],
    ["one that changed", ["set server b/q addr tcp4@127.0.0.1"]],
    ["the mark of a backend", []],
  ])("is the new one with %s", async (_what, lines) => {
    const lab = await begin(CONFIG, undefined, start);
    for (const line of lines) await lab.ask(line);
    lab.settle();
    expect(versionOf(fileOf(lab))).toBe(2);
  });
});

describe("listeners", () => {
  const certificate = { file: "/tls/a.pem", chain: A.chain, key: A.key };
  const bind = {
    name: "q",
    quic: quicBindSpec({
      certificates: [certificate],
      authorities: B.chain,
      authoritiesFile: "/tls/b.pem",
      map: "session",
      halfOpenMax: 77,
    }),
  } as unknown as BindSpec;

  test("are written down without keys, and made whole again", async () => {
    const lab = await makeControlLab(CONFIG, start);
    const bare = withoutKeys(bind);
    expect(JSON.stringify(bare)).not.toContain("-----BEGIN");
    expect(bind.quic!.certificates).toEqual([certificate]);
    expect(bindQuicOf(lab.control.runtime, "f", bare.quic)).toEqual(bind.quic!);
  });

  test("values that this release does not know are left out", async () => {
    const lab = await makeControlLab(CONFIG, start);
    const { quic } = withoutKeys(bind);
    const odd = { ...quic, map: "sideways", alpn: [1], halfOpenMax: Infinity, flux: 3, sni: 5 };
    const made = bindQuicOf(lab.control.runtime, "f", odd);
    expect(made).toMatchObject({ map: "stream", alpn: [], halfOpenMax: 0 });
    expect(made).not.toHaveProperty("flux");
    expect(made).not.toHaveProperty("sni");
  });

  test("one without a file for its authorities keeps them", () => {
    const spec = { ...bind, quic: quicBindSpec({ authorities: B.chain }) };
    expect(withoutKeys(spec).quic!.authorities).toBe(B.chain);
  });
});

test("what is remembered of a deleted server has no key", async () => {
  const lab = await makeControlLab(CONFIG, start);
  const grave = graveOf(lab.server("b/q"));
  expect(JSON.stringify(grave)).not.toContain("-----BEGIN");
});
