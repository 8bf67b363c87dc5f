/** QUIC servers and listeners in a state file: everything but keys, which stay in their files. */
import { describe, expect, test } from "bun:test";

import { changeSpec } from "../../../../src/control/change/server-address.ts";
import { graveOf } from "../../../../src/control/state/collect.ts";
import { bindQuicOf, withoutKeys } from "../../../../src/control/state/quic-secrets.ts";
import { readStateBytes } from "../../../../src/control/state/state-format.ts";
import type { BindSpec } from "../../../../src/tables/spec.ts";
import { makeControlLab } from "../../../support/control-lab.ts";
import type { ControlLab } from "../../../support/control-lab.ts";
import { quicBindSpec } from "../../../support/quic-specs.ts";
import { begin, fileOf } from "../../../support/state-lab.ts";
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
