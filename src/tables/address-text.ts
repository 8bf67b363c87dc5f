/** Addresses of specs as text, as HAProxy's messages and configurations write them. */
import type { Address } from "./spec.ts";

/** The address without a port: an IP address, a path, `abns@NAME`, `fd@N`. */
export function hostText(address: Address): string {
  switch (address.family) {
    case "ipv4":
    case "ipv6":
      return address.host;
    case "unix":
      return address.path;
    case "abns":
      return `abns@${address.name}`;
    case "fd":
      return `fd@${address.fd}`;
  }
}

/** The same with the port where there is one; IPv6 stands in brackets then. */
export function addressText(address: Address): string {
  if (!("port" in address)) return hostText(address);
  const { family, host, port } = address;
  return family === "ipv6" ? `[${host}]:${port}` : `${host}:${port}`;
}
