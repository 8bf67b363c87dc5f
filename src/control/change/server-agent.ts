/**
 * A server's agent on an operator's request: whether it is asked, what it counts for, where it is
 * and what it is sent (management manual 9.3).
 */
import { formatIp, IpAddress, parseIp } from "../../base/address.ts";
import { Refusal } from "../../base/refusals.ts";
import { SERVER_FLAG_AGENT_OFF } from "../../tables/generated/enums.ts";
import { SERVER_FLAGS } from "../../tables/generated/server.ts";
import type { Address, AgentSpec } from "../../tables/spec.ts";
import { madeServer } from "../draft.ts";
import type { Change, ChangeResult, DraftServer } from "../draft.ts";
import { serverName } from "../model.ts";
import type { ServerObject } from "../model.ts";
import { readState, restoreState, saveState } from "../server-state.ts";
import type { SavedState } from "../server-state.ts";
import { changed, draftName, unchanged } from "./change.ts";
import type { ServerControl } from "./change.ts";
import { resolveHost } from "./resolve.ts";
import { changeSpec, HOST_NAME, readOwnPort } from "./server-address.ts";

const NOT_CONFIGURED = "Agent was not configured on this server, cannot enable.";
const NOT_ENABLED = "agent checks are not enabled on this server";

/** `enable agent`, `disable agent`. @throws Refusal when there is none to enable */
export function prepareAgentChecks(
  control: ServerControl,
  entry: DraftServer,
  isOn: boolean,
): Change {
  const isThere = entry.spec.agent.enabled;
  if (isOn && !isThere) throw new Refusal("WRONG_STATE", NOT_CONFIGURED);
  let hasChanged = false;
  const set = (server: ServerObject, value: boolean): ChangeResult => {
    const { words } = control.tables.servers;
    const at = server.row + SERVER_FLAGS;
    if (value) Atomics.and(words, at, ~SERVER_FLAG_AGENT_OFF);
    else Atomics.or(words, at, SERVER_FLAG_AGENT_OFF);
    if (value) control.checks.resumeAgent(server);
    else control.checks.suspendAgent(server);
    const what = `${serverName(server)} agent ${value ? "enabled" : "disabled"}`;
    return changed(control, "server-changed", server, what);
  };
  return {
    effect: `${isOn ? "asks" : "does not ask"} the agent of ${draftName(entry)}`,
    apply: () => {
      const server = madeServer(control, entry);
      hasChanged = isThere && isAsked(control, server) !== isOn;
      return hasChanged ? set(server, isOn) : unchanged(server);
    },
    undo: () => {
      if (hasChanged) set(madeServer(control, entry), !isOn);
    },
  };
}

/** Nothing but its switch can be changed of an agent that is not asked. @throws Refusal */
function refuseUnasked(control: ServerControl, entry: DraftServer, sentence: string): void {
  const { spec, object } = entry;
  if (spec.agent.enabled && (object === undefined || isAsked(control, object))) return;
  throw new Refusal("WRONG_STATE", sentence);
}

/** `set server … agent`. @throws Refusal where no agent is asked */
export function prepareAgentHealth(
  control: ServerControl,
  entry: DraftServer,
  word: "up" | "down",
): Change {
  refuseUnasked(control, entry, `${NOT_ENABLED}.`);
  let before: { state: SavedState; isWell: boolean } | undefined;
  return {
    effect: `takes the agent of ${draftName(entry)} for ${word}`,
    apply: () => {
      const server = madeServer(control, entry);
      const isWell = control.checks.agentHealthOf(server) !== 0;
      before = { state: saveState(control.keeper, server), isWell };
      control.checks.setAgent(server, word === "up");
      const { health } = readState(control.tables, server);
      const isSame = isWell === (word === "up") && health === before.state.health;
      if (isSame) return unchanged(server);
      return changed(control, "server-changed", server, `${serverName(server)} agent ${word}`);
    },
    undo: () => {
      if (before === undefined) return;
      const server = madeServer(control, entry);
      control.checks.setAgent(server, before.isWell);
      restoreState(control.keeper, server, before.state);
      changed(control, "server-changed", server, `${serverName(server)} agent ${word} undone`);
    },
  };
}

/**
 * `set server … agent-addr <address> [port <port>]`, `agent-port <port>`. A name is looked up once.
 * @param words of either; undefined = as it is
 * @throws Refusal; while it is applied, when a name has no address
 */
export function prepareAgentPlace(
  control: ServerControl,
  entry: DraftServer,
  words: { address?: string; port?: string },
): Change {
  refuseUnasked(control, entry, NOT_ENABLED);
  const port = words.port === undefined ? {} : { port: readAgentPort(words.port) };
  const word = words.address;
  const literal = word === undefined ? undefined : ipAddress(word);
  if (word !== undefined && literal === undefined && !HOST_NAME.test(word)) {
    throw new Refusal("BAD_ARGUMENT", `invalid addr '${word}'`);
  }
  const address = literal === undefined ? {} : { address: literal };
  const change = agentChange(control, entry, { ...address, ...port }, "address");
  if (word === undefined || literal !== undefined) return change;
  return {
    ...change,
    apply: async () => {
      const found = await resolveHost(word, 0);
      const resolved = found === undefined ? undefined : ipAddress(found);
      if (resolved === undefined) throw new Refusal("SYSTEM", `invalid addr '${word}'`);
      return change.make({ address: resolved, ...port });
    },
  };
}

/** `set server … agent-send <text>`; without a text nothing is sent. @throws Refusal */
export function prepareAgentSend(control: ServerControl, entry: DraftServer, send: string): Change {
  refuseUnasked(control, entry, `${NOT_ENABLED}.`);
  return agentChange(control, entry, { send }, "text");
}

/** Other settings of an agent, and back. @param what `address` or `text`, for the event */
function agentChange(
  control: ServerControl,
  entry: DraftServer,
  settings: Partial<AgentSpec>,
  what: string,
): Change & { make(settings: Partial<AgentSpec>): ChangeResult } {
  entry.spec = { ...entry.spec, agent: { ...entry.spec.agent, ...settings } };
  let before: AgentSpec | undefined;
  const make = (wanted: Partial<AgentSpec>): ChangeResult => {
    const server = madeServer(control, entry);
    before = server.spec.agent;
    changeSpec(control, server, { ...server.spec, agent: { ...before, ...wanted } });
    return changed(control, "server-changed", server, `${serverName(server)} agent ${what}`);
  };
  return {
    effect: `changes the ${what} of the agent of ${draftName(entry)}`,
    make,
    apply: () => make(settings),
    undo: () => {
      const server = madeServer(control, entry);
      if (before === undefined) return;
      changeSpec(control, server, { ...server.spec, agent: before });
      changed(control, "server-changed", server, `${serverName(server)} agent ${what} undone`);
    },
  };
}

function isAsked({ tables }: Pick<ServerControl, "tables">, { row }: ServerObject): boolean {
  return (tables.servers.words[row + SERVER_FLAGS]! & SERVER_FLAG_AGENT_OFF) === 0;
}

/** An agent has no port but its own. @throws Refusal */
function readAgentPort(word: string): number {
  const port = readOwnPort(word);
  if (port === 0) throw new Refusal("BAD_ARGUMENT", "provided port is invalid");
  return port;
}

function ipAddress(word: string): Address | undefined {
  const ip = new IpAddress();
  if (!parseIp(word, ip) || ip.family === 0) return undefined;
  return { family: ip.family === 4 ? "ipv4" : "ipv6", host: formatIp(ip), port: 0 };
}
