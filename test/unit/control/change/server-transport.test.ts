/** `set server … addr` from one transport to the other, and what it needs for that. */
import { describe, expect, test } from "bun:test";

import { wantedTransport } from "../../../../src/control/change/server-transport.ts";
import { PROXY_FLAG_QUIC_USED } from "../../../../src/tables/generated/enums.ts";
import { PROXY_FLAGS } from "../../../../src/tables/generated/proxy.ts";
import { makeControlLab } from "../../../support/control-lab.ts";
import type { ControlLab } from "../../../support/control-lab.ts";
import { MACHINE } from "../../config/quic-texts.ts";

const CONFIG = `defaults d
  mode tcp
  timeout connect 1s
  timeout client 1s
  timeout server 1s
backend bare
  server t 127.0.0.1:1
  server q quic4@127.0.0.1:2 ssl verify required ca-file /tls/authorities alpn doq
backend usual
  default-server verify none alpn h3
  server t 127.0.0.1:3
`;

const make = (): Promise<ControlLab> => makeControlLab(CONFIG, { machine: MACHINE });
const BY = "by 'stats socket command'";

test.each([
  ["quic4@1.2.3.4", "quic"],
  ["quic6@::1", "quic"],
  ["quic+ipv4@1.2.3.4", "quic"],
  ["tcp4@1.2.3.4", "tcp"],
  ["tcp@1.2.3.4", "tcp"],
  ["stream+ipv6@::1", "tcp"],
  ["/run/x", "tcp"],
  ["abns@x", "tcp"],
  ["1.2.3.4", "same"],
  ["::1", "same"],
  ["ipv4@1.2.3.4", "same"],
])("%s asks for %s", (word, transport) => {
  expect(wantedTransport(word)).toBe(transport as never);
});

describe("to QUIC", () => {
  test("with the words of default-server", async () => {
    const lab = await make();
    expect(await lab.ask("set server usual/t addr quic4@10.0.0.1 port 4433")).toBe(
      `IP changed from '127.0.0.1' to '10.0.0.1', port changed from '3' to '4433', ` +
        `transport changed from 'tcp' to 'quic' ${BY}`,
    );
    const { spec } = lab.server("usual/t");
    expect(spec).toMatchObject({
      address: { family: "ipv4", host: "10.0.0.1", port: 4433 },
      quic: { verify: "none", alpn: ["h3"] },
    });
    expect(lab.mutations.at(-1)).toMatchObject({
      kind: "server.change",
      server: { quic: { alpn: ["h3"] } },
    });
    // From now on the backend stays for good.
    const flags =
      lab.control.tables.proxies.words[spec && lab.server("usual/t").backend.row + PROXY_FLAGS]!;
    expect(flags & PROXY_FLAG_QUIC_USED).toBe(PROXY_FLAG_QUIC_USED);
  });

  test("where nothing says how, it is refused with what to write; nothing has changed", async () => {
    const lab = await make();
    const before = lab.server("bare/t").spec;
    const said = await lab.ask("set server bare/t addr quic4@10.0.0.1");
    expect(said).toStartWith(
      "WRONG_STATE: nothing says how to speak QUIC with bare/t: write 'default-server verify",
    );
    expect(said).toContain("'add server bare/t quic4@<address> ssl verify required");
    expect(lab.server("bare/t").spec).toBe(before);
  });

  test("in place, when only the transport changes", async () => {
    const lab = await make();
    expect(await lab.ask("set server usual/t addr quic4@127.0.0.1")).toBe(
      `no need to change the addr, transport changed from 'tcp' to 'quic' ${BY}`,
    );
    expect(lab.server("usual/t").spec.quic).toBeDefined();
  });

  test("a path, a wrong family and a name are refused", async () => {
    const lab = await make();
    expect(await lab.ask("set server usual/t addr quic4@::1")).toStartWith(
      "BAD_ARGUMENT: Invalid addr",
    );
    expect(await lab.ask("set server usual/t addr quic4@host")).toStartWith(
      "BAD_ARGUMENT: Invalid addr",
    );
    expect(await lab.ask("set server usual/t addr quic4@*")).toStartWith(
      "BAD_ARGUMENT: Invalid addr",
    );
    expect(await lab.ask("set server usual/t addr quic4@/run/x")).toStartWith(
      "BAD_ARGUMENT: Invalid addr",
    );
    expect(lab.server("usual/t").spec.quic).toBeUndefined();
  });
});

describe("from QUIC", () => {
  test("a bare address keeps the transport", async () => {
    const lab = await make();
    const { quic } = lab.server("bare/q").spec;
    expect(await lab.ask("set server bare/q addr 10.0.0.2 port 9")).toBe(
      `IP changed from '127.0.0.1' to '10.0.0.2', port changed from '2' to '9' ${BY}`,
    );
    expect(lab.server("bare/q").spec.quic).toBe(quic!);
    expect(await lab.ask("set server bare/q addr ::1")).toContain("IP changed from '10.0.0.2'");
    expect(lab.server("bare/q").spec.quic).toBe(quic!);
  });

  test("tcp4@ and a path leave it; it comes back with the words that it had", async () => {
    const lab = await make();
    const { quic } = lab.server("bare/q").spec;
    expect(await lab.ask("set server bare/q addr tcp4@127.0.0.1")).toBe(
      `no need to change the addr, transport changed from 'quic' to 'tcp' ${BY}`,
    );
    expect(lab.server("bare/q").spec).not.toHaveProperty("quic");
    expect(await lab.ask("set server bare/q addr quic4@127.0.0.3")).toContain(
      "from 'tcp' to 'quic'",
    );
    expect(lab.server("bare/q").spec.quic).toBe(quic!);
    expect(await lab.ask("set server bare/q addr /run/x")).toContain("from 'quic' to 'tcp'");
    expect(lab.server("bare/q").spec).not.toHaveProperty("quic");
  });

  test("a server that was added as QUIC keeps its own words over TCP and back", async () => {
    const lab = await make();
    await lab.ask("add server bare/late quic4@127.0.0.1:5 ssl verify none alpn x,y max-reuse 3");
    lab.settle();
    const { quic } = lab.server("bare/late").spec;
    await lab.ask("set server bare/late addr tcp@127.0.0.1");
    await lab.ask("set server bare/late addr quic4@127.0.0.1");
    expect(lab.server("bare/late").spec.quic).toBe(quic!);
  });
});

test("a transaction that fails later leaves the transport as it was", async () => {
  const lab = await make();
  const { quic } = lab.server("bare/q").spec;
  const lines = [
    "set server bare/q addr tcp4@127.0.0.9",
    "set server usual/t addr quic4@127.0.0.9",
    "add server bare/q 127.0.0.1:1",
  ];
  expect(await lab.ask("transaction", lines.join("\n"))).toContain("Already exists a server");
  expect(lab.server("bare/q").spec).toMatchObject({ address: { host: "127.0.0.1" } });
  expect(lab.server("bare/q").spec.quic).toBe(quic!);
  expect(lab.server("usual/t").spec.quic).toBeUndefined();
});

test("'set server … ssl' is refused by name, and says what there is", async () => {
  const lab = await make();
  expect(await lab.ask("set server bare/t ssl on")).toContain("set server <b>/<s> addr quic4@");
});
