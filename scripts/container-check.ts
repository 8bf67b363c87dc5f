/**
 * Tries the final stage of the Dockerfile where no container engine is at hand: the same root
 * folder (scripts/container-root), read-only, in namespaces of its own, as the user, with the
 * environment, entry point, volumes, health check and stop signal that the Dockerfile names. Lists
 * what the image holds, proxies a request, asks for its health, and stops it. Needs root.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

import { startNamed } from "../test/support/peers.ts";
import { freePort, isListening } from "../test/support/ports.ts";
import {
  processTree,
  runProcess,
  startProcess,
  temporaryFolder,
  until,
} from "../test/support/procs.ts";
import { askName } from "../test/support/traffic.ts";

const ROOT = join(import.meta.dir, "..");
const MEGABYTE = 2 ** 20;
const IMAGE_BYTES_MAX = 180 * MEGABYTE;

/** What the Dockerfile says of the final stage. */
interface Recipe {
  user: string;
  env: Record<string, string>;
  volumes: string[];
  stopSignal: NodeJS.Signals;
  /** None as long as the recipe has none. */
  healthCheck?: string[];
  entryPoint: string[];
}

/** Reads the final stage; every instruction but COPY and WORKDIR is used below. */
function readRecipe(dockerfile: string): Recipe {
  const stage = dockerfile.slice(dockerfile.lastIndexOf("\nFROM ")).replaceAll("\\\n", " ");
  const find = (pattern: RegExp): string => {
    const value = pattern.exec(stage)?.[1];
    if (value === undefined) throw new Error(`the Dockerfile's final stage lacks ${pattern}`);
    return value.trim();
  };
  const list = (pattern: RegExp): string[] => JSON.parse(find(pattern));
  const env = Array.from(stage.matchAll(/^ENV (\w+)=(.*)$/gm), ([, name, value]) => [name, value]);
  return {
    user: find(/^USER (.*)$/m),
    env: Object.fromEntries(env),
    volumes: list(/^VOLUME (.*)$/m),
    stopSignal: find(/^STOPSIGNAL (.*)$/m) as NodeJS.Signals,
    ...(/^HEALTHCHECK /m.test(stage)
      ? { healthCheck: list(/^HEALTHCHECK .*?CMD (\[.*\])$/m) }
      : {}),
    entryPoint: list(/^ENTRYPOINT (.*)$/m),
  };
}

/** Every file of the image with its size. */
function listFiles(folder: string): { path: string; bytes: number }[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => ({ path: `/${name}`, info: statSync(join(folder, name)) }))
    .filter(({ info }) => info.isFile())
    .map(({ path, info }) => ({ path, bytes: info.size }));
}

/** A shell script that enters the image as a container engine would, and runs "$@" in it. */
function enterScript(image: string, recipe: Recipe): string {
  const [uid = "", gid = uid] = recipe.user.split(":");
  const volumes = recipe.volumes.map(
    (path) => `mount -t tmpfs -o size=1m,uid=${uid},gid=${gid} volume "${image}${path}"`,
  );
  const devices = ["null", "zero", "random", "urandom"].map(
    (name) => `touch "${image}/dev/${name}"; mount --bind /dev/${name} "${image}/dev/${name}"`,
  );
  return [
    "set -eu",
    `mount --bind "${image}" "${image}"`,
    `mount -t tmpfs -o size=64k devices "${image}/dev"`,
    ...devices,
    `mount -t proc proc "${image}/proc"`,
    ...volumes,
    `mount -o remount,bind,ro "${image}"`,
    `exec chroot --userspec=${uid}:${gid} "${image}" "$@"`,
  ].join("\n");
}

function check(what: string, isTrue: boolean): void {
  console.log(`${isTrue ? "ok    " : "FAILED"} ${what}`);
  if (!isTrue) process.exitCode = 1;
}

async function main(): Promise<void> {
  if (process.getuid?.() !== 0)
    throw new Error("this check mounts and changes root: run it as root");
  const recipe = readRecipe(readFileSync(join(ROOT, "Dockerfile"), "utf8"));
  using folder = temporaryFolder();
  const image = folder.file("image");
  const laidOut = await runProcess([join(ROOT, "scripts/container-root"), image]);
  if (laidOut.code !== 0) throw new Error(laidOut.output);

  console.log("The image holds:");
  const files = listFiles(image);
  for (const { path, bytes } of files) console.log(`  ${String(bytes).padStart(10)} ${path}`);
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  check(`${(total / MEGABYTE).toFixed(1)} MiB in ${files.length} files`, total < IMAGE_BYTES_MAX);
  check("no shell in it", !files.some(({ path }) => /\/(sh|bash|busybox)$/.test(path)));

  await using server = startNamed("behind-the-container");
  const port = freePort();
  const env = {
    ...recipe.env,
    SLUICE_BIND: `127.0.0.1:${port}`,
    SLUICE_SERVERS: `127.0.0.1:${server.port}`,
    SLUICE_WORKERS: "2",
  };
  const script = enterScript(image, recipe);
  const inside = (command: string[]): string[] => ["sh", "-c", script, "sh", ...command];
  const clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"];
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--ipc", "--uts"];
  await using container = startProcess([
    ...clean,
    ...variables,
    ...unshare,
    ...inside(recipe.entryPoint),
  ]);
  await until("the container to listen", () => {
    if (container.hasExited()) throw new Error(container.output());
    return isListening(port);
  });
  const pid = processTree(container.pid).find((one) => one !== container.pid) ?? 0;
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const uid = recipe.user.split(":")[0] ?? "";
  check(`runs as user ${uid}`, new RegExp(`^Uid:\\s+${uid}\\s+${uid}\\s`, "m").test(status));
  check("has no capabilities", /^CapEff:\s+0+$/m.test(status));
  const mounts = readFileSync(`/proc/${pid}/mountinfo`, "utf8");
  check("its root is read-only", /^\S+ \S+ \S+ \S+ \/ ro[, ]/m.test(mounts));
  check("proxies a request", (await askName({ port })) === "behind-the-container");

  if (recipe.healthCheck !== undefined) {
    const enter = ["nsenter", `--target=${pid}`, "--mount", "--pid"];
    const chroot = ["chroot", `--userspec=${recipe.user}`, `/proc/${pid}/root`];
    const health = await runProcess([...enter, ...chroot, ...recipe.healthCheck]);
    check(`its health check says so: exit code ${health.code}`, health.code === 0);
    if (health.code !== 0) console.log(health.output);
  }

  process.kill(pid, recipe.stopSignal);
  const code = await container.exited;
  check(`${recipe.stopSignal} stops it: exit code ${code}`, code === 0);
  if (process.exitCode === 1) console.log(container.output());
}

await main();
