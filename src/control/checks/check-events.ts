/**
 * What checks and agents say, as events (`show events`): results that move a counter or are others
 * than before, and orders of agents when they change. Main thread.
 */
import type { CheckNews } from "../../check/messages.ts";
import { hasPassed, shownNumber } from "../../check/result.ts";
import type { AgentOrders } from "../../check/result.ts";
import type { Events } from "../events.ts";
import { serverName } from "../model.ts";
import type { ServerObject } from "../model.ts";
import type { CheckDesk } from "./desk.ts";
import type { CheckKind } from "./job.ts";

/** Tells events of what the desk hears from now on. */
export function tellCheckEvents(checks: Pick<CheckDesk, "onNews">, events: Events): void {
  const lastOrders = new WeakMap<ServerObject, string>();
  checks.onNews((server, kind, news) => {
    const about = { server, proxy: server.backend };
    if (news.hasMoved) {
      const text = `${serverName(server)} ${describeNews(kind, news)}`;
      events.tell({ kind: "server-check", ...about, text });
    }
    if (kind !== "agent") return;
    const orders = describeOrders(news.result.orders);
    if (orders === (lastOrders.get(server) ?? "")) return;
    lastOrders.set(server, orders);
    const text = `${serverName(server)} ${orders === "" ? "nothing any more" : orders}`;
    events.tell({ kind: "agent-orders", ...about, text });
  });
}

/** `check failed L4CON "Connection refused" 2/3 UP`. */
function describeNews(kind: CheckKind, news: CheckNews): string {
  const { result, counted, needed, isUp } = news;
  const number = shownNumber(result);
  const words = [
    kind,
    hasPassed(result) ? "passed" : result.code === "CHECKED" ? "answered" : "failed",
    number === undefined ? result.code : `${result.code}/${number}`,
    ...(result.info === undefined || result.info === "" ? [] : [`"${result.info}"`]),
    `${counted}/${needed}`,
    isUp ? "UP" : "DOWN",
  ];
  return words.join(" ");
}

/** `drain weight 75% maxconn 7`; health is told as a result. */
function describeOrders(orders: AgentOrders | undefined): string {
  const { admin, weight, maxconn } = orders ?? {};
  const words: string[] = [];
  if (admin !== undefined) words.push(admin);
  if (weight !== undefined) {
    words.push(`weight ${"percent" in weight ? `${weight.percent}%` : weight.absolute}`);
  }
  if (maxconn !== undefined) words.push(`maxconn ${maxconn}`);
  return words.join(" ");
}
