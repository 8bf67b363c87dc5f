/**
 * Commands that change servers which exist (management manual 9.3): state, health, checks, weight,
 * limit, address, name. HAProxy takes words that are too many; here they are refused.
 */
import { Refusal } from "../../base/refusals.ts";
import {
  prepareAddress,
  prepareCheckPlace,
  prepareHostName,
} from "../../control/change/server-address.ts";
import {
  prepareAgentChecks,
  prepareAgentHealth,
  prepareAgentPlace,
  prepareAgentSend,
} from "../../control/change/server-agent.ts";
import { prepareMaxconn, prepareWeight, weightsOf } from "../../control/change/server-load.ts";
import { prepareRename } from "../../control/change/server-name.ts";
import { prepareAdmin, prepareChecks, prepareHealth } from "../../control/change/server-state.ts";
import type { Control } from "../../control/control.ts";
import type { Change, Draft, DraftServer } from "../../control/draft.ts";
import type { Call, ChangeCommand, Command, PlainCommand } from "../command.ts";
import { message } from "../command.ts";
import { draftServer, serverOf, wanted } from "../find.ts";

const NEEDS_PATH = "Require 'backend/server'.";

/** Refuses words behind the last one that counts. */
export function refuseMore(args: readonly string[], most: number): void {
  if (args.length <= most) return;
  throw new Refusal("BAD_ARGUMENT", `Too many arguments: '${args[most] ?? ""}' is not expected.`);
}

/** The server that the first word names, in a backend that is in use. @throws Refusal */
function entryOf(call: Call, draft: Draft): DraftServer {
  const entry = draftServer(draft, wanted(call.args[0], NEEDS_PATH));
  if (entry.proxy.spec.disabled) throw new Refusal("WRONG_STATE", "Proxy is disabled.");
  return entry;
}

const touches = (call: Call): readonly string[] => [call.args[0] ?? ""];

/** What may follow `set server <backend>/<server>`. */
type Aspect = {
  /** Words behind it, as help shows them. */
  usage: string;
  /** Most words behind it. */
  most: number;
  prepare(control: Control, draft: Draft, entry: DraftServer, words: readonly string[]): Change;
};

function oneOf<W extends string>(word: string | undefined, words: readonly W[], text: string): W {
  const found = words.find((one) => one === word);
  if (found === undefined) throw new Refusal("BAD_ARGUMENT", text);
  return found;
}

/** Something that servers of this release do not have. */
function missing(usage: string, text: string): Aspect {
  return {
    usage,
    most: 64,
    prepare: () => {
      throw new Refusal("NOT_YET", text);
    },
  };
}

/** `<address> [port <port>]`. */
function placeWords(
  words: readonly string[],
  text: string,
): { address: string; port: string | undefined } {
  const [address, portWord, port] = words;
  if (portWord !== undefined && portWord !== "port") {
    throw new Refusal("BAD_ARGUMENT", `Unknown argument '${portWord}': 'port' is expected.`);
  }
  return {
    address: wanted(address, text),
    port: portWord === undefined ? undefined : (port ?? ""),
  };
}

const ADDR_TEXT = "set server <b>/<s> addr requires an address and optionally a port.";
const CHECK_ADDR_TEXT = "set server <b>/<s> check-addr requires an address and optionally a port.";
const AGENT_TEXT = "'set server <srv> agent' expects 'up' or 'down'.";
const AGENT_ADDR_TEXT = "set server <b>/<s> agent-addr requires an address and optionally a port.";
const HEALTH_TEXT = "'set server <srv> health' expects 'up', 'stopping', or 'down'.";
const STATE_TEXT = "'set server <srv> state' expects 'ready', 'drain' and 'maint'.";
const WEIGHT_TEXT = "Require <weight> or <weight%>.";

/** QUIC is TLS; over TCP there is none to switch. */
const NO_SSL =
  "TLS over TCP to servers is not in this release; QUIC always has it: " +
  "set server <b>/<s> addr quic4@<address>.";

const ASPECTS: Record<string, Aspect> = {
  addr: {
    usage: "addr <address> [port <port>]",
    most: 3,
    prepare: (control, draft, entry, words) => {
      const { address, port } = placeWords(words, ADDR_TEXT);
      return prepareAddress(control, draft, entry, address, port);
    },
  },
  agent: {
    usage: "agent {up|down}",
    most: 1,
    prepare: (control, _draft, entry, words) =>
      prepareAgentHealth(control, entry, oneOf(words[0], ["up", "down"] as const, AGENT_TEXT)),
  },
  "agent-addr": {
    usage: "agent-addr <address> [port <port>]",
    most: 3,
    prepare: (control, _draft, entry, words) => {
      const { address, port } = placeWords(words, AGENT_ADDR_TEXT);
      return prepareAgentPlace(control, entry, {
        address,
        ...(port === undefined ? {} : { port }),
      });
    },
  },
  "agent-port": {
    usage: "agent-port <port>",
    most: 1,
    prepare: (control, _draft, entry, words) => {
      const port = wanted(words[0], "set server <b>/<s> agent-port requires a port.");
      return prepareAgentPlace(control, entry, { port });
    },
  },
  "agent-send": {
    usage: "agent-send <text>",
    most: 1,
    prepare: (control, _draft, entry, words) => prepareAgentSend(control, entry, words[0] ?? ""),
  },
  "check-addr": {
    usage: "check-addr <address> [port <port>]",
    most: 3,
    prepare: (control, _draft, entry, words) => {
      const { address, port } = placeWords(words, CHECK_ADDR_TEXT);
      return prepareCheckPlace(control, entry, {
        address,
        ...(port === undefined ? {} : { port }),
      });
    },
  },
  "check-port": {
    usage: "check-port <port>",
    most: 1,
    prepare: (control, _draft, entry, words) => {
      const port = wanted(words[0], "set server <b>/<s> check-port requires a port.");
      return prepareCheckPlace(control, entry, { port });
    },
  },
  fqdn: {
    usage: "fqdn <name>",
    most: 1,
    prepare: (control, _draft, entry, words) =>
      prepareHostName(control, entry, wanted(words[0], "set server <b>/<s> fqdn requires a FQDN.")),
  },
  health: {
    usage: "health {up|stopping|down}",
    most: 1,
    prepare: (control, _draft, entry, words) => {
      const health = oneOf(words[0], ["up", "stopping", "down"] as const, HEALTH_TEXT);
      return prepareHealth(control, entry, health);
    },
  },
  name: {
    usage: "name <name>",
    most: 1,
    prepare: (control, draft, entry, words) => {
      const name = wanted(words[0], "set server <b>/<s> name requires a new name.");
      return prepareRename(control, draft, entry, name);
    },
  },
  ssl: missing("ssl {on|off}", NO_SSL),
  state: {
    usage: "state {ready|drain|maint}",
    most: 1,
    prepare: (control, _draft, entry, words) => {
      const mode = oneOf(words[0], ["ready", "drain", "maint"] as const, STATE_TEXT);
      return prepareAdmin(control, entry, mode);
    },
  },
  weight: {
    usage: "weight <weight>[%]",
    most: 1,
    prepare: (control, _draft, entry, words) =>
      prepareWeight(control, entry, wanted(words[0], WEIGHT_TEXT)),
  },
};

const ASPECT_NAMES = Object.keys(ASPECTS).join(" | ");

const setServer: ChangeCommand = {
  name: "set server",
  usage: `<backend>/<server> { ${Object.values(ASPECTS)
    .map(({ usage }) => usage)
    .join(" | ")} }`,
  summary: "change a server's state, weight, address or name",
  level: "admin",
  prepare(call, draft) {
    const entry = entryOf(call, draft);
    const [, word = "", ...words] = call.args;
    const aspect = Object.hasOwn(ASPECTS, word) ? ASPECTS[word] : undefined;
    if (aspect === undefined) {
      const text = `usage: set server <backend>/<server> ${ASPECT_NAMES}`;
      throw new Refusal("BAD_ARGUMENT", text);
    }
    refuseMore(words, aspect.most);
    return aspect.prepare(call.control, draft, entry, words);
  },
  touches,
};

/** A change of one server without further words. */
function simple(
  name: string,
  summary: string,
  prepare: (control: Control, entry: DraftServer) => Change,
): ChangeCommand {
  return {
    name,
    usage: "<backend>/<server>",
    summary,
    level: "admin",
    prepare(call, draft) {
      const entry = entryOf(call, draft);
      refuseMore(call.args, 1);
      return prepare(call.control, entry);
    },
    touches,
  };
}

const setWeight: ChangeCommand = {
  name: "set weight",
  usage: "<backend>/<server> <weight>[%]",
  summary: "change a server's weight",
  level: "admin",
  prepare(call, draft) {
    const entry = entryOf(call, draft);
    const word = wanted(call.args[1], WEIGHT_TEXT);
    refuseMore(call.args, 2);
    return prepareWeight(call.control, entry, word);
  },
  touches,
};

const setMaxconn: ChangeCommand = {
  name: "set maxconn server",
  usage: "<backend>/<server> <maxconn>",
  summary: "change how many streams a server takes",
  level: "admin",
  prepare(call, draft) {
    const entry = entryOf(call, draft);
    const word = wanted(call.args[1], "Require <maxconn>.");
    refuseMore(call.args, 2);
    return prepareMaxconn(call.control, entry, word);
  },
  touches,
};

const getWeight: PlainCommand = {
  name: "get weight",
  usage: "<backend>/<server>",
  summary: "report a server's current weight",
  level: "user",
  run(call) {
    const { control, args } = call;
    const server = serverOf(control.model, wanted(args[0], NEEDS_PATH));
    refuseMore(args, 1);
    const { now, initial } = weightsOf(control, server);
    return message("info", `${now} (initial ${initial})`, {
      weight: now,
      initial,
      version: server.version,
    });
  },
};

/** The table. */
export const SERVER_COMMANDS: readonly Command[] = [
  setServer,
  simple("enable server", "put a server back into service", (control, entry) =>
    prepareAdmin(control, entry, "ready"),
  ),
  simple("disable server", "put a server in maintenance", (control, entry) =>
    prepareAdmin(control, entry, "maint"),
  ),
  simple("enable health", "resume the health checks of a server", (control, entry) =>
    prepareChecks(control, entry, true),
  ),
  simple("disable health", "suspend the health checks of a server", (control, entry) =>
    prepareChecks(control, entry, false),
  ),
  simple("enable agent", "resume the agent checks of a server", (control, entry) =>
    prepareAgentChecks(control, entry, true),
  ),
  simple("disable agent", "suspend the agent checks of a server", (control, entry) =>
    prepareAgentChecks(control, entry, false),
  ),
  setWeight,
  setMaxconn,
  getWeight,
];
