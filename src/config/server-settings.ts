/**
 * Settings taken back from a server as it was made: what `from srv:…` copies at run time, when no
 * draft is left.
 */
import { hostText } from "../tables/address-text.ts";
import type { Address, ServerSpec } from "../tables/spec.ts";
import type { ConfigAddress } from "./address.ts";
import { checkTlsOf } from "./checks/tls.ts";
import type { ServerSettings } from "./draft.ts";
import { NEW_NAMING } from "./names/words.ts";

/** The settings of `spec`, without its name, numbers and address. */
export function settingsOfServer(spec: ServerSpec): ServerSettings {
  const { name, id, guid, address, portMode, portOffset, source, check, quic, ...others } = spec;
  // Names of servers that come at run time are not looked up, whoever they take after.
  const { hostName, namePort, resolution, serviceName, ...rest } = others;
  const { address: checkAddress, fastIntervalMs, downIntervalMs, ...checkRest } = check;
  const { tls, stepTls, ...settings } = checkRest;
  const { address: agentAddress, ...agent } = spec.agent;
  const unlessPlain = (ms: number): number => (ms === check.intervalMs ? 0 : ms);
  const copied: ServerSettings = {
    ...rest,
    words: [],
    ...(quic === undefined ? {} : { quicBase: quic }),
    minconn: spec.minconn === spec.maxconn ? 0 : spec.minconn,
    check: settings,
    agent,
    checkTls: checkTlsOf(check),
    fastIntervalMs: unlessPlain(fastIntervalMs),
    downIntervalMs: unlessPlain(downIntervalMs),
    initAddresses: [{ kind: "none" }],
    naming: NEW_NAMING,
  };
  if (checkAddress !== undefined) {
    copied.checkAddress = { written: textOf(checkAddress), address: toConfigAddress(checkAddress) };
  }
  if (agentAddress !== undefined) {
    copied.agentAddress = { written: textOf(agentAddress), address: toConfigAddress(agentAddress) };
  }
  if (source !== undefined) {
    const written = textOf(source.address);
    const from = toConfigAddress(source.address, source.portMax);
    copied.source = { written, address: from, origin: spec.origin };
    if (source.interfaceName !== undefined) copied.source.interfaceName = source.interfaceName;
  }
  return copied;
}

/** As server lines write it: IPv6 without brackets. */
function textOf(address: Address): string {
  return "port" in address ? `${address.host}:${address.port}` : hostText(address);
}

/** @param portMax last port of a range, 0 = there is none */
function toConfigAddress(address: Address, portMax = 0): ConfigAddress {
  const transport = "stream";
  switch (address.family) {
    case "ipv4":
    case "ipv6": {
      const { host, port } = address;
      const family = address.family === "ipv4" ? 4 : 6;
      const portMode = port === 0 ? "absent" : "fixed";
      const ports = { portMode, portLow: port, portHigh: portMax || port, portOffset: 0 } as const;
      return { kind: "ip", transport, family, host, ...ports };
    }
    case "unix":
      return { kind: "unix", transport, path: address.path };
    case "abns":
      return { kind: "abns", transport, name: address.name };
    case "fd":
      return { kind: "fd", transport, fd: address.fd };
  }
}
