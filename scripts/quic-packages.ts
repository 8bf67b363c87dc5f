/**
 * What QUIC is built from, out of Debian's packages: the source of ngtcp2, and OpenSSL's headers
 * and static libraries. Fetched by apt, which checks the archive's signatures, with a
 * configuration, lists and a status of its own in the cache: the system's apt is read for its
 * mirror, keys and proxies, and left alone. Needs no root.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";

/** Everything of QUIC that builds keep; may be deleted at any time, for newer packages too. */
export const QUIC_CACHE =
  process.env["SLUICE_QUIC_CACHE"] ?? join(import.meta.dir, "../node_modules/.cache/sluice-quic");

/** Oldest versions that do: ngtcp2 tells a received STOP_SENDING, OpenSSL has hooks for QUIC. */
export const NGTCP2_OLDEST = "1.24.0";
export const OPENSSL_OLDEST = "3.5.0";

/** Where the source and the long-term supported OpenSSL are looked for, in this order. */
const NGTCP2_SUITES = ["testing", "trixie"];
const OPENSSL_SUITES = ["trixie", "testing"];
const DEFAULT_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
/** Settings of the system's apt that say how to reach a mirror. */
const CARRIED_SETTINGS = /^Acquire::(https?|proxy|retries|forceipv[46]|check-\w)/i;
/** A mirror that did not answer is not asked again for so long. */
const PATIENCE_MS = 10 * 60_000;

/** A package of Debian in the cache. */
export interface CachedPackage {
  version: string;
  folder: string;
  /** File with its copyright notice. */
  notice: string;
}

interface Mirror {
  uri: string;
  /** Path of the keyring, or undefined: apt's own keys. */
  signedBy: string | undefined;
}

/** Why a package cannot be had, for people. */
export class Unavailable extends Error {}

/** Compares versions by their numbers: negative, 0 or positive. */
export function compareVersions(left: string, right: string): number {
  const numbers = (text: string): number[] =>
    (text.replace(/^\d+:/, "").match(/\d+/g) ?? []).slice(0, 3).map(Number);
  const [a, b] = [numbers(left), numbers(right)];
  for (let i = 0; i < 3; i++) {
    const order = (a[i] ?? 0) - (b[i] ?? 0);
    if (order !== 0) return order;
  }
  return 0;
}

/** Entries of a source list in either of apt's two formats. */
export function parseSources(text: string, isDeb822: boolean): (Mirror & { suites: string[] })[] {
  if (!isDeb822) {
    const line = /^deb(?:-src)?\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)((?:\s+\S+)*)/;
    return text.split("\n").flatMap((row) => {
      const [, options = "", uri = "", suite = "", components = ""] = line.exec(row.trim()) ?? [];
      if (!components.split(/\s+/).includes("main")) return [];
      return [{ uri, suites: [suite], signedBy: /signed-by=(\/\S+)/.exec(options)?.[1] }];
    });
  }
  return text.split(/\n\s*\n/).flatMap((stanza) => {
    const field = (name: string): string[] => {
      const body = new RegExp(`^${name}:((?:.*)(?:\n[ \t].*)*)`, "im").exec(stanza)?.[1] ?? "";
      return body.split(/\s+/).filter((word) => word !== "");
    };
    if (field("Enabled")[0] === "no" || !field("Components").includes("main")) return [];
    const signedBy = field("Signed-By")[0];
    return field("URIs").map((uri) => ({
      uri,
      suites: field("Suites"),
      signedBy: signedBy?.startsWith("/") ? signedBy : undefined,
    }));
  });
}

/** The mirror that the system takes its own release from. */
function findMirror(): Mirror {
  const release = existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "";
  if (!/^ID="?debian"?$/m.test(release) || Bun.which("apt-get") === null) {
    throw new Unavailable("this system is not Debian");
  }
  const folder = "/etc/apt/sources.list.d";
  const names = existsSync(folder) ? readdirSync(folder).sort() : [];
  const files = [
    "/etc/apt/sources.list",
    ...names.filter((name) => /\.(list|sources)$/.test(name)).map((name) => join(folder, name)),
  ];
  const entries = files
    .filter((file) => existsSync(file))
    .flatMap((file) => parseSources(readFileSync(file, "utf8"), file.endsWith(".sources")));
  // Security, updates and backports have folders or suites of their own.
  const isMain = (suite: string): boolean => !/[-/]/.test(suite);
  const codename = /^VERSION_CODENAME="?(\w+)/m.exec(release)?.[1] ?? "";
  const found =
    entries.find((entry) => entry.suites.includes(codename)) ??
    entries.find((entry) => entry.suites.some(isMain));
  if (found === undefined) throw new Unavailable("apt has no source of Debian's main archive");
  const keyring = existsSync(DEFAULT_KEYRING) ? DEFAULT_KEYRING : undefined;
  return { uri: found.uri, signedBy: found.signedBy ?? keyring };
}

async function run(command: string[], cwd?: string): Promise<{ isOk: boolean; output: string }> {
  const env = { ...process.env, LC_ALL: "C" };
  const child = Bun.spawn(command, { cwd: cwd ?? ".", env, stdio: ["ignore", "pipe", "pipe"] });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { isOk: (await child.exited) === 0, output: out + err };
}

/** apt with one source, in a folder of its own. */
class Apt {
  private readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async open(kind: "deb" | "deb-src", suite: string, mirror: Mirror): Promise<Apt> {
    const apt = new Apt(join(QUIC_CACHE, `apt-${kind}-${suite}-${process.pid}`));
    const file = (name: string): string => join(apt.folder, name);
    for (const name of ["lists/partial", "cache/archives/partial", "got", "log"]) {
      mkdirSync(file(name), { recursive: true });
    }
    writeFileSync(file("status"), "");
    const signed = mirror.signedBy === undefined ? "" : ` [signed-by=${mirror.signedBy}]`;
    writeFileSync(file("sources.list"), `${kind}${signed} ${mirror.uri} ${suite} main\n`);
    const carried = (await run(["apt-config", "dump"])).output
      .split("\n")
      .filter((line) => CARRIED_SETTINGS.test(line));
    const own = {
      "Dir::Etc::Parts": "/dev/null",
      "Dir::Etc::Main": "/dev/null",
      "Dir::Etc::SourceList": file("sources.list"),
      "Dir::Etc::SourceParts": "/dev/null",
      "Dir::Etc::Preferences": "/dev/null",
      "Dir::Etc::PreferencesParts": "/dev/null",
      "Dir::State": apt.folder,
      "Dir::State::Lists": file("lists"),
      "Dir::State::status": file("status"),
      "Dir::Cache": file("cache"),
      "Dir::Log": file("log"),
      "APT::Sandbox::User": "root",
      "Acquire::Languages": "none",
      "Acquire::PDiffs": "false",
      "Acquire::Retries": "1",
      "Acquire::http::Timeout": "20",
      "Acquire::https::Timeout": "20",
    };
    const lines = Object.entries(own).map(([name, value]) => `${name} "${value}";`);
    writeFileSync(file("apt.conf"), [...carried, ...lines, ""].join("\n"));
    return apt;
  }

  async call(...command: string[]): Promise<{ isOk: boolean; output: string }> {
    const config = `APT_CONFIG=${join(this.folder, "apt.conf")}`;
    return run(["env", config, ...command], join(this.folder, "got"));
  }

  files(): string[] {
    const got = join(this.folder, "got");
    return readdirSync(got).map((name) => join(got, name));
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

interface Wanted {
  name: string;
  kind: "deb" | "deb-src";
  suites: readonly string[];
  oldest: string;
  /** Programs that unpack it, and their packages. */
  tools: readonly (readonly [program: string, packageName: string])[];
  /** Where it is laid out, its notice is here. */
  notice: string;
  /** Lays the fetched files out in `folder`. */
  unpack: (files: string[], folder: string) => Promise<void>;
}

async function fetchFrom(suite: string, wanted: Wanted, mirror: Mirror): Promise<CachedPackage> {
  using apt = await Apt.open(wanted.kind, suite, mirror);
  // A suite that the mirror lacks is no error of the others; what counts is what is known then.
  const update = await apt.call("apt-get", "update", "-q");
  const show = wanted.kind === "deb" ? ["show", "--no-all-versions"] : ["showsrc", "--only-source"];
  const { output } = await apt.call("apt-cache", ...show, wanted.name);
  const versions = Array.from(output.matchAll(/^Version: (\S+)/gm), ([, version = ""]) => version);
  const newest = versions.sort(compareVersions).at(-1);
  if (newest === undefined) {
    const reason = /^[EW]: (.*)/m.exec(update.output)?.[1] ?? "not in its lists";
    throw new Unavailable(`${wanted.name} from ${suite}: ${reason}`);
  }
  if (compareVersions(newest, wanted.oldest) < 0) {
    throw new Unavailable(`${suite} has ${wanted.name} ${newest}, older than ${wanted.oldest}`);
  }
  const spec = `${wanted.name}=${newest}`;
  const got =
    wanted.kind === "deb"
      ? await apt.call("apt-get", "download", "-q", spec)
      : await apt.call("apt-get", "source", "-q", "--download-only", "--only-source", spec);
  if (!got.isOk) throw new Unavailable(`${spec} from ${suite}: ${got.output.trim()}`);
  const version = newest.replace(/^\d+:/, "").replace(/-[^-]*$/, "");
  const folder = join(QUIC_CACHE, `${wanted.name}-${version}`);
  if (!existsSync(folder)) {
    // Whole or not at all: several builds may be at it.
    const fresh = `${folder}.${process.pid}`;
    mkdirSync(fresh, { recursive: true });
    await wanted.unpack(apt.files(), fresh);
    if (existsSync(folder)) rmSync(fresh, { recursive: true });
    else renameSync(fresh, folder);
  }
  return { version, folder, notice: join(folder, wanted.notice) };
}

async function extract(command: string[], what: string): Promise<void> {
  const { isOk, output } = await run(command);
  if (!isOk) throw new Unavailable(`${what} does not unpack: ${output.trim()}`);
}

const NGTCP2: Wanted = {
  name: "ngtcp2",
  kind: "deb-src",
  suites: NGTCP2_SUITES,
  oldest: NGTCP2_OLDEST,
  tools: [
    ["tar", "tar"],
    ["xz", "xz-utils"],
  ],
  notice: "COPYING",
  async unpack(files, folder) {
    const archive = files.find((file) => /\.orig\.tar\.\w+$/.test(file));
    if (archive === undefined) throw new Unavailable("the source of ngtcp2 has no archive");
    await extract(
      ["tar", "xf", archive, "-C", folder, "--strip-components=1", "--no-same-owner"],
      "ngtcp2",
    );
  },
};

const OPENSSL: Wanted = {
  name: "libssl-dev",
  kind: "deb",
  suites: OPENSSL_SUITES,
  oldest: OPENSSL_OLDEST,
  tools: [["dpkg-deb", "dpkg"]],
  notice: "usr/share/doc/libssl-dev/copyright",
  async unpack(files, folder) {
    const archive = files.find((file) => file.endsWith(".deb"));
    if (archive === undefined) throw new Unavailable("libssl-dev was not fetched");
    await extract(["dpkg-deb", "-x", archive, folder], "libssl-dev");
  },
};

/** What the cache knows of a package: it, or since when (ms since the epoch) it cannot be had. */
type Known = CachedPackage | { failed: string; sinceMs: number };

async function fetchPackage(wanted: Wanted): Promise<CachedPackage> {
  const record = join(QUIC_CACHE, `${wanted.name}.json`);
  const known: Known | undefined = existsSync(record)
    ? JSON.parse(readFileSync(record, "utf8"))
    : undefined;
  if (known !== undefined && "folder" in known && existsSync(known.notice)) return known;
  if (known !== undefined && "failed" in known && Date.now() - known.sinceMs < PATIENCE_MS) {
    throw new Unavailable(known.failed);
  }
  const mirror = findMirror();
  for (const [program, name] of wanted.tools) {
    if (Bun.which(program) === null) throw new Unavailable(`${name} is not installed`);
  }
  mkdirSync(dirname(record), { recursive: true });
  const failures: string[] = [];
  for (const suite of wanted.suites) {
    try {
      const found = await fetchFrom(suite, wanted, mirror);
      writeFileSync(record, JSON.stringify(found));
      return found;
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      failures.push(error.message);
    }
  }
  const failed = failures.join("; ");
  writeFileSync(record, JSON.stringify({ failed, sinceMs: Date.now() }));
  throw new Unavailable(failed);
}

/** What a build needs of the system, and the Debian package that has it. */
const TOOLS: readonly (readonly [program: string, packageName: string])[] = [
  ["cc", "gcc"],
  ["xz", "xz-utils"],
];

/** Installs the tools that are missing where that is allowed: as root on Debian. */
export async function installTools(): Promise<void> {
  if (process.env["SLUICE_NO_INSTALL"] === "1" || process.env["SLUICE_NO_NATIVE"] === "1") return;
  const isMissing = ([program]: readonly [string, string]): boolean => Bun.which(program) === null;
  const packages = TOOLS.filter(isMissing).map(([, name]) => name);
  const isDebian = existsSync("/etc/debian_version") && Bun.which("apt-get") !== null;
  if (packages.length === 0 || !isDebian || process.getuid?.() !== 0) return;
  if (packages.includes("gcc")) packages.push("libc6-dev");
  console.error(`installing ${packages.join(", ")}`);
  const quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
  const install = [...quiet, "install", "-y", "-qq", "--no-install-recommends", ...packages];
  if ((await run(install)).isOk) return;
  await run([...quiet, "update", "-qq"]);
  await run(install);
}

/** The source of ngtcp2, unpacked. @throws Unavailable */
export function fetchNgtcp2(): Promise<CachedPackage> {
  return fetchPackage(NGTCP2);
}

/** OpenSSL's headers and static libraries, unpacked: usr/include, usr/lib. @throws Unavailable */
export function fetchOpenssl(): Promise<CachedPackage> {
  return fetchPackage(OPENSSL);
}
