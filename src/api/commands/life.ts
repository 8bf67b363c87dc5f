/** Commands that make and remove objects, wait for them, and explain who holds them. */
import type { Json } from "../../base/json.ts";
import { Refusal } from "../../base/refusals.ts";
import type { Holder } from "../../base/refusals.ts";
import { parseTime } from "../../config/numbers.ts";
import type { Made } from "../../config/runtime.ts";
import type { Control } from "../../control/control.ts";
import type { Change, DraftProxy, DraftServer } from "../../control/draft.ts";
import { drainAndDelete } from "../../control/life/drain.ts";
import type { DrainSteps } from "../../control/life/drain.ts";
import { describeHolders } from "../../control/life/explain.ts";
import type { Explanation } from "../../control/life/explain.ts";
import { holderClause } from "../../control/life/holders.ts";
import { prepareAddBinds, prepareDelBind } from "../../control/life/listeners.ts";
import {
  prepareAddProxy,
  prepareDelBackend,
  prepareDelFrontend,
  preparePublish,
} from "../../control/life/proxies.ts";
import { prepareAddServer, prepareDelServer } from "../../control/life/servers.ts";
import { lookAtBackend, lookAtServer, waitPlain, waitRemovable } from "../../control/life/wait.ts";
import type { WaitEnd, WaitLook } from "../../control/life/wait.ts";
import { serverName } from "../../control/model.ts";
import type { ListenerObject, ProxyObject, ServerObject } from "../../control/model.ts";
import { faultText, timeText } from "../../control/outlier/sentences.ts";
import { describeQuicUse, isQuicUsed, quicConnections } from "../../control/quic-use.ts";
import { adminAfter, readState, setAdmin } from "../../control/server-state.ts";
import type { AdminMode } from "../../control/server-state.ts";
import { anonymName } from "../anonymize.ts";
import type { Asker, Call, ChangeCommand, Command, Reply } from "../command.ts";
import { message, output } from "../command.ts";
import {
  backendOf,
  draftBackend,
  draftFrontend,
  draftServer,
  frontendOf,
  serverOf,
  splitPath,
  wanted,
} from "../find.ts";

/** Units of `wait` and `after-drain`: milliseconds unless said. */
function delayOf(text: string): number {
  const time = parseTime(text);
  if (!time.ok) throw new Refusal("BAD_ARGUMENT", "Invalid duration.");
  return time.value;
}

/** A spec made from words, or the refusal with what was wrong. */
function specOf<T>(call: Call, made: Made<T>): T {
  if (!made.ok) throw new Refusal("BAD_ARGUMENT", made.message);
  for (const text of made.warnings) call.control.say("warning", text);
  return made.spec;
}

function usage(text: string): Refusal {
  return new Refusal("BAD_ARGUMENT", `Usage: ${text}.`);
}

// ── servers ──

/** A server that comes or goes, and its backend, whose version moves on with it. */
function serverAndBackend({ args: [path = ""] }: Call): readonly string[] {
  const slash = path.indexOf("/");
  return slash <= 0 ? [path] : [path, path.slice(0, slash)];
}

const addServer: ChangeCommand = {
  name: "add server",
  usage: "<backend>/<server> <addr>[:<port>] [<keyword>…]",
  summary: "add a server, in maintenance",
  level: "admin",
  isUnused: true,
  prepare(call, draft) {
    const { control, args } = call;
    const { backend, server } = splitPath(wanted(args[0], "Require 'backend/server'."));
    const proxy = draftBackend(draft, backend);
    const made = control.runtime.makeServer(proxy.spec.name, server, args.slice(1));
    return prepareAddServer(control, draft, proxy, specOf(call, made));
  },
  touches: serverAndBackend,
};

const addServerHelp: Command = {
  name: "add server help",
  usage: "",
  summary: "list the keywords that a server made at run time takes",
  level: "admin",
  run({ control }) {
    const keywords = control.runtime.serverKeywords();
    const lines = keywords.map(({ name, args }) => `  ${args === "" ? name : `${name} ${args}`}\n`);
    return output(`Keywords of a server made at run time:\n${lines.join("")}`, [...keywords]);
  },
};

const delServer: ChangeCommand = {
  name: "del server",
  usage: "<backend>/<server> [after-drain <delay> [then-kill]]",
  summary: "remove a server that is in maintenance and serves nobody",
  level: "admin",
  prepare(call, draft) {
    const { control, args } = call;
    const entry = draftServer(draft, wanted(call.args[0], "Require 'backend/server'."));
    if (args.length === 1) return prepareDelServer(control, entry);
    return prepareDrain(call, entry);
  },
  touches: serverAndBackend,
};

/** The whole sequence, with progress: only by itself, not within a transaction. */
function prepareDrain(call: Call, entry: DraftServer): Change {
  const [, word, delay, last] = call.args;
  const isRight = word === "after-drain" && delay !== undefined && call.args.length <= 4;
  if (!isRight || (last !== undefined && last !== "then-kill")) {
    throw usage("del server <backend>/<server> [after-drain <delay> [then-kill]]");
  }
  const delayMs = delayOf(delay);
  if (entry.object === undefined) throw new Refusal("WRONG_STATE", "The server is not made yet.");
  const server = entry.object;
  const kills = last === "then-kill";
  const name = serverName(server);
  return {
    effect: `drains ${name} for up to ${delayMs} ms${kills ? ", ends the rest" : ""}, removes it`,
    isLong: true,
    apply: () => {
      const order = { server, delayMs, kills, gone: call.gone };
      return { text: "", pieces: drainAndDelete(call.control, drainSteps(call.control), order) };
    },
  };
}

function drainSteps({ keeper, tables, events }: Control): DrainSteps {
  const set = (server: ServerObject, mode: AdminMode): void => {
    const { admin } = readState(tables, server);
    const after = adminAfter(admin, mode);
    if (after === admin) return;
    setAdmin(keeper, server, after);
    events.changed("server-changed", server, `${serverName(server)} state ${mode}`);
  };
  return {
    drain: (server) => set(server, "drain"),
    maintain: (server) => set(server, "maint"),
  };
}

// ── backends and frontends ──

const addBackend: ChangeCommand = {
  name: "add backend",
  usage: "<name> from <defaults> [mode <mode>] [guid <guid>]",
  summary: "add a backend, which takes no traffic until it is published",
  level: "admin",
  isUnused: true,
  prepare(call, draft) {
    const { control, args } = call;
    const name = wanted(call.args[0], "Require backend name.");
    const [, from, defaults, ...words] = args;
    if (from !== "from" || defaults === undefined) {
      throw usage("add backend <name> from <defproxy>");
    }
    const spec = specOf(call, control.runtime.makeBackend(name, defaults, words));
    return prepareAddProxy(control, draft, spec);
  },
  touches: (call) => [call.args[0] ?? ""],
};

const addFrontend: ChangeCommand = {
  name: "add frontend",
  usage:
    "<name> from <defaults> [mode <mode>] [guid <guid>] [default_backend <name>] [maxconn <n>]",
  summary: "add a frontend without listeners",
  level: "admin",
  prepare(call, draft) {
    const { control, args } = call;
    const name = wanted(call.args[0], "Require frontend name.");
    const [, from, defaults, ...words] = args;
    if (from !== "from" || defaults === undefined) {
      throw usage("add frontend <name> from <defproxy>");
    }
    const spec = specOf(call, control.runtime.makeFrontend(name, defaults, words));
    return prepareAddProxy(control, draft, spec);
  },
  touches: (call) => [`frontend:${call.args[0] ?? ""}`],
};

/** A command about one backend of the draft. */
function backendCommand(
  name: string,
  summary: string,
  level: Command["level"],
  prepare: (control: Control, entry: DraftProxy) => Change,
): ChangeCommand {
  return {
    name,
    usage: "<backend>",
    summary,
    level,
    prepare(call, draft) {
      if (call.args.length !== 1) throw usage(`${name} <name>`);
      return prepare(
        call.control,
        draftBackend(draft, wanted(call.args[0], "A backend name is expected.")),
      );
    },
    touches: (call) => [call.args[0] ?? ""],
  };
}

const delBackend = backendCommand(
  "del backend",
  "remove an unpublished backend without servers and streams",
  "admin",
  prepareDelBackend,
);

const publish = backendCommand(
  "publish backend",
  "have rules that name the backend send it traffic",
  "operator",
  (control, entry) => preparePublish(control, entry, true),
);

const unpublish = backendCommand(
  "unpublish backend",
  "have rules that name the backend fall through",
  "operator",
  (control, entry) => preparePublish(control, entry, false),
);

const delFrontend: ChangeCommand = {
  name: "del frontend",
  usage: "<frontend>",
  summary: "remove a frontend without listeners and sessions",
  level: "admin",
  prepare(call, draft) {
    if (call.args.length !== 1) throw usage("del frontend <name>");
    return prepareDelFrontend(
      call.control,
      draftFrontend(draft, wanted(call.args[0], "A frontend name is expected.")),
    );
  },
  touches: (call) => [`frontend:${call.args[0] ?? ""}`],
};

// ── listeners ──

const addBind: ChangeCommand = {
  name: "add bind",
  usage: "<frontend> <address>[,…] [<bind keyword>…]",
  summary: "listen on further addresses",
  level: "admin",
  prepare(call, draft) {
    const { control, args } = call;
    const entry = draftFrontend(draft, wanted(call.args[0], "A frontend name is expected."));
    if (args.length < 2) throw usage("add bind <frontend> <address>[,…] [<bind keyword>…]");
    const made = control.runtime.makeBinds(entry.spec.name, args.slice(1));
    return prepareAddBinds(control, draft, entry, specOf(call, made));
  },
  touches: (call) => [`frontend:${call.args[0] ?? ""}`],
};

const delBind: ChangeCommand = {
  name: "del bind",
  usage: "<frontend>/<listener>",
  summary: "stop listening; connections that are there go on",
  level: "admin",
  prepare(call, draft) {
    if (call.args.length !== 1) throw usage("del bind <frontend>/<listener>");
    return prepareDelBind(call.control, draft, listenerOf(call.control, call.args[0] ?? ""));
  },
};

/** `<frontend>/<name>`, `<frontend>/#<id>` or `<frontend>/<address as written>`. */
function listenerOf(control: Control, text: string): ListenerObject {
  const at = text.indexOf("/");
  if (at < 0) throw new Refusal("BAD_ARGUMENT", "Require 'frontend/listener'.");
  const frontend = frontendOf(control.model, text.slice(0, at));
  const wanted = text.slice(at + 1);
  const found = frontend.listeners.find(
    ({ spec }) => spec.name === wanted || `#${spec.id}` === wanted || spec.text === wanted,
  );
  if (found !== undefined) return found;
  const names = frontend.listeners.map(({ spec }) => spec.name ?? `#${spec.id}`).join(", ");
  throw new Refusal("NO_LISTENER", `No such listener; ${frontend.spec.name} has: ${names}.`);
}

// ── waiting and explaining ──

const WAIT_USAGE = `Usage: wait {-h|<duration>} [condition [args...]]
  - '-h' displays this help
  - <duration> is the longest time to wait, in milliseconds or with one of the units
    'us', 'ms', 's', 'm', 'h', 'd'.
  - <condition> ends the wait early:
    - <none> : nothing does.
    - srv-removable <px>/<sv> : the server can be removed.
    - be-removable <px> : the backend can be removed.`;

const wait: Command = {
  name: "wait",
  usage: "{-h|<delay>} [srv-removable <backend>/<server> | be-removable <backend>]",
  summary: "wait for a time, or until an object can be removed",
  level: "user",
  endsAt: "half-close",
  async run(call) {
    const { args, gone } = call;
    if (args.length === 0) {
      throw new Refusal("BAD_ARGUMENT", "Expects a duration in milliseconds.");
    }
    if (args[0] === "-h" || args[1] === "-h") return message("info", WAIT_USAGE);
    const delayMs = delayOf(args[0] ?? "");
    if (args.length === 1) {
      const isOver = await waitPlain(delayMs, gone);
      return isOver ? message("info", "Done.") : message("error", "Interrupted. ");
    }
    return waitReply(await waitRemovable(call.control, delayMs, gone, condition(call)));
  },
};

function condition({ control, args }: Call): () => WaitLook {
  const [, word, name] = args;
  if (word === "srv-removable") {
    if (name === undefined) {
      throw new Refusal("BAD_ARGUMENT", "Missing server name (<backend>/<server>).");
    }
    if (!name.includes("/") && !name.startsWith("@")) {
      throw new Refusal("BAD_ARGUMENT", "Require 'backend/server'.");
    }
    return () => lookAtServer(control, () => serverOf(control.model, name));
  }
  if (word === "be-removable") {
    if (name === undefined) throw new Refusal("BAD_ARGUMENT", "Missing backend name.");
    return () => lookAtBackend(control, () => backendOf(control.model, name));
  }
  throw new Refusal("BAD_ARGUMENT", WAIT_USAGE);
}

function waitReply(end: WaitEnd): Reply {
  if (end.kind === "done") return message("info", "Done.");
  const words = { expired: "Wait delay expired.", interrupted: "Interrupted.", failed: "Failed." };
  const clause = end.held.length === 0 ? "" : ` Held by: ${holderClause(end.held)}.`;
  const code = { expired: "TIMEOUT", interrupted: "INTERRUPTED", failed: "WRONG_STATE" } as const;
  throw new Refusal(code[end.kind], `${words[end.kind]} ${end.reason}${clause}`, end.held);
}

const whyServer: Command = {
  name: "why server",
  usage: "<backend>/<server>",
  summary: "list what keeps a server from being removed, and what clears it",
  level: "operator",
  run: (call) =>
    explain(call, serverOf(call.control.model, wanted(call.args[0], "Require 'backend/server'."))),
};

const whyBackend: Command = {
  name: "why backend",
  usage: "<backend>",
  summary: "list what keeps a backend from being removed, and what clears it",
  level: "operator",
  run: (call) =>
    explain(
      call,
      backendOf(call.control.model, wanted(call.args[0], "A backend name is expected.")),
    ),
};

const showServer: Command = {
  ...whyServer,
  name: "show server",
  summary: "show a server's version and generation, and who holds it",
};

/** The answer of `why …`, and of `show backend <name>`. */
export async function explain(call: Call, object: ProxyObject | ServerObject): Promise<Reply> {
  const found = hideNames(call.asker, await describeHolders(call.control, object));
  const name = `${found.name} (version ${object.version}, generation ${object.generation})`;
  const out = "backend" in object ? ejectionText(call.control, object) : "";
  const head = `${name}${out}: `;
  if (found.holders.length === 0) {
    return output(`${head}nothing holds it, it can be removed\n`, toJson(found));
  }
  const lines = found.holders.map(({ text, clear }) => {
    return `  - ${text}${clear === undefined ? "" : `\n      cleared by: ${clear}`}\n`;
  });
  return output(`${head}held by\n${lines.join("")}`, toJson(found));
}

/** `, ejected for another 12s: 40 of 50 connections failed, more than 50%`, or nothing. */
function ejectionText({ outliers, clock }: Control, server: ServerObject): string {
  const ejection = outliers.watchOf(server)?.ejection;
  if (ejection === undefined || ejection === null) return "";
  const left = timeText(Math.max(0, ejection.untilMs - clock.nowMs()));
  return `, ejected for another ${left} (${faultText(ejection.fault)})`;
}

/** Under `set anon on` holders are told by kind and number: their sentences name others. */
function hideNames(asker: Asker, found: Explanation): Explanation {
  if (asker.anonymKey === 0) return found;
  const name = found.name.split("/").map((half) => anonymName(asker, half));
  const holders = found.holders.map(({ kind, count }) => ({ kind, text: `${count ?? 1} ${kind}` }));
  return { name: name.join("/"), holders };
}

const toJson = (found: { name: string; holders: readonly Holder[] }): Json => ({
  name: found.name,
  holders: found.holders.map((holder) => ({ ...holder })),
});

const showObjects: Command = {
  name: "show objects",
  usage: "",
  summary: "count objects, the rows they use, references and grace periods under way",
  level: "operator",
  run({ control, asker }) {
    const { model, shop, references, grace } = control;
    const tables = [
      ["proxies", model.proxies.length, shop.proxyRows],
      ["servers", model.serverByRow.size, shop.serverRows],
      ["listeners", model.listenerByRow.size, shop.listenerRows],
    ] as const;
    const counts = tables.map(([name, objects, rows]) => ({ name, objects, rows: rows.count }));
    const freed = tables.map(([name, , rows]) => ({ name, freed: rows.freed }));
    const held = { references: references.total, gracePeriods: grace.pending };
    const kept = quicKept(control, asker);
    const lines = tables.map(
      ([name, objects, rows]) =>
        `${name}: ${objects} objects, ${rows.count} rows of ${rows.rowsMax}, ${rows.freed} freed\n`,
    );
    const tail =
      `references: ${held.references}\ngrace periods: ${held.gracePeriods}\n` +
      kept.map(({ text }) => `kept for QUIC: ${text}\n`).join("");
    const quic = kept.map(({ data }) => data);
    return output(lines.join("") + tail, { tables: counts, freed, ...held, quic });
  },
};

/** Backends that are never removed, since a QUIC server is or was in them. */
function quicKept(
  { model, tables }: Control,
  asker: Asker,
): { text: string; data: Record<string, Json> }[] {
  return model.proxies.flatMap((backend) => {
    if (!isQuicUsed(tables, backend)) return [];
    const { quicUse, spec, row } = backend;
    const name = anonymName(asker, spec.name);
    const isVeiled = asker.anonymKey !== 0;
    const what = isVeiled ? "" : ` (${describeQuicUse(tables, backend)})`;
    const data = {
      backend: name,
      since: quicUse === undefined ? null : new Date(quicUse.sinceEpochMs).toISOString(),
      server: quicUse === undefined ? null : anonymName(asker, quicUse.server),
      connections: quicConnections(tables, row, false),
    };
    return [{ text: `${name}${what}`, data }];
  });
}

/** Everything of this file. */
export const LIFE_COMMANDS: readonly Command[] = [
  addServer,
  addServerHelp,
  delServer,
  addBackend,
  delBackend,
  publish,
  unpublish,
  addFrontend,
  delFrontend,
  addBind,
  delBind,
  wait,
  whyServer,
  whyBackend,
  showServer,
  showObjects,
];
