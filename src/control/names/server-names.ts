/**
 * What DNS does to a server: another address, another record of its service, no address any more.
 * The same path as `set server … addr`: streams that stand stay, workers dial the new address,
 * checks go there. Told in HAProxy's sentences. Main thread.
 */
import { refreshServer } from "../../balance/refresh.ts";
import { SERVER_ADMIN_RESOLUTION_MAINT } from "../../tables/generated/enums.ts";
import { SERVER_ADMIN_STATE, SERVER_WEIGHT } from "../../tables/generated/server.ts";
import type { ServerSpec } from "../../tables/spec.ts";
import { LEVEL_NOTICE } from "../../wire/syslog.ts";
import type { ServerControl } from "../change/change.ts";
import { changeSpec } from "../change/server-address.ts";
import { serverName } from "../model.ts";
import type { ServerObject } from "../model.ts";
import { setResolved, setUnresolved } from "../server-state.ts";
import { weightOf } from "./assign-services.ts";
import type { NamedAddress, ServiceRecord } from "./message.ts";

/** The part of control that names need. */
export type NamesControl = ServerControl;

/** The same, and whoever has a few milliseconds each turn. */
export type NamesWork = NamesControl & { later(run: () => void): void };

/** Its name has no address, as far as the server's state says. */
export function isUnresolved(
  { tables }: Pick<NamesControl, "tables">,
  { row }: ServerObject,
): boolean {
  const admin = tables.servers.words[row + SERVER_ADMIN_STATE]!;
  return (admin & SERVER_ADMIN_RESOLUTION_MAINT) !== 0;
}

/** The address of a server without its port; undefined = it has none from a name. */
export function hostOfServer({ spec }: ServerObject): string | undefined {
  const { address } = spec;
  return address !== undefined && "host" in address ? address.host : undefined;
}

/**
 * Gives a server an address. One that had none leaves maintenance when all workers know it: none
 * may choose it before.
 * @param by whom it is from: `section/server`, `DNS cache`, `DNS additional record`
 * @returns whether anything has changed
 */
export function giveAddress(
  control: NamesWork,
  server: ServerObject,
  { family, host }: NamedAddress,
  by: string,
): boolean {
  const { spec, backend } = server;
  const { keeper, events } = control;
  const old = hostOfServer(server);
  const port = spec.portMode === "fixed" ? (spec.namePort ?? portOf(spec)) : 0;
  const isSame = old === host && portOf(spec) === port;
  if (!isSame) {
    const address = { family: family === 4 ? "ipv4" : "ipv6", host, port } as const;
    changeSpec(control, server, { ...spec, address });
    if (old !== host) {
      const move = `from ${old ?? "(none)"} to ${host} by ${by}`;
      const text = `${serverName(server)} changed its IP ${move}.`;
      keeper.tell(backend, { level: LEVEL_NOTICE, text });
    }
  }
  const wasUnresolved = isUnresolved(control, server);
  if (isSame && !wasUnresolved) return false;
  if (wasUnresolved) resolveLater(control, server, by !== BY_RECORD);
  events.changed("server-changed", server, `${serverName(server)} address ${host} by ${by}`);
  return true;
}

/** Addresses that come with records of services. */
export const BY_RECORD = "DNS additional record";

function resolveLater(control: NamesWork, server: ServerObject, isTold: boolean): void {
  const { shop, grace, keeper } = control;
  const { address } = server.spec;
  const resolve = (): void => {
    // Another address has its own turn; a server that was removed has none.
    const isCurrent = control.model.serverByRow.get(server.row) === server;
    if (!isCurrent || server.spec.address !== address || !isUnresolved(control, server)) return;
    setResolved(keeper, server);
    if (!isTold) return;
    const text = `Server ${serverName(server)} administratively READY thanks to valid DNS answer.`;
    keeper.tell(server.backend, { level: LEVEL_NOTICE, text });
  };
  grace.after(shop.log.sequence, () => control.later(resolve));
}

function portOf({ address }: ServerSpec): number {
  return address !== undefined && "port" in address ? address.port : 0;
}

/**
 * Takes a server's address away: it is in maintenance until there is one again.
 * @param why as HAProxy says it: `DNS NX status`
 */
export function takeAddress(control: NamesWork, server: ServerObject, why: string): void {
  if (isUnresolved(control, server) && server.spec.address === undefined) return;
  const { keeper, events } = control;
  setUnresolved(keeper, server, why);
  const { address: _address, ...rest } = server.spec;
  forgetAddress(control, server, rest);
  events.changed("server-changed", server, `${serverName(server)} has no address: ${why.trim()}`);
}

/**
 * Workers go on knowing the address: nobody is sent there any more, and who is on the way arrives.
 */
function forgetAddress(control: NamesWork, server: ServerObject, spec: ServerSpec): void {
  server.spec = spec;
  control.checks.refresh(server);
}

/** Fills a server with a record of its service. */
export function fillServer(control: NamesWork, server: ServerObject, record: ServiceRecord): void {
  const { keeper, events } = control;
  const { target: hostName, port: namePort, address } = record;
  const from = server.spec.hostName ?? "(null)";
  // Workers need it with its address only.
  server.spec = { ...server.spec, hostName, namePort };
  weighServer(control, server, record);
  const text = `${serverName(server)} changed its FQDN from ${from} to ${hostName} by 'SRV record'`;
  if (address !== undefined) giveAddress(control, server, address, BY_RECORD);
  keeper.tell(server.backend, { level: LEVEL_NOTICE, text });
  events.changed("server-changed", server, text);
}

/** The record of a server is gone. */
export function emptyServer(control: NamesWork, server: ServerObject): void {
  if (!isUnresolved(control, server)) {
    setUnresolved(control.keeper, server, "entry removed from SRV record");
  }
  const { address: _address, hostName: _name, ...rest } = server.spec;
  forgetAddress(control, server, { ...rest, namePort: 0 });
  const text = `${serverName(server)} has no record of ${rest.serviceName ?? ""} any more`;
  control.events.changed("server-changed", server, text);
}

/** The weight that a record says, unless the server does not want it. @returns whether it is new */
export function weighServer(
  { tables, shop, events, keeper }: NamesWork,
  server: ServerObject,
  record: ServiceRecord,
): boolean {
  if (server.spec.resolution?.ignoresWeight === true) return false;
  const { words } = tables.servers;
  const weight = weightOf(record);
  if (words[server.row + SERVER_WEIGHT] === weight) return false;
  words[server.row + SERVER_WEIGHT] = weight;
  keeper.outliers?.settle(server);
  refreshServer(shop.lb, server.backend.row, server.row);
  events.changed("server-changed", server, `${serverName(server)} weight ${weight} by SRV record`);
  return true;
}
