/**
 * What haproxy says of servers that answer a check well, badly, in part, slowly or not at all:
 * cases as small scripts of a server, and how to record haproxy's verdicts again.
 *
 *   bun test/support/check-cases.ts      needs haproxy; rewrites check-verdicts.json
 *
 * test/unit/check/protocols plays the same scripts to our dialogues in memory and compares;
 * test/e2e plays them over sockets. A verdict is three columns of `show stat`: `check_status`,
 * `check_code` and `last_chk`, or their like of the agent.
 */
import { join } from "node:path";

import type { CheckProgramSpec } from "../../src/tables/spec.ts";
import { askApi } from "./api.ts";
import { CHECK_SCRIPTS } from "./check-scripts.ts";
import { startBalancer } from "./haproxy.ts";
import { startPeer } from "./peers.ts";
import { temporaryFolder, TEST_TIMEOUT_MS } from "./procs.ts";

/** One thing that a server does; after the last it stays as it is. */
export type ServerStep =
  /** Writes these bytes (Latin-1), all at once or one at a time. */
  | { send: string; isByteWise?: boolean }
  /** Waits until the client has written that many bytes since the last wait. */
  | { wait: number }
  | "close"
  | "reset";

/** A kind of check, and the lines that ask haproxy for it. */
export type CheckCase = {
  name: string;
  program: CheckProgramSpec | { kind: "agent"; send: string };
  /** Lines of the backend section. */
  lines: string[];
  steps: ServerStep[];
};

/** Columns of `show stat`; the code is null where haproxy shows none. */
export type Verdict = {
  status: string;
  code: number | null;
  info: string;
  /** Of agents: what their orders did to the server, `status weight slim`. */
  server?: string;
};

/** Where the recorded verdicts are. */
export const VERDICTS_FILE = join(import.meta.dir, "check-verdicts.json");

/** Starts a server that plays the steps to everybody who connects. */
export function startScripted(steps: readonly ServerStep[]): ReturnType<typeof startPeer> {
  const players = new Map<object, Player>();
  return startPeer({
    open(socket) {
      const player = new Player(socket, steps);
      players.set(socket, player);
      player.play();
    },
    data: (socket, bytes) => players.get(socket)?.heard(bytes.length),
    close(socket) {
      players.get(socket)?.stop();
      players.delete(socket);
    },
  });
}

const BYTE_PAUSE_MS = 2;
const POLL_MS = 100;

/** One connection's script. */
class Player {
  readonly #socket: Bun.Socket;
  readonly #steps: ServerStep[];
  #heard = 0;
  #isOver = false;
  #isBusy = false;

  constructor(socket: Bun.Socket, steps: readonly ServerStep[]) {
    this.#socket = socket;
    this.#steps = [...steps];
  }

  heard(count: number): void {
    this.#heard += count;
    this.play();
  }

  stop(): void {
    this.#isOver = true;
  }

  play(): void {
    while (!this.#isOver && !this.#isBusy) {
      const step = this.#steps[0];
      if (step === undefined) return;
      if (typeof step === "object" && "wait" in step) {
        if (this.#heard < step.wait) return;
        this.#heard = 0;
      }
      this.#steps.shift();
      if (step === "close") this.#socket.end();
      else if (step === "reset") this.#socket.terminate();
      else if ("send" in step)
        this.#send(Buffer.from(step.send, "latin1"), step.isByteWise === true);
    }
  }

  #send(bytes: Buffer, isByteWise: boolean): void {
    if (!isByteWise) {
      this.#socket.write(bytes, 0, bytes.length);
      return;
    }
    this.#isBusy = true;
    void (async () => {
      for (let i = 0; i < bytes.length && !this.#isOver; i++) {
        this.#socket.write(bytes, i, 1);
        await Bun.sleep(BYTE_PAUSE_MS);
      }
      this.#isBusy = false;
      this.play();
    })();
  }
}

/** The configuration of one backend a case, each with one server that is checked. */
export function caseConfig(cases: readonly CheckCase[], ports: readonly number[]): string {
  return cases
    .map(({ program, lines }, index) => {
      const isAgent = program.kind === "agent";
      const send = program.kind === "agent" && program.send !== "" ? program.send : undefined;
      const words = isAgent
        ? `weight 10 agent-check agent-port ${ports[index]} agent-inter 60s` +
          (send === undefined ? "" : ` agent-send ${JSON.stringify(send)}`)
        : "check inter 60s rise 1 fall 1";
      const own = lines.map((line) => `  ${line}\n`).join("");
      return `backend b${index}\n${own}  server s 127.0.0.1:${ports[index]} ${words}\n`;
    })
    .join("");
}

/** Has a balancer check one scripted server a case. @returns its verdicts, in order */
export async function playCases(
  name: "haproxy" | "sluice",
  cases: readonly CheckCase[],
): Promise<Verdict[]> {
  using folder = temporaryFolder();
  const socket = folder.file("api");
  const peers = cases.map(({ steps }) => startScripted(steps));
  try {
    const config = `global
  stats socket ${socket} level admin
  max-spread-checks 1s
defaults
  mode tcp
  timeout connect 1s
  timeout check 1s
  timeout client 10s
  timeout server 10s
${caseConfig(
  cases,
  peers.map((peer) => peer.port),
)}`;
    await using balancer = await startBalancer(name, { config, ports: [] });
    let found: (Verdict | undefined)[] = [];
    const missing = (): string[] =>
      cases.filter((_, index) => found[index] === undefined).map((one) => one.name);
    for (const deadline = performance.now() + TEST_TIMEOUT_MS; missing().length > 0;) {
      // haproxy 2.6 is known to crash on some of this, once in ten times or so.
      if (balancer.hasExited()) throw new Error(`${name} ended: ${balancer.output().slice(-1000)}`);
      if (performance.now() > deadline) throw new Error(`no verdict on ${missing().join("; ")}`);
      await Bun.sleep(POLL_MS);
      found = await readVerdicts(socket, cases).catch(() => found);
    }
    return found.filter((one) => one !== undefined);
  } finally {
    for (const peer of peers) await peer[Symbol.asyncDispose]();
  }
}

/** Fields of one line of `show stat`, by name. */
export type StatLine = Record<string, string>;

/** Lines of servers in `show stat`, by `backend/server`. */
export async function readStats(socket: string): Promise<Map<string, StatLine>> {
  const text = await askApi(socket, "show stat");
  // A line's end within quotes is a server's.
  const lines = text.match(/(?:"(?:[^"]|"")*"|[^"\n])+/g) ?? [];
  const names = splitCsv((lines.shift() ?? "").replace(/^# /, ""));
  return new Map(
    lines.map((line) => {
      const values = splitCsv(line);
      const fields = Object.fromEntries(names.map((name, i) => [name, values[i] ?? ""]));
      return [`${fields["pxname"]}/${fields["svname"]}`, fields];
    }),
  );
}

function splitCsv(line: string): string[] {
  return [...line.matchAll(/"((?:[^"]|"")*)"(?:,|$)|([^,]*)(?:,|$)/g)].map(([, quoted, plain]) =>
    quoted === undefined ? (plain ?? "") : quoted.replaceAll('""', '"'),
  );
}

/** Undefined where the first check is not over. */
async function readVerdicts(
  socket: string,
  cases: readonly CheckCase[],
): Promise<(Verdict | undefined)[]> {
  const stats = await readStats(socket);
  return cases.map(({ program }, index) => {
    const fields = stats.get(`b${index}/s`) ?? {};
    const prefix = program.kind === "agent" ? "agent" : "check";
    const status = fields[`${prefix}_status`] ?? "";
    if (status === "" || status === "INI" || status.startsWith("* ")) return undefined;
    const code = fields[`${prefix}_code`] ?? "";
    const info = fields[prefix === "agent" ? "last_agt" : "last_chk"] ?? "";
    const verdict = { status, code: code === "" ? null : Number(code), info };
    if (prefix === "check") return verdict;
    return { ...verdict, server: `${fields["status"]} ${fields["weight"]} ${fields["slim"]}` };
  });
}

if (import.meta.main) {
  const verdicts = await playCases("haproxy", CHECK_SCRIPTS);
  const lines = CHECK_SCRIPTS.map(
    ({ name }, i) => `${JSON.stringify(name)}: ${JSON.stringify(verdicts[i])}`,
  );
  await Bun.write(VERDICTS_FILE, `{\n${lines.join(",\n")}\n}\n`);
}
