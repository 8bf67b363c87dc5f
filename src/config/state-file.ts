/**
 * Server state files, format version 1 (HAProxy management manual 9.3, `show servers state`):
 * parsing, and what a saved line means for a server of the configuration (manual 4.2,
 * `load-server-state-from-file`). Pure; files come through a function.
 */
import { FILE_LENGTH_MAX } from "../base/limits.ts";
import type { FileAccess } from "./files.ts";
import type { Report } from "./message.ts";

/** Fields of a line, in order, as `show servers state` writes them; later ones may be missing. */
export const STATE_LINE_FIELDS = [
  "be_id",
  "be_name",
  "srv_id",
  "srv_name",
  "srv_addr",
  "srv_op_state",
  "srv_admin_state",
  "srv_uweight",
  "srv_iweight",
  "srv_time_since_last_change",
  "srv_check_status",
  "srv_check_result",
  "srv_check_health",
  "srv_check_state",
  "srv_agent_state",
  "bk_f_forced_id",
  "srv_f_forced_id",
  "srv_fqdn",
  "srv_port",
  "srvrecord",
  "srv_use_ssl",
  "srv_check_port",
  "srv_check_addr",
  "srv_agent_addr",
  "srv_agent_port",
] as const;

/** Fewest fields that a line of version 1 has. */
const FIELDS_MIN = 20;

/** One line, by field. */
export type SavedLine = Readonly<Record<(typeof STATE_LINE_FIELDS)[number], string>>;

/** The lines of a file by backend and server: the first of each counts. */
export type SavedLines = ReadonlyMap<string, ReadonlyMap<string, SavedLine>>;

/** What reading a text ends with: no version, or the 1-based line that is no line of version 1. */
export type StateFileResult =
  { ok: true; lines: SavedLines } | { ok: false; version: true } | { ok: false; line: number };

/** Reads a whole file: one bad line refuses all of it. */
export function parseStateFile(text: string): StateFileResult {
  const [version = "", ...rest] = text.split("\n");
  if (!/^\s*1\s*$/u.test(version) || rest.length === 0) return { ok: false, version: true };
  const lines = new Map<string, Map<string, SavedLine>>();
  const last = rest.length - 1;
  for (const [index, line] of rest.entries()) {
    const words = line.split(/[ \t\r\v\f]+/u).filter((word) => word !== "");
    if (words.length === 0 || words[0]?.startsWith("#") === true) continue;
    // A line that does not end was cut off.
    if (words.length < FIELDS_MIN || index === last) return { ok: false, line: index + 2 };
    const saved = lineOf(words);
    const servers = lines.get(saved.be_name) ?? new Map<string, SavedLine>();
    if (!servers.has(saved.srv_name)) servers.set(saved.srv_name, saved);
    lines.set(saved.be_name, servers);
  }
  return { ok: true, lines };
}

function lineOf(words: readonly string[]): SavedLine {
  const entries = STATE_LINE_FIELDS.map((field, index) => [field, words[index] ?? MISSING]);
  return Object.fromEntries(entries) as SavedLine;
}

/** Stands for a field that the line does not have. */
const MISSING = "-";

/** Reads state files, each once, and warns about those that cannot be used. */
export class StateFiles {
  readonly #files: FileAccess;
  readonly #report: Report;
  readonly #read = new Map<string, SavedLines>();

  constructor(files: FileAccess, report: Report) {
    this.#files = files;
    this.#report = report;
  }

  /**
   * The lines of a file; none after a warning.
   * @param owner begins the sentences: `config` for the process's file, else `Proxy 'b'`
   */
  lines(path: string, owner: string): SavedLines {
    const key = `${owner} ${path}`;
    const known = this.#read.get(key);
    if (known !== undefined) return known;
    const kind = owner === "config" ? "global server state file" : "server state file";
    const lines = this.#load(path, owner, kind) ?? new Map();
    this.#read.set(key, lines);
    return lines;
  }

  #load(path: string, owner: string, kind: string): SavedLines | undefined {
    const result = this.#files.readText(path);
    if ("problem" in result) {
      const end = owner === "config" ? "" : ".";
      this.#warn(`${owner}: Can't open ${kind} '${path}': ${result.problem}${end}`);
      return undefined;
    }
    if (result.content.length > FILE_LENGTH_MAX) {
      this.#warn(`${owner}: ${kind} '${path}' is too large.`);
      return undefined;
    }
    const parsed = parseStateFile(result.content);
    if (parsed.ok) return parsed.lines;
    if ("version" in parsed) {
      this.#warn(`${owner}: Can't get version of the ${kind} '${path}'.`);
    } else {
      this.#warn(`${owner}: corrupted ${kind} '${path}' at line ${parsed.line}.`);
    }
    return undefined;
  }

  #warn(text: string): void {
    this.#report.add("warning", undefined, text);
  }
}
