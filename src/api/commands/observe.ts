/**
 * What has happened: `show events`, which follows control's events, and `show errors`, the last
 * connections that broke the protocol (HAProxy management manual 9.3).
 */
import type { Json } from "../../base/json.ts";
import { Refusal } from "../../base/refusals.ts";
import type { ProtocolError } from "../../control/error-ring.ts";
import type { ProxyObject } from "../../control/model.ts";
import { listenerName } from "../../control/stats/front-row.ts";
import { observersOf } from "../../control/stats/observers.ts";
import { formatLocalMillis } from "../../expr/log-dates.ts";
import { output, pieces } from "../command.ts";
import type { Call, Command, Reply } from "../command.ts";
import { findBackend, findFrontend } from "../find.ts";

/** The ring's name, as HAProxy calls its own. */
const RING = "buf0";

/** The commands. */
export const OBSERVE_COMMANDS: readonly Command[] = [
  {
    name: "show events",
    usage: "[<sink>] [-w] [-n] [-0]",
    summary: "show event sink state",
    level: "user",
    endsAt: (args) => (args.some((word) => /^-[n0]*w/.test(word)) ? "any-input" : undefined),
    run: showEvents,
  },
  {
    name: "show errors",
    usage: "[<px>] [request|response]",
    summary: "report last request and/or response errors for each proxy",
    level: "operator",
    run: showErrors,
  },
  {
    name: "get var",
    usage: "<name>",
    summary: "retrieve contents of a process-wide variable",
    level: "operator",
    run: ({ args }) => {
      if ((args[0] ?? "") === "") {
        throw new Refusal("BAD_ARGUMENT", "Missing process-wide variable identifier.");
      }
      // Nothing sets one: `set var` belongs to a part that is not there yet.
      throw new Refusal("NOT_YET", "Variable not found.");
    },
  },
];

function showEvents(call: Call): Reply {
  const ring = observersOf(call.control).events;
  const [sink = "", ...options] = call.args;
  if (sink === "") {
    return output(
      "Supported events sinks are listed below. Add -w(wait), -n(new). Any key to stop\n" +
        `    ${RING.padEnd(10)} : type=buffer, ${ring.dropped} dropped, in-memory ring buffer\n`,
      [{ name: RING, dropped: ring.dropped, lines: ring.next - ring.oldest }],
    );
  }
  if (sink !== RING) throw new Refusal("BAD_ARGUMENT", "No such event sink");
  let isFollowed = false;
  let from = ring.oldest;
  let end = "\n";
  for (const word of options) {
    if (!/^-[wn0]+$/.test(word)) throw new Refusal("BAD_ARGUMENT", "unknown option");
    if (word.includes("w")) isFollowed = true;
    if (word.includes("n")) from = ring.next;
    if (word.includes("0")) end = "\0";
  }
  if (isFollowed) return pieces(ring.follow(from, end, call.gone));
  return output(ring.read(from, end).text);
}

function showErrors(call: Call): Reply {
  const { control, args } = call;
  const { errors } = observersOf(control);
  const chosen = proxiesOf(call);
  const isResponse = args[1] === "response";
  const now = formatLocalMillis(control.clock.epochMicros());
  const lines = [`Total events captured on [${now}] : ${errors.count}\n`];
  const data: Json[] = [];
  for (const proxy of isResponse ? [] : chosen) {
    for (const error of errors.of(proxy)) {
      lines.push(errorLines(proxy, error));
      data.push(errorJson(proxy, error));
    }
  }
  return output(lines.join(""), data);
}

/** The proxies that are asked for. @throws Refusal */
function proxiesOf({ control: { model }, args }: Call): readonly ProxyObject[] {
  const [word = ""] = args;
  if (word === "" || word === "-1" || word === "request" || word === "response") {
    return model.proxies;
  }
  const named = findFrontend(model, word) ?? findBackend(model, word);
  if (named !== undefined) return [named];
  const found = /^\d+$/.test(word) ? model.proxyById.get(Number(word)) : undefined;
  if (found === undefined) throw new Refusal("NO_PROXY", "No such proxy.");
  return [found];
}

function errorLines({ spec }: ProxyObject, error: ProtocolError): string {
  const { listener, epochMicros, number, client, reason } = error;
  const where = listener === undefined ? "-" : `${listenerName(listener)} (#${listener.spec.id})`;
  return (
    `[${formatLocalMillis(epochMicros)}] frontend ${spec.name} (#${spec.id}): invalid request\n` +
    `  backend <NONE> (#-1), server <NONE> (#-1), event #${number}, src ${client}\n` +
    `  listener ${where}: ${reason}\n`
  );
}

function errorJson({ spec }: ProxyObject, error: ProtocolError): Json {
  const { listener, epochMicros, number, client, reason } = error;
  return {
    number,
    frontend: spec.name,
    listener: listener === undefined ? null : listenerName(listener),
    client,
    reason,
    time: new Date(epochMicros / 1000).toISOString(),
  };
}
