/** The runtime socket: where it listens, who may come in, and how it ends. */
import { expect, test } from "bun:test";
import { existsSync, lstatSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";

import { askRaw, RawClient } from "../support/api-raw.ts";
import { balancerBinary, startBalancer } from "../support/haproxy.ts";
import type { Balancer } from "../support/haproxy.ts";
import { openRawListener } from "../support/peers-raw.ts";
import { startNamed } from "../support/peers.ts";
import { freePort, isListening } from "../support/ports.ts";
import {
  descriptorCount,
  residentBytes,
  runProcess,
  startProcess,
  temporaryFolder,
  until,
} from "../support/procs.ts";
import { askName } from "../support/traffic.ts";
import { e2e, listenOver, LONG_TIMEOUTS } from "./sluice.ts";

const isRoot = process.getuid?.() === 0;
const LEVEL = (level: string): string => `${level}\n\n`;
const MEGABYTE = 2 ** 20;

/** A process with these `stats` lines, once the first socket answers. */
async function startWith(
  stats: string,
  options: { env?: Record<string, string>; fds?: number[]; shellBefore?: string } = {},
  servers: number[] = [9],
): Promise<Balancer & { port: number }> {
  const port = freePort();
  const config = `global\n  nbthread 1\n${stats}\ndefaults\n  mode tcp\n${LONG_TIMEOUTS}
${listenOver(servers)(port)}\n`;
  const env = { SLUICE_LOG_FORMAT: "off", ...options.env };
  const balancer = await startBalancer("sluice", { config, ports: [port], ...options, env });
  return { ...balancer, port };
}

e2e("unix, abstract, IPv4 and IPv6 sockets, each with its level", async () => {
  using folder = temporaryFolder();
  const path = folder.file("admin.sock");
  const [port, port6] = [freePort(), freePort()];
  const name = `sluice-api-${process.pid}`;
  await using sluice = await startWith(`  stats socket ${path} level admin mode 600
  stats socket unix@${folder.file("op.sock")} level operator mode 0666 expose-fd listeners
  stats socket ipv4@127.0.0.1:${port} level user
  stats socket [::1]:${port6}
  stats socket abns@${name} level admin`);
  const ask = "show cli level\n";
  await until(
    "the API to serve",
    async () => (await askRaw({ unix: path }, ask)) === LEVEL("admin"),
  );
  expect(await askRaw({ unix: folder.file("op.sock") }, ask)).toBe(LEVEL("operator"));
  expect(await askRaw({ hostname: "127.0.0.1", port }, ask)).toBe(LEVEL("user"));
  expect(await askRaw({ hostname: "::1", port: port6 }, ask)).toBe(LEVEL("operator"));
  expect(await askRaw({ unix: path }, "show cli sockets\n")).toBe(
    `# socket lvl processes
unix@${path} admin all
unix@${folder.file("op.sock")} operator all
ipv4@127.0.0.1:${port} user all
ipv6@[::1]:${port6} operator all
abns@${name} admin all

`,
  );
  expect(lstatSync(path).mode & 0o777).toBe(0o600);
  expect(lstatSync(folder.file("op.sock")).mode & 0o777).toBe(0o666);
  const ctl = [balancerBinary("sluice"), "ctl", "-s", `abns@${name}`, "show", "cli", "level"];
  expect(await runProcess(ctl)).toEqual({ code: 0, output: "admin\n" });
  sluice.kill("SIGTERM");
  await sluice.exited;
  expect(existsSync(path)).toBe(false);
  expect(existsSync(folder.file("op.sock"))).toBe(false);
});

e2e(
  "an inherited socket: what waits in its backlog since before the start is answered",
  async () => {
    await using listener = openRawListener(16);
    const place = { hostname: "127.0.0.1", port: listener.port };
    const early = askRaw(place, "show cli level; show cli sockets\n");
    await using sluice = await startWith('  stats socket "fd@${api}" level admin', {
      env: { api: "3" },
      fds: [listener.fd],
    });
    const sockets = `# socket lvl processes\nipv4@127.0.0.1:${listener.port} admin all\n\n`;
    expect(await early).toBe(LEVEL("admin") + sockets);
    expect(await askRaw(place, "show cli level\n")).toBe(LEVEL("admin"));
    expect(sluice.hasExited()).toBe(false);
  },
);

e2e("what SLUICE_STATS_SOCKET names is open besides", async () => {
  using folder = temporaryFolder();
  const [path, second] = [folder.file("a.sock"), folder.file("b.sock")];
  const env = { SLUICE_STATS_SOCKET: second, SLUICE_STATS_LEVEL: "user" };
  await using sluice = await startWith(`  stats socket ${path} level admin`, { env });
  expect(await askRaw({ unix: path }, "show cli level\n")).toBe(LEVEL("admin"));
  expect(await askRaw({ unix: second }, "show cli level\n")).toBe(LEVEL("user"));
  expect(lstatSync(second).mode & 0o777).toBe(0o600);
  expect(sluice.hasExited()).toBe(false);
});

e2e("a stale socket gives way, a newer one is left alone", async () => {
  using folder = temporaryFolder();
  const path = folder.file("api.sock");
  const stale = createServer().listen(path);
  await until("a socket there", () => existsSync(path));
  await using sluice = await startWith(`  stats socket ${path} level admin`);
  expect(await askRaw({ unix: path }, "show cli level\n")).toBe(LEVEL("admin"));
  await using newer = await startWith(`  stats socket ${path} level operator`);
  sluice.kill("SIGUSR1");
  expect(await sluice.exited).toBe(0);
  expect(await askRaw({ unix: path }, "show cli level\n")).toBe(LEVEL("operator"));
  expect(newer.hasExited()).toBe(false);
  stale.close();
});

e2e("SLC_API_SOCKET: what cannot be opened stops the start, and nothing is left", async () => {
  using folder = temporaryFolder();
  const file = folder.file("file");
  writeFileSync(file, "precious");
  symlinkSync(file, folder.file("link"));
  const first = folder.file("first.sock");
  const cases: [address: string, words: string][] = [
    [`${folder.path}/none/api.sock`, "cannot bind UNIX socket (No such file or directory) ["],
    [file, "cannot bind UNIX socket (there is a file that is no socket) ["],
    [folder.file("link"), "cannot bind UNIX socket (there is a file that is no socket) ["],
    ["192.0.2.1:99", "cannot bind socket (Cannot assign requested address) [192.0.2.1:99]"],
    ["fd@77", "cannot bind socket (Bad file descriptor) [fd@77]"],
  ];
  for (const [address, words] of cases) {
    const config = folder.file("a.cfg");
    writeFileSync(config, `global\n stats socket ${first}\n stats socket ${address}\n`);
    const { code, output } = await runProcess([balancerBinary("sluice"), "-f", config]);
    expect(code).toBe(1);
    expect(output).toContain(`: Binding [${config}:3] for frontend GLOBAL: ${words}`);
    expect(output).toContain("SLC_API_SOCKET: ");
    expect(existsSync(first)).toBe(false);
  }
  expect(readFileSync(file, "utf8")).toBe("precious");
});

e2e("a port that is taken stops the start; the runtime socket goes with it", async () => {
  using folder = temporaryFolder();
  const path = folder.file("api.sock");
  await using taken = await startNamed("taken");
  const config = folder.file("a.cfg");
  writeFileSync(
    config,
    `global\n stats socket ${path}\n noreuseport\n${listenOver([9])(taken.port)}\n`,
  );
  const { code } = await runProcess([balancerBinary("sluice"), "-f", config]);
  expect(code).toBe(1);
  expect(existsSync(path)).toBe(false);
});

e2e("stats maxconn: who is one too many waits until another leaves", async () => {
  using folder = temporaryFolder();
  const place = { unix: folder.file("api.sock") };
  await using sluice = await startWith(
    `  stats socket ${place.unix} level admin\n  stats maxconn 2\n  stats timeout 1h`,
  );
  const held: RawClient[] = [];
  for (let i = 0; i < 2; i++) {
    const client = await RawClient.open(place);
    client.send("prompt i\n");
    await client.until("an answer", (text) => text === "\n");
    held.push(client);
  }
  const waiting: Promise<string>[] = [];
  for (let i = 0; i < 20; i++) waiting.push(askRaw(place, "show cli level\n"));
  const winner = await Promise.race([waiting[0]!, Bun.sleep(200).then(() => "nobody")]);
  expect(winner).toBe("nobody");
  for (const client of held) client.vanish();
  expect(await Promise.all(waiting)).toEqual(waiting.map(() => LEVEL("admin")));
  expect(sluice.hasExited()).toBe(false);
});

e2e("stats timeout: who says nothing is let go", async () => {
  using folder = temporaryFolder();
  const place = { unix: folder.file("api.sock") };
  await using sluice = await startWith(
    `  stats socket ${place.unix} level admin\n  stats timeout 300ms`,
  );
  await using silent = await RawClient.open(place);
  expect(await silent.end()).toBe("");
  await using prompted = await RawClient.open(place);
  prompted.send("prompt\n");
  expect(await prompted.end()).toBe("\n> ");
  await using waiting = await RawClient.open(place);
  waiting.send("wait 1s\n");
  await waiting.end();
  expect(waiting.text).toMatch(/^(?:Done\.\n)?\n$/);
  expect(sluice.hasExited()).toBe(false);
});

e2e("a client that takes nothing costs no memory, and stalls nobody", async () => {
  using folder = temporaryFolder();
  const place = { unix: folder.file("api.sock") };
  await using server = startNamed("s1");
  await using sluice = await startWith(
    `  stats socket ${place.unix} level admin\n  stats timeout 1h`,
    {},
    [server.port],
  );
  await askRaw(place, "help\n");
  const before = residentBytes(sluice.pid);
  const count = 30_000;
  const slow: RawClient[] = [];
  for (let i = 0; i < 3; i++) {
    const client = await RawClient.open(place);
    client.pause();
    client.send("prompt i\n" + "help\n".repeat(count));
    slow.push(client);
  }
  for (let i = 0; i < 20; i++) {
    expect(await askName({ port: sluice.port })).toBe("s1");
    expect(await askRaw(place, "show cli level\n")).toBe(LEVEL("admin"));
  }
  expect(residentBytes(sluice.pid) - before).toBeLessThan(60 * MEGABYTE);
  // Each of them still gets all.
  const [first, ...others] = slow as [RawClient, ...RawClient[]];
  for (const other of others) other.vanish();
  first.resume();
  first.halfClose();
  const help = await askRaw(place, "help\n");
  const all = await first.end();
  expect(all.length).toBe(1 + count * help.length);
});

e2e("clients that vanish at any moment leave nothing behind", async () => {
  using folder = temporaryFolder();
  const place = { unix: folder.file("api.sock") };
  await using sluice = await startWith(`  stats socket ${place.unix} level admin`);
  await askRaw(place, "help\n");
  const before = descriptorCount(sluice.pid);
  for (let i = 0; i < 200; i++) {
    const client = await RawClient.open(place);
    const kinds = ["", "show cli", "help;".repeat(100) + "\n", "wait 10s\n", "transaction <<\nx\n"];
    client.send(kinds[i % kinds.length]!);
    if (i % 3 === 0) await client.until("something", (text) => i % 5 !== 2 || text !== "");
    client.vanish();
  }
  await until("all of them to be gone", () => descriptorCount(sluice.pid) <= before);
  expect(await askRaw(place, "show cli level\n")).toBe(LEVEL("admin"));
});

test.skipIf(!isRoot)(
  `after a chroot and as another user${isRoot ? "" : " (needs root)"}`,
  async () => {
    using folder = temporaryFolder();
    const place = { unix: folder.file("api.sock") };
    await using sluice = await startWith(
      `  stats socket ${place.unix} level admin mode 600
  chroot /var/empty-${process.pid}
  uid 65534
  gid 65534`.replace(`/var/empty-${process.pid}`, folder.path),
    );
    expect(await askRaw(place, "show cli level\n")).toBe(LEVEL("admin"));
    expect(await askRaw(place, "help\n")).toContain("show cli level");
    expect(isListening(sluice.port)).toBe(true);
  },
);

e2e("without the native part it is there too", async () => {
  using folder = temporaryFolder();
  const path = folder.file("api.sock");
  const port = freePort();
  await using sluice = await startWith(
    `  stats socket ${path} level admin mode 640\n  stats socket 127.0.0.1:${port}\n  stats maxconn 1`,
    { env: { SLUICE_NATIVE: "off" } },
  );
  expect(await askRaw({ unix: path }, "show cli level\n")).toBe(LEVEL("admin"));
  expect(lstatSync(path).mode & 0o777).toBe(0o640);
  const place = { hostname: "127.0.0.1", port };
  await using first = await RawClient.open(place);
  first.send("prompt\n");
  await first.until("a prompt", (text) => text !== "");
  const second = askRaw(place, "show cli level\n");
  expect(await Promise.race([second, Bun.sleep(100).then(() => "waits")])).toBe("waits");
  first.vanish();
  expect(await second).toBe(LEVEL("operator"));
  sluice.kill("SIGTERM");
  await sluice.exited;
  expect(existsSync(path)).toBe(false);
});

e2e("without descriptors it waits, and goes on when there are some", async () => {
  using folder = temporaryFolder();
  const place = { unix: folder.file("api.sock") };
  await using sluice = await startWith(
    `  stats socket ${place.unix} level admin\n  stats timeout 1h\n  stats maxconn 1000\n  maxconn 5`,
    { shellBefore: "ulimit -n 160" },
  );
  const clients: RawClient[] = [];
  for (let i = 0; i < 200; i++) clients.push(await RawClient.open(place));
  await Bun.sleep(1_500);
  for (const client of clients) client.vanish();
  await until(
    "an answer",
    async () => (await askRaw(place, "show cli level\n").catch(() => "")) === LEVEL("admin"),
  );
  expect(sluice.hasExited()).toBe(false);
});

e2e("socat, as people use it", async () => {
  if (Bun.which("socat") === null) return;
  using folder = temporaryFolder();
  const path = folder.file("api.sock");
  await using sluice = await startWith(`  stats socket ${path} level admin`);
  const shell = async (command: string): Promise<string> =>
    (await runProcess(["sh", "-c", command])).output;
  expect(await shell(`echo "show cli level;show version" | socat ${path} stdio`)).toBe(
    "admin\n\n3.5-dev5\n\n",
  );
  expect(await shell(`printf 'prompt\\nshow cli level\\n' | socat - ${path}`)).toBe(
    "\n> admin\n\n> ",
  );
  await using talk = startProcess(["sh", "-c", `(echo show cli level; sleep 5) | socat ${path} -`]);
  await until("the answer", () => talk.output() === LEVEL("admin"));
  expect(sluice.hasExited()).toBe(false);
});
