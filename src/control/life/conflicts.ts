/**
 * Addresses that a new bind must not take: the kernel would let it (SO_REUSEPORT, a renamed socket
 * file), and another frontend of this process, or another process, would lose its clients.
 */
import { readFileSync } from "node:fs";

import { Refusal } from "../../base/refusals.ts";
import type { Address, BindSpec } from "../../tables/spec.ts";
import type { LifeControl } from "../control.ts";

/** Flag of /proc/net/unix: the socket listens (`__SO_ACCEPTCON`). */
const LISTENS = "00010000";

/** @throws Refusal when somebody listens there already */
export function refuseTakenAddress(control: LifeControl, bind: BindSpec): void {
  const { model, plan } = control;
  const { address, text } = bind;
  for (const { spec, frontend } of model.listenerByRow.values()) {
    // UDP and TCP have ports of their own.
    if ((spec.quic === undefined) !== (bind.quic === undefined)) continue;
    if (overlaps(spec.address, address)) throw taken(text, `frontend ${frontend.spec.name}`);
  }
  if (bind.quic !== undefined) return;
  for (const { name, binds } of plan.pages) {
    for (const page of binds) {
      if (overlaps(page.address, address)) throw taken(text, `the statistics page ${name}`);
    }
  }
  if (address.family !== "unix" || !isListening(address.path)) return;
  const clause = "a process listens on that path; it would lose its socket";
  throw new Refusal("EXISTS", `cannot bind [${text}]: ${clause}.`);
}

const taken = (text: string, holder: string): Refusal =>
  new Refusal("EXISTS", `cannot bind [${text}]: ${holder} listens there already.`);

/** Would the two share clients? */
function overlaps(one: Address, other: Address): boolean {
  if (one.family === "unix") return other.family === "unix" && one.path === other.path;
  if (one.family === "abns") return other.family === "abns" && one.name === other.name;
  if (one.family === "fd" || !("port" in other) || one.port !== other.port) return false;
  if (isAny(one) || isAny(other)) return one.family === other.family;
  return one.host === other.host;
}

const isAny = (address: Address): boolean =>
  "host" in address && (address.host === "0.0.0.0" || address.host === "::");

function isListening(path: string): boolean {
  let table: string;
  try {
    table = readFileSync("/proc/net/unix", "utf8");
  } catch {
    return false;
  }
  return table.split("\n").some((line) => {
    const columns = line.split(" ");
    return columns[3] === LISTENS && line.endsWith(` ${path}`);
  });
}
