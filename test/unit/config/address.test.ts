/** Address forms of manual 2.9, as `bind` and `server` use them. */
import { describe, expect, test } from "bun:test";

import { parseAddress } from "../../../src/config/address.ts";
import type { AddressRules } from "../../../src/config/address.ts";

const variables = (name: string): string | undefined => ({ IP: "10.0.0.1", PORT: "81" })[name];

const BIND: AddressRules = {
  port: "mandatory",
  range: true,
  offset: false,
  transports: ["stream", "quic"],
  variables,
};
const SERVER: AddressRules = { ...BIND, port: "optional", range: false, offset: true };
const LOG: AddressRules = {
  ...BIND,
  port: "optional",
  range: false,
  transports: ["datagram", "stream"],
};

/** `family host portMode low-high offset`, or what the address is, or the refusal. */
function show(text: string, rules: AddressRules): string {
  const result = parseAddress(text, rules);
  if (!result.ok) return `${result.coming === true ? "coming" : "refused"}: ${result.message}`;
  const address = result.value;
  switch (address.kind) {
    case "unix":
      return `unix ${address.path}`;
    case "abns":
      return `abns ${address.name}`;
    case "fd":
      return `fd ${address.fd}`;
    default: {
      const host = address.kind === "ip" ? address.host : `name ${address.name}`;
      const ports = `${address.portLow}-${address.portHigh}${address.portOffset >= 0 ? "+" : ""}`;
      return `${address.family} ${host} ${address.portMode} ${ports}${address.portOffset}`;
    }
  }
}

describe("bind", () => {
  const cases: [text: string, shown: string][] = [
    ["*:80", "4 0.0.0.0 fixed 80-80+0"],
    [":80", "4 0.0.0.0 fixed 80-80+0"],
    ["1.2.3.4:80", "4 1.2.3.4 fixed 80-80+0"],
    ["[::]:80", "6 :: fixed 80-80+0"],
    [":::80", "6 :: fixed 80-80+0"],
    ["::1:80", "6 ::1 fixed 80-80+0"],
    ["[::1]:80", "6 ::1 fixed 80-80+0"],
    ["2001:DB8:0:0::1:443", "6 2001:db8::1 fixed 443-443+0"],
    ["ipv4@:80", "4 0.0.0.0 fixed 80-80+0"],
    ["ipv6@*:80", "6 :: fixed 80-80+0"],
    ["ipv6@:80", "6 :: fixed 80-80+0"],
    ["tcp@1.2.3.4:80", "4 1.2.3.4 fixed 80-80+0"],
    ["tcp4@1.2.3.4:80", "4 1.2.3.4 fixed 80-80+0"],
    ["tcp6@[::1]:80", "6 ::1 fixed 80-80+0"],
    ["stream+ipv4@1.2.3.4:80", "4 1.2.3.4 fixed 80-80+0"],
    ["ip@localhost:80", "0 name localhost fixed 80-80+0"],
    ["ipv4@localhost:80", "4 name localhost fixed 80-80+0"],
    ["localhost:80", "0 name localhost fixed 80-80+0"],
    ["my_host-1.example.:80", "0 name my_host-1.example. fixed 80-80+0"],
    [":8000-8010", "4 0.0.0.0 fixed 8000-8010+0"],
    ["$IP:$PORT", "4 10.0.0.1 fixed 81-81+0"],
    ["${IP}:${NOPE-82}", "4 10.0.0.1 fixed 82-82+0"],
    ["/run/x.sock", "unix /run/x.sock"],
    ["unix@x.sock", "unix x.sock"],
    ["uxst@/x", "unix /x"],
    ["abns@name", "abns name"],
    ["fd@12", "fd 12"],
    ["80", "refused: missing port specification in '80'"],
    ["localhost", "refused: missing port specification in 'localhost'"],
    ["[::1]", "refused: missing port specification in '[::1]'"],
    [":0", "refused: invalid port '0'"],
    [":65536", "refused: invalid port '65536'"],
    [":80-70", "refused: invalid port range '80-70'"],
    [":80x", "refused: invalid character in port number '80x' in ':80x'"],
    [":+1", "refused: port offset not permitted here in ':+1'"],
    ["1.2.3:80", "refused: invalid address: '1.2.3' in '1.2.3:80'"],
    ["1.2.3.400:80", "refused: invalid address: '1.2.3.400' in '1.2.3.400:80'"],
    ["ipv4@[::1]:80", "refused: invalid address: '[::1]' in 'ipv4@[::1]:80'"],
    ["<ip>:80", "refused: invalid address: '<ip>' in '<ip>:80'"],
    ["fd@x", "refused: file descriptor 'x' is not a valid integer in 'fd@x'"],
    ["unix@", "refused: missing path in 'unix@'"],
    ["nope@1.2.3.4:80", "refused: unknown address prefix 'nope@' in 'nope@1.2.3.4:80'"],
    ["udp@:80", "refused: dgram-type address not acceptable in 'udp@:80'"],
    ["dgram+ipv4@:80", "refused: dgram-type address not acceptable in 'dgram+ipv4@:80'"],
    ["quic4@:443", "4 0.0.0.0 fixed 443-443+0"],
    ["quic6@[::1]:443-445", "6 ::1 fixed 443-445+0"],
    ["quic+ipv4@1.2.3.4:443", "4 1.2.3.4 fixed 443-443+0"],
    ["quic+ip@1.2.3.4:443", "4 1.2.3.4 fixed 443-443+0"],
    ["quic4@[::1]:443", "refused: invalid address: '[::1]' in 'quic4@[::1]:443'"],
    ["quic+fd@3", "refused: QUIC needs an IP address: 'quic+fd@3'"],
    ["quic+unix@/x", "refused: QUIC needs an IP address: 'quic+unix@/x'"],
    ["quic+tcp4@1.2.3.4:443", "refused: QUIC needs an IP address: 'quic+tcp4@1.2.3.4:443'"],
    ["mptcp@:80", "coming: MPTCP addresses are not built yet: 'mptcp@:80'"],
    [`/${"x".repeat(120)}`, `refused: socket path '/${"x".repeat(120)}' too long (max 107)`],
  ];
  for (const [text, shown] of cases) {
    test(text.slice(0, 40), () => {
      expect(show(text, BIND)).toBe(shown);
    });
  }
});

describe("server", () => {
  const cases: [text: string, shown: string][] = [
    ["1.2.3.4", "4 1.2.3.4 absent 0-0+0"],
    ["1.2.3.4:", "4 1.2.3.4 absent 0-0+0"],
    ["1.2.3.4:0", "4 1.2.3.4 fixed 0-0+0"],
    ["1.2.3.4:+10", "4 1.2.3.4 offset 0-0+10"],
    ["1.2.3.4:-10", "4 1.2.3.4 offset 0-0-10"],
    ["[::1]", "6 ::1 absent 0-0+0"],
    ["[::1]:+0", "6 ::1 offset 0-0+0"],
    ["*:80", "4 0.0.0.0 fixed 80-80+0"],
    ["db.example", "0 name db.example absent 0-0+0"],
    ["1.2.3.4:1-3", "refused: port range not permitted here in '1.2.3.4:1-3'"],
  ];
  for (const [text, shown] of cases) {
    test(text, () => {
      expect(show(text, SERVER)).toBe(shown);
    });
  }
});

test("logs take datagrams and streams", () => {
  const transports = ["127.0.0.1:514", "udp@127.0.0.1:514", "tcp@127.0.0.1:514", "/dev/log"].map(
    (text) => {
      const result = parseAddress(text, LOG);
      return result.ok ? result.value.transport : result.message;
    },
  );
  expect(transports).toEqual(["datagram", "datagram", "stream", "datagram"]);
});

test("QUIC is for listeners and servers, and its prefix is kept", () => {
  for (const text of ["quic4@1.1.1.1:443", "quic+ip@1.1.1.1:443"]) {
    const taken = parseAddress(text, SERVER);
    expect(taken.ok && taken.value.transport).toBe("quic");
    const refused = parseAddress(text, LOG);
    expect(refused.ok || refused.message).toBe(
      `QUIC addresses are for 'bind' and 'server' lines only: '${text}'`,
    );
  }
});
