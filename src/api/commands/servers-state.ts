/**
 * Servers and backends as lists: `show servers state` (version 1 of HAProxy's format, which server
 * state files hold), `show servers conn`, `show backend` (management manual 9.3).
 */
import { Refusal } from "../../base/refusals.ts";
import type { Model, ProxyObject, ServerObject } from "../../control/model.ts";
import { describeQuicUse, isQuicUsed } from "../../control/quic-use.ts";
import { serverConnHeader, serverConnLine } from "../../control/stats/server-conn.ts";
import { SERVER_STATE_HEADER, serverStateLine } from "../../control/stats/server-state-line.ts";
import type { Naming } from "../../control/stats/server-state-line.ts";
import { statisticsOf } from "../../control/stats/statistics.ts";
import { anonymName } from "../anonymize.ts";
import { output, pieces } from "../command.ts";
import type { Asker, Call, Command, Reply } from "../command.ts";
import { backendOf, findBackend } from "../find.ts";
import { explain } from "./life.ts";

/** Characters after which a piece goes out. */
const PIECE_CHARACTERS = 16 * 1024;

/** The commands. */
export const SERVERS_STATE_COMMANDS: readonly Command[] = [
  {
    name: "show servers state",
    usage: "[<backend>]",
    summary: "dump volatile server information (all or for a single backend)",
    level: "user",
    run: (call) => {
      const statistics = statisticsOf(call.control);
      statistics.begin();
      return listServers(call, SERVER_STATE_HEADER, (server) =>
        serverStateLine(statistics, server, namingOf(call.asker)),
      );
    },
  },
  {
    name: "show servers conn",
    usage: "[<backend>]",
    summary: "dump server connections status (all or for a single backend)",
    level: "user",
    run: (call) => {
      const { tables } = call.control;
      return listServers(call, serverConnHeader(tables), (server) =>
        serverConnLine(tables, server, namingOf(call.asker)),
      );
    },
  },
  {
    name: "show backend",
    usage: "[<backend>]",
    summary: "list backends in the current running config, or tell who holds one",
    level: "user",
    run: showBackend,
  },
  {
    name: "show defaults",
    usage: "",
    summary: "list the defaults sections that new proxies can be made from",
    level: "user",
    run: ({ control: { runtime } }) => {
      const { defaultsNames } = runtime;
      return output(defaultsNames.map((name) => `${name}\n`).join(""), [...defaultsNames]);
    },
  },
  {
    name: "show default-server",
    usage: "[<backend>]",
    summary: "list the default-server lines that new servers can be made from",
    level: "user",
    run: showDefaultServers,
  },
];

/** Names as the connection wants to see them (`set anon on`). */
function namingOf(asker: Asker): Naming {
  const shown = (text: string): string => anonymName(asker, text);
  return { name: shown, address: shown };
}

const listOf = (head: string, names: readonly string[]): string =>
  [head, ...names].map((name) => `${name}\n`).join("");

/** A backend's first line has a mark; its `default-server` without a name is the backend's. */
function showDefaultServers(call: Call): Reply {
  const { model, runtime } = call.control;
  const [word = ""] = call.args;
  const backends =
    word === "" ? model.proxies.filter(({ spec }) => spec.hasBack) : [backendOf(model, word)];
  const names = backends.flatMap(({ spec }) =>
    runtime.defaultServers(spec.name).map((name, index) => {
      const path = name === "" ? spec.name : `${spec.name}/${name}`;
      return { path, text: `${index === 0 ? "*" : " "} ${path}\n` };
    }),
  );
  return output(
    names.map(({ text }) => text).join(""),
    names.map(({ path }) => path),
  );
}

/** Names first in their lines; behind `#` what keeps a backend for good. */
function showBackend(call: Call): Reply | Promise<Reply> {
  const { model, tables } = call.control;
  const [word = ""] = call.args;
  if (word !== "") return explain(call, backendOf(model, word));
  const { name } = namingOf(call.asker);
  const backends = model.proxies.filter(({ spec }) => spec.hasBack);
  const names = backends.map(({ spec }) => name(spec.name));
  const isVeiled = call.asker.anonymKey !== 0;
  const lines = backends.map((backend, index) => {
    if (!isQuicUsed(tables, backend)) return names[index]!;
    return `${names[index]!} # ${isVeiled ? "QUIC" : describeQuicUse(tables, backend)}`;
  });
  return output(listOf("# name", lines), names);
}

/** @throws Refusal when the backend named is none */
function listServers(call: Call, header: string, line: (server: ServerObject) => string): Reply {
  const { model } = call.control;
  const [word] = call.args;
  let backends = model.proxies.filter(({ spec }) => spec.hasBack);
  if (word !== undefined && word !== "") {
    const backend = findBackend(model, word);
    if (backend === undefined) throw new Refusal("NO_BACKEND", "Can't find backend.");
    backends = [backend];
  }
  return pieces(linesOf(model, backends, header, line));
}

/** What has gone when its turn comes is left out. */
function* linesOf(
  model: Model,
  backends: readonly ProxyObject[],
  header: string,
  line: (server: ServerObject) => string,
): Generator<string> {
  let text = header;
  for (const backend of backends) {
    if (model.proxyByRow.get(backend.row) !== backend) continue;
    for (const server of [...backend.servers]) {
      if (model.serverByRow.get(server.row) !== server) continue;
      text += line(server);
      if (text.length < PIECE_CHARACTERS) continue;
      yield text;
      text = "";
    }
  }
  if (text !== "") yield text;
}
