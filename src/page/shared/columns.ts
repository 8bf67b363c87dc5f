/**
 * The columns of a proxy's table: HAProxy's groups and names, what each shows of a row, what it
 * tells when pointed at, and by what it sorts. Server and browser make the same cells from it.
 */
import { has, numberOf, textOf } from "./fields.ts";
import type { Row, RowField } from "./fields.ts";
import { formatBytes, formatCount, formatDuration, formatMs } from "./format.ts";
import { stateOf, stateRank } from "./state.ts";

/** One column. */
export type Column = {
  /** Short and unique: part of element ids and links. */
  readonly key: string;
  readonly group: string;
  readonly label: string;
  /** What it is, in a sentence. */
  readonly about: string;
  /** 1: shown on the smallest screen, 2: on one of middle size, 3: where there is room for all. */
  readonly level: Level;
  /** Its name where groups are not shown. */
  readonly short: string;
  /** Set flush right, in digits of one width. */
  readonly isNumber: boolean;
  /** Text of the cell; "" = nothing. */
  text(row: Row): string;
  /** What more there is to say; "" = nothing. */
  tip(row: Row): string;
  /** What it sorts by. */
  order(row: Row): number | string;
};

/** On which screens a column is shown. */
export type Level = 1 | 2 | 3;

const none = (): string => "";

type Options = {
  level?: Level;
  short?: string;
  /** What stands for a limit that is not set. */
  unset?: string;
  show?: (value: number) => string;
  tip?: (row: Row) => string;
};

/** A column of one number. */
function count(
  group: string,
  label: string,
  field: RowField,
  about: string,
  options: Options = {},
): Column {
  const { level = 3, short = label, unset = "", show = formatCount, tip = none } = options;
  return {
    key: field,
    group,
    label,
    about,
    level,
    short,
    isNumber: true,
    text: (row) => (has(row, field) ? show(numberOf(row, field)) : limitUnset(row, field, unset)),
    tip,
    order: (row) => numberOf(row, field),
  };
}

/** A limit that is not set is told from one that the kind of row does not have. */
function limitUnset(row: Row, field: RowField, unset: string): string {
  if (unset === "") return "";
  if (field === "rate_lim") return row.kind === "frontend" ? unset : "";
  if (field === "qlimit") return row.kind === "server" ? unset : "";
  return unset;
}

const nonZero = (value: number): string => (value === 0 ? "-" : formatCount(value));

/** All columns after the name, in order. */
export const COLUMNS: readonly Column[] = [
  {
    key: "status",
    group: "Status",
    label: "Status",
    about: "What it is doing, and for how long",
    level: 1,
    short: "Status",
    isNumber: false,
    text: statusText,
    tip: statusTip,
    order: (row) => stateRank(stateOf(row)),
  },
  count("Queue", "Cur", "qcur", "Streams that wait now", { level: 2, short: "Queue" }),
  count("Queue", "Max", "qmax", "Most streams that waited at once"),
  count("Queue", "Limit", "qlimit", "Longest queue allowed", { unset: "-", show: nonZero }),
  count("Session rate", "Cur", "rate", "Sessions in the last second", {
    level: 1,
    short: "Rate",
    tip: (row) => pairs([["Connections in the last second", row, "conn_rate", formatCount]]),
  }),
  count("Session rate", "Max", "rate_max", "Most sessions in a second", {
    level: 2,
    short: "Max rate",
    tip: (row) => pairs([["Most connections in a second", row, "conn_rate_max", formatCount]]),
  }),
  count("Session rate", "Limit", "rate_lim", "Sessions allowed in a second", {
    unset: "-",
    show: nonZero,
  }),
  count("Sessions", "Cur", "scur", "Sessions now", { level: 1, short: "Sessions" }),
  count("Sessions", "Max", "smax", "Most sessions at once", { level: 2 }),
  count("Sessions", "Limit", "slim", "Sessions allowed at once", {
    level: 2,
    unset: "-",
    show: nonZero,
  }),
  count("Sessions", "Total", "stot", "Sessions so far", { level: 1, tip: timesTip }),
  count("Sessions", "LbTot", "lbtot", "Streams that the balancing algorithm placed"),
  {
    key: "lastsess",
    group: "Sessions",
    label: "Last",
    about: "Time since the last session",
    level: 2,
    short: "Last",
    isNumber: true,
    text: lastText,
    tip: none,
    order: (row) => {
      const last = numberOf(row, "lastsess");
      return !has(row, "lastsess") || last < 0 ? Number.MAX_SAFE_INTEGER : last;
    },
  },
  count("Bytes", "In", "bin", "Bytes from clients", {
    level: 1,
    show: formatBytes,
    tip: (row) => exact(row, "bin", "bytes from clients"),
  }),
  count("Bytes", "Out", "bout", "Bytes to clients", {
    level: 1,
    show: formatBytes,
    tip: (row) => exact(row, "bout", "bytes to clients"),
  }),
  count("Denied", "Req", "dreq", "Requests denied by rules", {
    tip: (row) =>
      pairs([
        ["Connections denied", row, "dcon", formatCount],
        ["Sessions denied", row, "dses", formatCount],
      ]),
  }),
  count("Denied", "Resp", "dresp", "Responses denied by rules"),
  count("Errors", "Req", "ereq", "Connections that ended as errors of the client"),
  count("Errors", "Conn", "econ", "Streams that could not be connected to a server", {
    level: 1,
    short: "Conn err",
  }),
  count("Errors", "Resp", "eresp", "Streams that a connected server failed", {
    level: 2,
    short: "Resp err",
    tip: (row) =>
      pairs([
        ["Aborted by clients", row, "cli_abrt", formatCount],
        ["Aborted by servers", row, "srv_abrt", formatCount],
        ["Faults of the process itself", row, "eint", formatCount],
      ]),
  }),
  count("Warnings", "Retr", "wretr", "Attempts to connect after the first", { level: 2 }),
  count("Warnings", "Redis", "wredis", "Streams that were sent to another server", { level: 2 }),
  {
    key: "check",
    group: "Server",
    label: "LastChk",
    about: "Result of the last health check",
    level: 2,
    short: "Check",
    isNumber: false,
    text: checkText,
    tip: checkTip,
    order: (row) => textOf(row, "check_status"),
  },
  {
    key: "weight",
    group: "Server",
    label: "Wght",
    about: "Weight in force / as set",
    level: 2,
    short: "Weight",
    isNumber: true,
    text: weightText,
    tip: none,
    order: (row) => numberOf(row, "weight"),
  },
  role("act", "Act", "Takes traffic of its own: of a backend, how many such servers are usable"),
  role("bck", "Bck", "Backup server: of a backend, how many such servers are usable"),
  count("Server", "Chk", "chkfail", "Health checks that failed while it was up"),
  count("Server", "Dwn", "chkdown", "Times it went from up to down", { level: 2, short: "Downs" }),
  count("Server", "Dwntme", "downtime", "Time that it was down", {
    level: 2,
    short: "Down for",
    show: formatDuration,
  }),
  count("Server", "Thrtle", "throttle", "Part of its weight during a slow start", {
    show: (value) => `${value}%`,
  }),
];

function role(field: "act" | "bck", label: string, about: string): Column {
  return {
    key: field,
    group: "Server",
    label,
    about,
    level: 3,
    short: label,
    isNumber: true,
    text: (row) => {
      if (!has(row, field)) return "";
      const value = numberOf(row, field);
      return row.kind === "server" ? (value > 0 ? "Y" : "-") : formatCount(value);
    },
    tip: none,
    order: (row) => numberOf(row, field),
  };
}

function statusText(row: Row): string {
  const status = textOf(row, "status");
  if (status === "no check" || !has(row, "lastchg")) return status;
  return `${status} ${formatDuration(numberOf(row, "lastchg"))}`;
}

function statusTip(row: Row): string {
  const lines: string[] = [];
  if (has(row, "tracked") && textOf(row, "tracked") !== "") {
    lines.push(`Has the state of ${textOf(row, "tracked")}`);
  }
  if (has(row, "check_health")) {
    const rise = numberOf(row, "check_rise");
    const health = numberOf(row, "check_health");
    lines.push(
      health >= rise
        ? `Falls after ${health - rise + 1} failed checks`
        : `Rises after ${rise - health} passed checks`,
    );
  }
  return lines.join("\n");
}

function timesTip(row: Row): string {
  return pairs([
    ["Connections so far", row, "conn_tot", formatCount],
    ["Connections to servers begun", row, "connect", formatCount],
    ["Queue time, average", row, "qtime", formatMs],
    ["Queue time, longest", row, "qtime_max", formatMs],
    ["Connect time, average", row, "ctime", formatMs],
    ["Connect time, longest", row, "ctime_max", formatMs],
    ["Session time, average", row, "ttime", formatMs],
    ["Session time, longest", row, "ttime_max", formatMs],
    ["QUIC connections now", row, "quic_conn_cur", formatCount],
    ["QUIC connections so far", row, "quic_conn_open", formatCount],
    ["QUIC handshakes that failed", row, "quic_hdshk_fail", formatCount],
    ["QUIC packets sent", row, "quic_sent_pkt", formatCount],
    ["QUIC packets lost", row, "quic_lost_pkt", formatCount],
  ]);
}

function lastText(row: Row): string {
  if (!has(row, "lastsess")) return "";
  const seconds = numberOf(row, "lastsess");
  return seconds < 0 ? "?" : formatDuration(seconds);
}

/** The check; of a server that has none, its agent. */
function checkText(row: Row): string {
  const check = resultText(row, "check_status", "check_code", "check_duration");
  if (check !== "") return check;
  const agent = resultText(row, "agent_status", "agent_code", "agent_duration");
  return agent === "" ? "" : `Agent ${agent}`;
}

function resultText(row: Row, status: RowField, code: RowField, duration: RowField): string {
  const text = textOf(row, status);
  if (text === "") return "";
  const number = has(row, code) ? `/${numberOf(row, code)}` : "";
  const took = has(row, duration) ? ` in ${formatMs(numberOf(row, duration))}` : "";
  return `${text}${number}${took}`;
}

function checkTip(row: Row): string {
  const lines: string[] = [];
  const what = textOf(row, "check_desc");
  if (what !== "") lines.push(withWords(what, textOf(row, "last_chk")));
  const agent = resultText(row, "agent_status", "agent_code", "agent_duration");
  if (agent !== "") {
    const meaning = withWords(textOf(row, "agent_desc"), textOf(row, "last_agt"));
    lines.push(`Agent ${agent}: ${meaning}`);
  }
  if (has(row, "hanafail") && numberOf(row, "hanafail") > 0) {
    lines.push(`Real traffic reached error-limit: ${formatCount(numberOf(row, "hanafail"))} times`);
  }
  return lines.join("\n");
}

const withWords = (what: string, said: string): string => (said === "" ? what : `${what}: ${said}`);

function weightText(row: Row): string {
  if (!has(row, "weight")) return "";
  const weight = numberOf(row, "weight");
  if (!has(row, "uweight")) return formatCount(weight);
  return `${weight}/${numberOf(row, "uweight")}`;
}

function exact(row: Row, field: RowField, what: string): string {
  if (!has(row, field)) return "";
  return `${formatCount(numberOf(row, field))} ${what}`;
}

/** Lines `label: value` of what the row has. */
function pairs(
  entries: readonly (readonly [string, Row, RowField, (value: number) => string])[],
): string {
  return entries
    .filter(([, row, field]) => has(row, field))
    .map(([label, row, field, show]) => `${label}: ${show(numberOf(row, field))}`)
    .join("\n");
}

/** Groups in order, with how many columns each has. */
export function columnGroups(): { group: string; span: number }[] {
  const groups: { group: string; span: number }[] = [];
  for (const { group } of COLUMNS) {
    const last = groups.at(-1);
    if (last?.group === group) last.span++;
    else groups.push({ group, span: 1 });
  }
  return groups;
}

/** A cell that says that there is nothing: shown faintly. */
export function isNothing(text: string): boolean {
  return text === "0" || text === "-" || text === "0\u202fB" || text === "0s";
}

/** The classes of a column's cells. */
export function classOf({ isNumber, level }: Column): string {
  const kind = isNumber ? "n" : "w";
  return level === 1 ? kind : `${kind} l${level}`;
}
