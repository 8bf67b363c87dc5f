/** Whole QUIC sessions go to QUIC servers only, at run time as in a configuration. */
import { describe, expect, test } from "bun:test";

import { makeControlLab } from "../../../support/control-lab.ts";
import type { ControlLab } from "../../../support/control-lab.ts";
import { MACHINE } from "../../config/quic-texts.ts";

const QUIC = "ssl crt /tls/a.pem alpn doq";
const CONFIG = `defaults d
  mode tcp
  timeout connect 1s
  timeout client 1s
  timeout server 1s
frontend whole
  bind quic4@127.0.0.1:7000 ${QUIC} quic-map session name it
  use_backend ruled if { src 10.0.0.1 }
  default_backend oses
frontend streams
  bind quic4@127.0.0.1:7001 ${QUIC}
  default_backend mixed
frontend none
  default_backend mixed
frontend rules
  use_backend mixed if { src 10.0.0.1 }
  default_backend oses
backend oses
  server s1 quic4@127.0.0.1:7201 ssl verify none
backend ruled
  server s1 quic4@127.0.0.1:7201 ssl verify none
backend mixed
  server q quic4@127.0.0.1:7201 ssl verify none
  server t 127.0.0.1:7101
listen own
  bind quic4@127.0.0.1:7002 ${QUIC}
  server t 127.0.0.1:7101
`;

const make = (): Promise<ControlLab> => makeControlLab(CONFIG, { machine: MACHINE });
const refusal = (server: string, bind: string): string =>
  `WRONG_STATE: 'server ${server}' : 'bind ${bind} … quic-map session' hands whole QUIC sessions ` +
  "to its backend: it needs a 'quic4@' address.";
/** Without the place, which run-time lines have none of. */
const asked = async (lab: ControlLab, line: string, payload?: string): Promise<string> =>
  (await lab.ask(line, payload)).replace(/ \([a-z.]+:\d+\)/u, "");

const WHOLE = "quic4@127.0.0.1:7000";
const NEW = `quic4@127.0.0.1:7009 ${QUIC} quic-map session`;

describe("a server behind such a listener", () => {
  test("is not added over TCP, by default or by rule, and the listener is named", async () => {
    const lab = await make();
    const before = lab.snapshot();
    expect(await lab.ask("add server oses/x 127.0.0.1:7101")).toContain("(t.cfg:7) hands whole");
    for (const backend of ["oses", "ruled"]) {
      const line = `add server ${backend}/x 127.0.0.1:7101`;
      expect(await asked(lab, line)).toBe(refusal(`${backend}/x`, WHOLE));
    }
    expect(lab.snapshot()).toEqual(before);
    const more = "quic4@127.0.0.1:7202 ssl verify none";
    expect(await lab.ask(`add server oses/x ${more}`)).toContain("New server registered.");
    expect(await lab.ask(`add server oses/y ${more} send-proxy`)).toContain(
      "hands it whole QUIC sessions, where 'send-proxy' has no place.",
    );
    expect(await lab.ask("add server mixed/x 127.0.0.1:7101")).toContain("New server registered.");
  });

  test("does not move to TCP; a bare address keeps it where it may stay", async () => {
    const lab = await make();
    for (const word of ["tcp4@127.0.0.1", "/run/x"]) {
      const line = `set server oses/s1 addr ${word}`;
      expect(await asked(lab, line)).toBe(refusal("oses/s1", WHOLE));
    }
    expect(await lab.ask("set server oses/s1 addr 127.0.0.1 port 7101")).toStartWith(
      "no need to change the addr, port changed from '7201' to '7101'",
    );
    expect(lab.server("oses/s1").spec.quic).toBeDefined();
    expect(await lab.ask("set server mixed/q addr tcp4@127.0.0.1")).toContain("to 'tcp'");
  });

  test("is free to once the listener goes, in the same transaction too", async () => {
    const lab = await make();
    const lines = ["del bind whole/it", "add server oses/x 127.0.0.1:7101"];
    expect(await lab.ask("transaction", lines.join("\n"))).toBe("2 changes made.");
  });
});

describe("such a listener", () => {
  test.each(["streams", "none", "rules"])(
    "is not added in front of TCP servers: %s",
    async (name) => {
      const lab = await make();
      const before = lab.snapshot();
      expect(await asked(lab, `add bind ${name} ${NEW}`)).toBe(
        refusal("mixed/t", "quic4@127.0.0.1:7009"),
      );
      expect(lab.snapshot()).toEqual(before);
    },
  );

  test("nor where a section has them itself", async () => {
    const lab = await make();
    expect(await asked(lab, `add bind own ${NEW}`)).toBe(refusal("own/t", "quic4@127.0.0.1:7009"));
  });

  test("is refused or taken by what a transaction did before", async () => {
    const lab = await make();
    const added = ["add server mixed/z quic4@127.0.0.1:1 ssl verify none", `add bind none ${NEW}`];
    expect(await asked(lab, "transaction", added.join("\n"))).toContain("'server mixed/t'");
    const moved = [
      "set server mixed/t state maint",
      "del server mixed/t",
      `add bind none ${NEW}`,
      "add server mixed/u 127.0.0.1:7101",
    ];
    expect(await asked(lab, "transaction", moved.join("\n"))).toContain("'server mixed/u'");
    expect(await lab.ask("transaction", moved.slice(0, 3).join("\n"))).toBe("3 changes made.");
  });
});
