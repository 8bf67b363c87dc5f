/**
 * Runs the project's tests and ends with one line: `N passed, N failed[, N skipped]`.
 *
 *   scripts/test                     checks (generated files, types, format), build, all groups
 *   scripts/test unit e2e            the build and the named groups
 *   scripts/test unit/balance        … only the test files below test/unit/balance
 *   scripts/test sim --seed N        one seed of the simulator, byte for byte
 *   scripts/test unit -t 'pattern'   … only the tests whose names match
 *
 * All groups run in two lanes, one file after the other in each: those that drive the binary wait
 * more than they compute, and those of the other lane compute. What passes stays silent; the whole
 * output of what fails is shown. Programs that tests
 * run against (haproxy, nginx…) are installed where that is allowed: as root on Debian. A test
 * whose peer is missing is skipped by name.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { findServerProgram } from "../test/support/real-servers.ts";

const ROOT = join(import.meta.dir, "..");
const GROUPS = ["unit", "sim", "e2e", "conformance", "fuzz"];
/** What runs beside each other where all groups run. */
const LANES: readonly (readonly string[])[] = [["e2e"], ["unit", "sim", "conformance", "fuzz"]];
/** What a benchmark writes is its own; its sources are ours. */
const BENCH_SOURCES = readdirSync(join(ROOT, "bench"))
  .filter((name) => !name.startsWith("results") && name !== "raw")
  .map((name) => `bench/${name}`);
/** Folders whose files bun formats; documents are laid out by hand or by scripts/generate. */
const FORMATTED = ["src", "test", "scripts", ...BENCH_SOURCES];
/** Limit of one test, unless the test says otherwise: a slow machine must not fail it. */
const TEST_TIMEOUT_MS = 120_000;
const POLICY_FILE = "/usr/sbin/policy-rc.d";

/** Programs that tests talk to, and the Debian package that has them. */
const PEERS: readonly (readonly [program: string, packageName: string])[] = [
  ["haproxy", "haproxy"],
  ["nginx", "nginx"],
  ["wrk", "wrk"],
  ["iperf3", "iperf3"],
  ["tcpdump", "tcpdump"],
  ["socat", "socat"],
  ["kdig", "knot-dnsutils"],
  ["knotd", "knot"],
  ["gtlsclient", "ngtcp2-client"],
  ["caddy", "caddy"],
  ["openssl", "openssl"],
  ["redis-server", "redis-server"],
  ["initdb", "postgresql"],
  ["mariadbd", "mariadb-server"],
  ["slapd", "slapd"],
  ["postfix", "postfix"],
  ["hatop", "hatop"],
  ["tmux", "tmux"],
  ["prometheus-haproxy-exporter", "prometheus-haproxy-exporter"],
  ["promtool", "prometheus"],
  ["chromium", "chromium"],
];

type Totals = { passed: number; failed: number; skipped: number };

type Arguments = { paths: string[]; testFlags: string[]; env: Record<string, string> };

function readArguments(argv: readonly string[]): Arguments {
  const result: Arguments = { paths: [], testFlags: [], env: {} };
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? "";
    const takeValue = (): string => {
      const value = argv[++i];
      if (value === undefined) usage(`${word} needs a value`);
      return value;
    };
    if (word === "--seed") {
      const seed = takeValue();
      result.env["SLUICE_TEST_SEED"] = seed;
      result.env["SLUICE_FUZZ_SEED"] = seed;
    } else if (word === "-t") result.testFlags.push("-t", takeValue());
    else if (word.startsWith("-")) usage(`unknown argument '${word}'`);
    else result.paths.push(word.replace(/^test\//, "").replace(/\/$/, ""));
  }
  for (const path of result.paths) {
    const group = path.split("/")[0] ?? "";
    if (!GROUPS.includes(group)) usage(`unknown group '${group}' (known: ${GROUPS.join(", ")})`);
    if (!existsSync(join(ROOT, "test", path))) usage(`test/${path} does not exist`);
  }
  return result;
}

function usage(problem: string): never {
  console.error(`scripts/test: ${problem}`);
  process.exit(2);
}

/** Installs missing peers as root on Debian; elsewhere says which are missing. */
function preparePeers(): void {
  // Debian keeps servers in a folder that is not on everybody's path.
  process.env["PATH"] = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;
  const isMissing = ([program]: readonly [string, string]): boolean =>
    findServerProgram(program) === undefined;
  const hasStream = (): boolean => existsSync("/usr/lib/nginx/modules/ngx_stream_module.so");
  const packages = PEERS.filter(isMissing).map(([, name]) => name);
  if (!hasStream()) packages.push("libnginx-mod-stream");
  if (packages.length === 0) return;
  const isDebian = existsSync("/etc/debian_version") && Bun.which("apt-get") !== null;
  if (isDebian && process.getuid?.() === 0 && process.env["SLUICE_TEST_NO_INSTALL"] !== "1") {
    installPackages(packages);
  }
  const missing = PEERS.filter(isMissing).map(([program]) => program);
  if (!hasStream()) missing.push("nginx's stream module");
  if (missing.length === 0) return;
  console.error(`missing: ${missing.join(", ")}; tests that need them are skipped`);
}

/** Installs without starting the servers that come with the packages. */
function installPackages(packages: readonly string[]): void {
  const ownPolicy = !existsSync(POLICY_FILE);
  try {
    if (ownPolicy) writeFileSync(POLICY_FILE, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    const quiet = { env, stdio: ["ignore", "ignore", "ignore"] as ["ignore", "ignore", "ignore"] };
    const install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends"];
    // A package that this release does not know must not keep the others away.
    const isInstalled = Bun.spawnSync([...install, ...packages], quiet).success;
    if (isInstalled) return;
    Bun.spawnSync(["apt-get", "update", "-qq"], quiet);
    if (Bun.spawnSync([...install, ...packages], quiet).success) return;
    for (const name of packages) Bun.spawnSync([...install, name], quiet);
  } finally {
    if (ownPolicy) rmSync(POLICY_FILE, { force: true });
  }
}

/** Runs a command that passes or fails as a whole. */
function check(totals: Totals, name: string, command: string[]): boolean {
  const done = Bun.spawnSync(command, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
  if (done.success) {
    totals.passed++;
    return true;
  }
  totals.failed++;
  process.stdout.write(`\n${name} failed: ${command.slice(1).join(" ")}\n`);
  process.stdout.write(done.stdout);
  process.stdout.write(done.stderr);
  return false;
}

function hasTests(folder: string): boolean {
  if (!existsSync(folder)) return false;
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return names.some((name) => /[._](test|spec)\.tsx?$/.test(name));
}

/** Counts of one run of `bun test`, from its JUnit report; undefined if it wrote none. */
function readReport(file: string): Totals | undefined {
  if (!existsSync(file)) return undefined;
  const head = /<testsuites\b[^>]*>/.exec(readFileSync(file, "utf8"))?.[0];
  if (head === undefined) return undefined;
  const count = (name: string): number =>
    Number(new RegExp(`\\b${name}="(\\d+)"`).exec(head)?.[1] ?? 0);
  const failed = count("failures");
  const skipped = count("skipped");
  return { passed: count("tests") - failed - skipped, failed, skipped };
}

/** Names of the tests that a report marks as skipped. */
function skippedNames(file: string): string[] {
  const cases = readFileSync(file, "utf8").matchAll(/<testcase name="([^"]*)"[^>]*>\s*<skipped/g);
  return [...cases].map((found) => found[1] ?? "");
}

async function runTests(totals: Totals, path: string, args: Arguments): Promise<void> {
  const isFile = path.endsWith(".ts");
  if (!isFile && !hasTests(join(ROOT, "test", path))) return;
  const report = join(ROOT, ".cache", `test-${path.replaceAll("/", "-")}-${process.pid}.xml`);
  mkdirSync(join(ROOT, ".cache"), { recursive: true });
  const startedMs = performance.now();
  const child = Bun.spawn(
    [
      process.execPath,
      "test",
      "--only-failures",
      `--timeout=${TEST_TIMEOUT_MS}`,
      "--reporter=junit",
      `--reporter-outfile=${report}`,
      ...args.testFlags,
      // A path that begins with ./ is a path; anything else would be a pattern.
      isFile ? `./test/${path}` : `./test/${path}/`,
    ],
    { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...args.env } },
  );
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const counts = readReport(report) ?? { passed: 0, failed: 0, skipped: 0 };
  // A file that does not load, or a runner that dies, has no failed test to count.
  if (code !== 0 && counts.failed === 0) counts.failed = 1;
  totals.passed += counts.passed;
  totals.failed += counts.failed;
  totals.skipped += counts.skipped;
  if (counts.failed > 0) process.stdout.write(`\n${out}${err}\n`);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(`${path}: ${describe(counts)} in ${seconds} s`);
  const isFiltered = args.testFlags.length > 0;
  if (counts.skipped > 0 && !isFiltered)
    console.log(`  skipped: ${skippedNames(report).join("; ")}`);
  rmSync(report, { force: true });
}

function describe({ passed, failed, skipped }: Totals): string {
  const tail = skipped > 0 ? `, ${skipped} skipped` : "";
  return `${passed} passed, ${failed} failed${tail}`;
}

async function main(): Promise<void> {
  const args = readArguments(process.argv.slice(2));
  const totals: Totals = { passed: 0, failed: 0, skipped: 0 };
  const bun = process.execPath;
  const runsAll = args.paths.length === 0;
  if (runsAll || args.paths.some((path) => !path.startsWith("unit"))) preparePeers();
  if (runsAll) {
    check(totals, "generated files", [bun, "scripts/generate.ts", "--check"]);
  }
  const build = runsAll ? [] : ["--if-stale"];
  if (process.env["SLUICE_TEST_NO_INSTALL"] !== "1") build.push("--install");
  const isBuilt = check(totals, "build", [bun, "scripts/build.ts", ...build]);
  if (runsAll) {
    // The table of commands knows the process, and that the native part, which is built.
    check(totals, "generated documents", [bun, "scripts/generate-docs.ts", "--check"]);
    check(totals, "type check", [bun, "check", "--no-script"]);
    const browser = ["-p", "src/page/client"];
    check(totals, "type check of the page's script", [bun, "check", "--no-script", ...browser]);
    check(totals, "format", [bun, "fmt", "--no-script", "--check", ...FORMATTED]);
  }
  const runLane = async (paths: readonly string[], lane: number): Promise<void> => {
    const env = runsAll ? { ...args.env, SLUICE_TEST_LANE: `${lane}` } : args.env;
    for (const path of paths) {
      // The groups that drive the binary say nothing about a tree that does not build.
      if (!isBuilt && !/^(unit|sim|fuzz)/.test(path)) continue;
      await runTests(totals, path, { ...args, env });
    }
  };
  await Promise.all((runsAll ? LANES : [args.paths]).map(runLane));
  console.log(describe(totals));
  process.exit(totals.failed > 0 ? 1 : 0);
}

await main();
