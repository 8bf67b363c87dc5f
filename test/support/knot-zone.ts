/**
 * knot with one zone whose records change while it serves, as an operator would do it: the zone
 * file is written anew and `knotc` told to reload. It can be expired (SERVFAIL) and frozen
 * (silence).
 */
import { writeFileSync } from "node:fs";

import { runProcess, startProcess, temporaryFolder, until } from "./procs.ts";
import type { Process } from "./procs.ts";
import { freeUdpPort } from "./quic-programs.ts";

/** Are knotd and knotc there? */
export const hasKnot = Bun.which("knotd") !== null && Bun.which("knotc") !== null;

const ORIGIN = "x.test";

/** A zone that is served. */
export class KnotZone implements AsyncDisposable {
  readonly port: number;
  readonly #folder: ReturnType<typeof temporaryFolder>;
  readonly #child: Process;
  #serial = 1;

  private constructor(port: number, folder: ReturnType<typeof temporaryFolder>, child: Process) {
    this.port = port;
    this.#folder = folder;
    this.#child = child;
  }

  /** @param records lines of the zone file below `x.test.` */
  static async start(records: readonly string[] = []): Promise<KnotZone> {
    const folder = temporaryFolder();
    const port = freeUdpPort();
    const { path } = folder;
    writeFileSync(
      folder.file("knot.conf"),
      `server:
  rundir: ${path}
  listen: 127.0.0.1@${port}
control:
  listen: ${path}/knot.sock
log:
  - target: stderr
    any: warning
database:
  storage: ${path}
template:
  - id: default
    storage: ${path}
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
zone:
  - domain: ${ORIGIN}
    file: zone
`,
    );
    writeFileSync(folder.file("zone"), zoneText(1, records));
    const child = startProcess(["knotd", "-c", folder.file("knot.conf")]);
    const zone = new KnotZone(port, folder, child);
    await until("knot to serve", async () => {
      if (child.hasExited()) throw new Error(`knotd ended: ${child.output()}`);
      return (await zone.#control("zone-status", ORIGIN)).includes("serial: 1");
    });
    return zone;
  }

  /** Serves these records from now on. */
  async set(records: readonly string[]): Promise<void> {
    const serial = ++this.#serial;
    writeFileSync(this.#folder.file("zone"), zoneText(serial, records));
    await this.#control("-b", "reload");
    await until("the zone to be loaded", async () => {
      return (await this.#control("zone-status", ORIGIN)).includes(`serial: ${serial}`);
    });
  }

  /** Answers SERVFAIL until records are set. */
  async expire(): Promise<void> {
    await this.#control("-f", "-b", "zone-purge", ORIGIN, "+expire");
  }

  /** Answers nothing. */
  freeze(): void {
    this.#child.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child.kill("SIGCONT");
  }

  async #control(...words: string[]): Promise<string> {
    const socket = `${this.#folder.path}/knot.sock`;
    return (await runProcess(["knotc", "-s", socket, ...words])).output;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.thaw();
    await this.#child[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

function zoneText(serial: number, records: readonly string[]): string {
  return `$ORIGIN ${ORIGIN}.
$TTL 1
@ SOA ns admin ${serial} 3600 600 86400 1
@ NS ns
ns A 127.0.0.1
${records.join("\n")}
`;
}
