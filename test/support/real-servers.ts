/**
 * Servers as Debian has them, for checks of their protocols: Redis, PostgreSQL, MariaDB, OpenLDAP,
 * Postfix, nginx. Each lives in a folder of its own and on a free port, as a user without rights
 * where the program demands that; it can be stopped, started again, frozen and thawed.
 */
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { freePort, isListening } from "./ports.ts";
import {
  type Process,
  processTree,
  runProcess,
  startProcess,
  temporaryFolder,
  until,
} from "./procs.ts";

/** A server that a test may do anything to. */
export interface RealServer extends AsyncDisposable {
  readonly port: number;
  /** Its folder. */
  readonly folder: string;
  /** Starts it again after `stop`; ready when it listens. */
  start(): Promise<void>;
  /** Asks it to end, and waits. */
  stop(): Promise<void>;
  /** Stops all its processes where they are. */
  freeze(): void;
  thaw(): void;
  /** Sends a signal to its main process. */
  signal(signal: NodeJS.Signals): void;
}

/** How to run one. */
type Recipe = {
  command(folder: string, port: number): string[];
  /** Asks it to end; SIGTERM without it. */
  stopSignal?: NodeJS.Signals;
};

/** Programs of servers that are not on everybody's path. */
export function findServerProgram(name: string): string | undefined {
  const folders = ["/usr/sbin", "/sbin", "/usr/lib/postfix/sbin", ...postgresFolders()];
  return Bun.which(name, { PATH: [process.env["PATH"] ?? "", ...folders].join(":") }) ?? undefined;
}

function postgresFolders(): string[] {
  try {
    const versions = readdirSync("/usr/lib/postgresql").sort((a, b) => Number(b) - Number(a));
    return versions.map((version) => join("/usr/lib/postgresql", version, "bin"));
  } catch {
    return [];
  }
}

function program(name: string): string {
  const path = findServerProgram(name);
  if (path === undefined) throw new Error(`${name} is missing`);
  return path;
}

const IS_ROOT = process.getuid?.() === 0;
const UNPRIVILEGED = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"];

/** The same command for a program that refuses to run as root. */
function unprivileged(command: string[]): string[] {
  return IS_ROOT ? [...UNPRIVILEGED, ...command] : command;
}

async function run(command: string[]): Promise<void> {
  const { code, output } = await runProcess(command);
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${output}`);
}

/** Gives a folder to the user of `unprivileged`. */
async function give(folder: string): Promise<void> {
  if (IS_ROOT) await run(["chown", "-R", "nobody:nogroup", folder]);
}

class Running implements RealServer {
  readonly port = freePort();
  readonly #folder: ReturnType<typeof temporaryFolder>;
  readonly #recipe: Recipe;
  #process: Process | undefined;

  constructor(folder: ReturnType<typeof temporaryFolder>, recipe: Recipe) {
    this.#folder = folder;
    this.#recipe = recipe;
  }

  get folder(): string {
    return this.#folder.path;
  }

  async start(): Promise<void> {
    const child = startProcess(this.#recipe.command(this.folder, this.port));
    this.#process = child;
    await until(`${this.folder} to listen`, () => {
      if (child.hasExited()) throw new Error(`the server ended: ${child.output()}`);
      return isListening(this.port);
    });
  }

  async stop(): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    child.kill(this.#recipe.stopSignal ?? "SIGTERM");
    await until("the server to end", () => child.hasExited());
    this.#process = undefined;
  }

  freeze(): void {
    this.#signalAll("SIGSTOP");
  }

  thaw(): void {
    this.#signalAll("SIGCONT");
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.kill(signal);
  }

  #signalAll(signal: NodeJS.Signals): void {
    const child = this.#process;
    if (child === undefined || child.hasExited()) return;
    for (const pid of processTree(child.pid)) process.kill(pid, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#signalAll("SIGKILL");
    await this.#process?.[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

async function prepare(recipe: Recipe, fill: (folder: string) => Promise<void>): Promise<Running> {
  const folder = temporaryFolder();
  // Others than its owner live in it.
  chmodSync(folder.path, 0o755);
  const server = new Running(folder, recipe);
  try {
    await fill(folder.path);
    await server.start();
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return server;
}

/** Redis without files. */
export async function startRedis(): Promise<RealServer> {
  const options = (port: number): string[] => ["--port", String(port), "--bind", "127.0.0.1"];
  return await prepare(
    {
      command: (folder, port) => [
        ...[program("redis-server"), ...options(port), "--dir", folder],
        ...["--save", "", "--appendonly", "no"],
      ],
    },
    async () => undefined,
  );
}

/** What pg_hba.conf says to everybody from this machine. */
export function setPostgresMethod(server: RealServer, method: string): void {
  writeFileSync(join(server.folder, "data/pg_hba.conf"), `host all all 127.0.0.1/32 ${method}\n`);
  server.signal("SIGHUP");
}

/** PostgreSQL with its superuser `postgres`, whom it trusts. */
export async function startPostgres(): Promise<RealServer> {
  return await prepare(
    {
      command: (folder, port) =>
        unprivileged([
          ...[program("postgres"), "-D", join(folder, "data"), "-p", String(port)],
          ...["-h", "127.0.0.1", "-k", folder, "-F", "-c", "shared_buffers=2MB"],
        ]),
      // A fast shutdown: it waits for nobody.
      stopSignal: "SIGINT",
    },
    async (folder) => {
      await give(folder);
      const data = ["-D", join(folder, "data"), "-U", "postgres", "-A", "trust", "--no-sync"];
      await run(unprivileged([program("initdb"), ...data]));
    },
  );
}

/** MariaDB with a user `checker` without password, who may do nothing. */
export async function startMariadb(): Promise<RealServer> {
  return await prepare(
    {
      command: (folder, port) =>
        unprivileged([
          ...[program("mariadbd"), "--no-defaults", `--datadir=${folder}/data`, `--port=${port}`],
          ...["--bind-address=127.0.0.1", `--socket=${folder}/socket`, "--skip-name-resolve"],
          ...[
            "--innodb-buffer-pool-size=8M",
            "--innodb-log-file-size=4M",
            "--performance-schema=0",
          ],
          `--init-file=${folder}/init.sql`,
        ]),
    },
    async (folder) => {
      writeFileSync(join(folder, "init.sql"), "CREATE USER IF NOT EXISTS checker@'%';\n");
      await give(folder);
      const data = [`--datadir=${folder}/data`, "--auth-root-authentication-method=normal"];
      const install = [program("mariadb-install-db"), "--no-defaults", ...data, "--skip-test-db"];
      await run(unprivileged(install));
    },
  );
}

/** Has MariaDB's root say something. */
export async function askMariadb(server: RealServer, sql: string): Promise<void> {
  const socket = `--socket=${server.folder}/socket`;
  await run([program("mariadb"), "--no-defaults", socket, "-u", "root", "-e", sql]);
}

/** Whether OpenLDAP takes anonymous binds from its next start on. */
export function setLdapAnonymous(server: Pick<RealServer, "folder">, isAllowed: boolean): void {
  const lines = [`pidfile ${server.folder}/pid`, ...(isAllowed ? [] : ["disallow bind_anon"])];
  writeFileSync(join(server.folder, "slapd.conf"), `${lines.join("\n")}\n`);
}

/** OpenLDAP without a database. */
export async function startLdap(): Promise<RealServer> {
  return await prepare(
    {
      command: (folder, port) => [
        ...[program("slapd"), "-f", join(folder, "slapd.conf"), "-d", "0"],
        ...["-h", `ldap://127.0.0.1:${port}/`],
      ],
    },
    async (folder) => setLdapAnonymous({ folder }, true),
  );
}

/** Sets what Postfix says to all clients: restrictions of `smtpd_client_restrictions`. */
export function setPostfixRestrictions(server: RealServer, restrictions: string): void {
  writePostfixSettings(server.folder, restrictions);
  server.signal("SIGHUP");
}

function writePostfixSettings(folder: string, restrictions: string): void {
  const settings = {
    compatibility_level: "3.6",
    queue_directory: join(folder, "spool"),
    data_directory: join(folder, "data"),
    command_directory: "/usr/sbin",
    daemon_directory: "/usr/lib/postfix/sbin",
    mail_owner: "postfix",
    setgid_group: "postdrop",
    myhostname: "mail.example",
    mydestination: "",
    inet_interfaces: "127.0.0.1",
    inet_protocols: "ipv4",
    alias_maps: "",
    maillog_file: join(folder, "log"),
    maillog_file_prefixes: folder,
    // Refusals are said at once, not after RCPT.
    smtpd_delay_reject: "no",
    smtpd_client_restrictions: restrictions,
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`);
  writeFileSync(join(folder, "etc/main.cf"), lines.join(""));
}

/** Postfix that takes SMTP and delivers nothing. It must be started by root. */
export async function startPostfix(): Promise<RealServer> {
  const services = (port: number): string => `127.0.0.1:${port} inet n - n - - smtpd
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
rewrite unix - - n - - trivial-rewrite
cleanup unix n - n - 0 cleanup
postlog unix-dgram n - n - 1 postlogd
`;
  return await prepare(
    {
      command(folder, port) {
        writeFileSync(join(folder, "etc/master.cf"), services(port));
        return [program("master"), "-s", "-c", join(folder, "etc")];
      },
    },
    async (folder) => {
      const names = ["spool/pid", "spool/public", "spool/private", "spool/maildrop", "etc", "data"];
      for (const name of names) mkdirSync(join(folder, name), { recursive: true });
      writePostfixSettings(folder, "");
      const own = ["spool/public", "spool/private", "spool/maildrop", "data"];
      await run(["chown", "postfix", ...own.map((name) => join(folder, name))]);
    },
  );
}

/** nginx on two ports, HTTP and the same over TLS. */
export type WebServer = RealServer & { tlsPort: number };

/** nginx with a page at `/health`, which is the file `health` of its folder. */
export async function startWeb(): Promise<WebServer> {
  const tlsPort = freePort();
  const config = (folder: string, port: number): string => `daemon off;
master_process off;
pid ${folder}/pid;
error_log stderr warn;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  server {
    listen 127.0.0.1:${port};
    listen 127.0.0.1:${tlsPort} ssl;
    ssl_certificate ${folder}/certificate;
    ssl_certificate_key ${folder}/key;
    root ${folder};
  }
}
`;
  const server = await prepare(
    {
      command(folder, port) {
        writeFileSync(join(folder, "nginx.conf"), config(folder, port));
        return unprivileged([program("nginx"), "-p", folder, "-c", join(folder, "nginx.conf")]);
      },
    },
    async (folder) => {
      writeFileSync(join(folder, "health"), "well\n");
      const files = ["-keyout", join(folder, "key"), "-out", join(folder, "certificate")];
      const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
      const names = ["-x509", "-days", "2", "-subj", "/CN=web.example"];
      await run([program("openssl"), "req", ...kind, ...names, ...files]);
      await give(folder);
    },
  );
  return Object.assign(server, { tlsPort });
}
