/**
 * Builds dist/sluice, one self-contained executable, and what is in it: dist/native/sluice.so and
 * dist/native/sluice-quic.so (scripts/quic.ts).
 *
 * The C parts are optional: without a compiler an empty library takes their place, and the program
 * works without what needs it (`sluice -vv` says which parts are active). All results are written
 * beside their names and moved there, so that a running program or test never sees half a file.
 *
 *   --if-stale   only when a source is newer than dist/sluice
 *   --native     the C parts only
 *   --install    installs a missing compiler and xz where that is allowed: as root on Debian
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

import { installTools } from "./quic-packages.ts";
import { BuildError, buildQuic, findCompiler } from "./quic.ts";

const ROOT = join(import.meta.dir, "..");
const BINARY = join(ROOT, "dist/sluice");
const LIBRARY = join(ROOT, "dist/native/sluice.so");
const ENTRY_POINTS = ["src/main.ts", "src/worker.ts", "src/checker.ts"];
const COMPILER_FLAGS = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"];
/** What decides whether a build is stale. */
const SOURCES = [
  "src",
  "native",
  "scripts/build.ts",
  "scripts/quic.ts",
  "scripts/quic-packages.ts",
  "package-lock.json",
  "tsconfig.json",
];
const ARGUMENTS = ["--if-stale", "--native", "--install"];

/** Newest modification below `path`, in ms since the epoch; 0 if it does not exist. */
function newestMs(path: string): number {
  if (!existsSync(path)) return 0;
  const info = statSync(path);
  if (!info.isDirectory()) return info.mtimeMs;
  return Math.max(info.mtimeMs, ...readdirSync(path).map((name) => newestMs(join(path, name))));
}

/** True when `result` is missing or older than one of the sources. */
function isStale(result: string, sources: readonly string[]): boolean {
  if (!existsSync(result)) return true;
  const builtMs = statSync(result).mtimeMs;
  return sources.some((source) => newestMs(join(ROOT, source)) > builtMs);
}

function run(command: string[]): void {
  const done = Bun.spawnSync(command, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
  if (done.success) return;
  process.stderr.write(done.stdout);
  process.stderr.write(done.stderr);
  throw new BuildError(`'${command.join(" ")}' failed (exit code ${done.exitCode})`);
}

/** Writes dist/native/sluice.so: the C files together, or an empty file without compiler. */
export function buildNative(): void {
  mkdirSync(join(ROOT, "dist/native"), { recursive: true });
  const files = readdirSync(join(ROOT, "native")).filter((name) => name.endsWith(".c"));
  const compiler = findCompiler();
  const fresh = `${LIBRARY}.${process.pid}`;
  if (compiler === undefined || files.length === 0) {
    writeFileSync(fresh, "");
    if (compiler === undefined) {
      console.error("scripts/build: no C compiler (cc): building without the native part");
    }
  } else {
    const sources = files.sort().map((name) => join("native", name));
    run([compiler, ...COMPILER_FLAGS, "-o", fresh, ...sources]);
  }
  renameSync(fresh, LIBRARY);
}

function buildBinary(): void {
  const fresh = `${BINARY}.${process.pid}`;
  try {
    run([
      process.execPath,
      "build",
      "--compile",
      "--no-compile-autoload-dotenv",
      "--no-compile-autoload-bunfig",
      `--outfile=${fresh}`,
      ...ENTRY_POINTS,
    ]);
    renameSync(fresh, BINARY);
  } finally {
    rmSync(fresh, { force: true });
  }
}

async function main(): Promise<void> {
  const unknown = process.argv.slice(2).filter((arg) => !ARGUMENTS.includes(arg));
  if (unknown.length > 0) {
    console.error(
      `scripts/build: unknown argument '${unknown[0]}' (known: ${ARGUMENTS.join(", ")})`,
    );
    process.exit(1);
  }
  if (process.argv.includes("--if-stale") && !isStale(BINARY, SOURCES)) return;
  try {
    if (process.argv.includes("--install")) await installTools();
    buildNative();
    await buildQuic();
    if (!process.argv.includes("--native")) buildBinary();
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(`scripts/build: ${error.message}`);
    process.exit(1);
  }
}

if (import.meta.main) await main();
