/**
 * What outlives the process: state files that are written while it runs and at its end, read at the
 * start, refused when damaged; stats files; and fifty deaths at random moments under changes, none
 * of which loses more than the time between two writes. `SLUICE_STATE_SEED` repeats a run.
 */
import { expect } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";

import { below, seededRandom } from "../fuzz/mutate.ts";
import { ApiConnection, askApi } from "../support/api.ts";
import { startBalancer } from "../support/haproxy.ts";
import type { Balancer } from "../support/haproxy.ts";
import { startNamed, startPeer } from "../support/peers.ts";
import { freePort } from "../support/ports.ts";
import { temporaryFolder, until, within } from "../support/procs.ts";
import { askName } from "../support/traffic.ts";
import { e2e, LONG_TIMEOUTS } from "./sluice.ts";

type Stage = {
  port: number;
  api: string;
  stateFile: string;
  folder: string;
  start(interval?: string): Promise<Balancer>;
};

/** A configuration, a place for its state, and a way to begin again and again. */
function makeStage(folder: { file(name: string): string; path: string }, body: string): Stage {
  const port = freePort();
  const api = folder.file("api.sock");
  const stateFile = folder.file("state");
  const config = `global
  nbthread 2
  stats socket ${api} level admin
defaults base
  mode tcp
${LONG_TIMEOUTS}
${body.replaceAll("{port}", String(port))}
`;
  return {
    port,
    api,
    stateFile,
    folder: folder.path,
    start: (interval = "50ms") =>
      startBalancer("sluice", {
        config,
        ports: [port],
        env: {
          SLUICE_LOG_FORMAT: "off",
          SLUICE_STATE_FILE: stateFile,
          SLUICE_STATE_INTERVAL: interval,
        },
      }),
  };
}

const BODY = `frontend fe from base
  guid fe
  bind 127.0.0.1:{port} guid-prefix li
  default_backend be
backend be from base
  guid be
  server s1 127.0.0.1:1 guid s1
  server s2 127.0.0.1:2 weight 10
  server s3 127.0.0.1:3
`;

/** Lines about servers, without how long they have been so. */
async function serversState(api: string): Promise<string[]> {
  const text = await askApi(api, "show servers state");
  return text.split("\n").map((line) => line.split(" ").toSpliced(9, 1).join(" "));
}

async function isSaved(api: string): Promise<boolean> {
  return /^dirty: no$/mu.test(await askApi(api, "show state"));
}

for (const signal of ["SIGTERM", "SIGUSR1", "SIGKILL"] as const) {
  e2e(`a restart after ${signal} loses no change, and traffic goes where it went`, async () => {
    using folder = temporaryFolder();
    await using server = startNamed("added");
    const stage = makeStage(folder, BODY);
    let state: string[];
    {
      await using first = await stage.start();
      const changes = [
        `add server be/added 127.0.0.1:${server.port} guid added`,
        "enable server be/added",
        "disable server be/s1",
        "set weight be/s2 0",
        "disable server be/s3",
        "del server be/s3",
        "add backend more from base",
        "add server more/m 127.0.0.9:9",
        "set maxconn frontend fe 77",
      ];
      for (const line of changes) await askApi(stage.api, line);
      for (let i = 0; i < 5; i++) expect(await askName({ port: stage.port })).toBe("added");
      state = await serversState(stage.api);
      expect(state.join("\n")).toContain("be 4 added");
      if (signal === "SIGKILL") await until("the state to be saved", () => isSaved(stage.api));
      first.kill(signal);
      await within("its end", first.exited);
    }
    expect(statSync(stage.stateFile).mode & 0o777).toBe(0o600);
    await using second = await stage.start();
    const told = /State of \S+ restored: 3 objects made, \d changed\./u;
    await until("the restored state to be told", () => told.test(second.output()));
    expect(await serversState(stage.api)).toEqual(state);
    expect(await askName({ port: stage.port })).toBe("added");
    const stats = await askApi(stage.api, "show stat");
    const column = (name: string, at: number): string | undefined =>
      stats.match(new RegExp(`^${name},.*$`, "mu"))?.[0].split(",")[at];
    expect(column("fe,FRONTEND", 6)).toBe("77");
    expect(column("be,added", 7)).toBe("6");
    expect(column("be,s3", 7)).toBeUndefined();
    // Now and then the next file is just being written.
    const files = readdirSync(stage.folder).filter((name) => name.startsWith("state"));
    expect(files.filter((name) => name !== `state.new-${second.pid}`)).toEqual(["state"]);
  });
}

e2e("agents and checks are as they were after kill -9, whatever is well meanwhile", async () => {
  using folder = temporaryFolder();
  await using served = startNamed("s");
  await using moved = startNamed("moved");
  // Says no once, then nothing that counts: what it said must not be forgotten.
  let says = "down\n";
  await using agent = startPeer({ open: (socket) => void (socket.write(says), socket.end()) });
  const times = "inter 100ms agent-inter 100ms rise 1 fall 1";
  const server = `127.0.0.1:${served.port} ${times} agent-check agent-port ${agent.port}`;
  const stage = makeStage(
    folder,
    `frontend fe from base
  bind 127.0.0.1:{port}
  default_backend be
backend be from base
  server said ${server} check
  server off ${server} check
  server away ${server} check
  server unchecked ${server} check
`,
  );
  const column = async (name: string, at: string): Promise<string> => {
    const lines = (await askApi(stage.api, "show stat")).split("\n");
    const names = lines[0]!.slice(2).split(",");
    const row = lines.find((line) => line.startsWith(`be,${name},`))?.split(",");
    return (row?.[names.indexOf(at)] ?? "?").replace(/^\* /u, "");
  };
  const changes = [
    "disable agent be/off",
    `set server be/away agent-addr 127.0.0.2 port ${moved.port}`,
    "set server be/away agent-send hello",
    `set server be/away check-port ${moved.port}`,
    "disable health be/unchecked",
  ];
  {
    await using first = await stage.start();
    for (const line of changes) await askApi(stage.api, line);
    await until("the agent to be heard", async () => {
      return (await column("said", "status")) === "DOWN (agent)";
    });
    says = "ready\n";
    await until("it to say nothing more of health", async () => {
      return (await column("said", "agent_status")) === "CHECKED";
    });
    await until("the state to be saved", () => isSaved(stage.api));
    first.kill("SIGKILL");
    await within("its end", first.exited);
  }
  await using _second = await stage.start();
  await until("the agent to be asked again", async () => {
    return (await column("said", "agent_status")) === "CHECKED";
  });
  await until("the check to have passed", async () => {
    return (await column("said", "check_status")) === "L4OK";
  });
  expect(await column("said", "status")).toBe("DOWN (agent)");
  expect(await column("said", "agent_health")).toBe("0");
  expect(await column("off", "agent_status")).toBe("");
  expect(await column("unchecked", "check_status")).toBe("");
  const away = (await askApi(stage.api, "show servers state")).match(/^.* away .*$/mu)?.[0];
  expect(away?.split(" ").slice(21)).toEqual([
    String(moved.port),
    "-",
    "127.0.0.2",
    String(moved.port),
  ]);
  says = "up\n";
  await until("the server to be up", async () => (await column("said", "status")) === "UP");
});

e2e("a damaged file is refused with a reason and kept aside; the start goes on", async () => {
  using folder = temporaryFolder();
  const stage = makeStage(folder, BODY);
  {
    await using first = await stage.start();
    await askApi(stage.api, "set weight be/s2 99");
    await until("the state to be saved", () => isSaved(stage.api));
    first.kill("SIGKILL");
    await first.exited;
  }
  const good = readFileSync(stage.stateFile);
  const bad: readonly (readonly [Uint8Array, string])[] = [
    [good.map((byte, at) => (at === good.length - 3 ? byte ^ 1 : byte)), "it is damaged"],
    [good.subarray(0, good.length - 1), "it is cut off"],
    [Buffer.from("# this is a server state file\n"), "it is no state file"],
    [good.map((byte, at) => (at === 11 ? 7 : byte)), "it was written by a newer release"],
  ];
  for (const [index, [bytes, reason]] of bad.entries()) {
    writeFileSync(stage.stateFile, bytes);
    await using next = await stage.start("0");
    const aside = `${stage.stateFile}.rejected-${index + 1}`;
    expect(next.output()).toContain(`State file ${stage.stateFile} is refused: ${reason}`);
    expect(next.output()).toContain(`It is ${aside} now.`);
    expect(readFileSync(aside)).toEqual(Buffer.from(bytes));
    expect(existsSync(stage.stateFile)).toBe(false);
    expect(await askApi(stage.api, "get weight be/s2")).toBe("10 (initial 10)");
  }
  writeFileSync(stage.stateFile, good);
  await using last = await stage.start("0");
  expect(last.output()).not.toContain("refused");
  expect(await askApi(stage.api, "get weight be/s2")).toBe("99 (initial 10)");
});

e2e("show state, save state, and a copy beside", async () => {
  using folder = temporaryFolder();
  const stage = makeStage(folder, BODY);
  await using sluice = await stage.start("0");
  const shown = await askApi(stage.api, "show state");
  expect(shown).toMatch(/^path: .*\ndirty: yes\nwritten: never\n/u);
  expect(await askApi(stage.api, "save state copy")).toBe("State saved.");
  expect(existsSync(folder.file("copy"))).toBe(true);
  expect(existsSync(stage.stateFile)).toBe(false);
  expect(await askApi(stage.api, "save state")).toBe("State saved.");
  expect(await askApi(stage.api, "show state")).toContain("dirty: no\n");
  for (const name of ["../x", "/tmp/x", ".x", "state.new-1", "a b"]) {
    expect(await askApi(stage.api, `save state ${name}`)).not.toContain("saved");
  }
  expect(sluice.hasExited()).toBe(false);
});

e2e("a stats file of one process is where the counters of the next begin", async () => {
  using folder = temporaryFolder();
  await using server = startNamed("s1");
  const body = BODY.replace("127.0.0.1:1 ", `127.0.0.1:${server.port} `);
  const file = folder.file("counters");
  const port = freePort();
  const api = folder.file("api.sock");
  const config = (more: string): string => `global
  stats socket ${api} level admin
  ${more}
defaults base
  mode tcp
${LONG_TIMEOUTS}
${body.replaceAll("{port}", String(port)).replace(/\n  server s[23].*/gu, "")}
`;
  const env = { SLUICE_LOG_FORMAT: "off" };
  let dumped: string;
  {
    await using first = await startBalancer("sluice", { config: config(""), ports: [port], env });
    for (let i = 0; i < 3; i++) expect(await askName({ port })).toBe("s1");
    expect(first.hasExited()).toBe(false);
    dumped = await askApi(api, "dump stats-file");
  }
  expect(dumped).toMatch(/^fe,3,/mu);
  expect(dumped).toMatch(/^li-0,3,/mu);
  writeFileSync(file, `${dumped}\nbroken!,1,\n`);
  const second = config(`stats-file ${file}`);
  await using sluice = await startBalancer("sluice", { config: second, ports: [port], env });
  // Sockets listen before the file is read: workers and the runtime API begin after that.
  await until("the line to be told", () => sluice.output().includes("Ignored stats-file line"));
  const again = await askApi(api, "dump stats-file");
  const withoutAges = (text: string): string => text.replace(/,\d*,(?=\d+,$)/gmu, ",,");
  expect(withoutAges(again)).toBe(withoutAges(dumped));
  await askName({ port });
  expect(await askApi(api, "show stat fe 1 -1 typed")).toMatch(/\.stot\..*:4\n/u);
});

const DEATHS = 50;
const INTERVAL_MS = 50;
const LIFE_MS_MAX = 700;
/** One write may have begun before a change was acknowledged; the one after it has the change. */
const WRITES_AFTER = 2;

e2e(
  `${DEATHS} deaths by SIGKILL under changes: each start is consistent and fresh`,
  async () => {
    const seed = Number(process.env["SLUICE_STATE_SEED"] ?? 1);
    const random = seededRandom(seed);
    using folder = temporaryFolder();
    const stage = makeStage(folder, BODY);
    let next = 1;
    let before = 0;
    /** Deaths after which there was something that had to be there. */
    let held = 0;
    /** Changes by number, with the writes that there had been when they were acknowledged. */
    let acknowledged: { number: number; writes: number }[] = [];
    for (let death = 0; death <= DEATHS; death++) {
      await using sluice = await stage.start(`${INTERVAL_MS}ms`);
      expect(sluice.output()).not.toContain("refused");
      await using api = await ApiConnection.open(stage.api);
      const restored = await readNumbers(stage.api);
      const writesSeen = acknowledged.at(-1)?.writes ?? 0;
      const due = acknowledged.filter(({ writes }) => writes <= writesSeen - WRITES_AFTER);
      const oldest = Math.max(before, due.at(-1)?.number ?? 0);
      if (due.length > 0) held++;
      const where = `seed ${seed}, death ${death}`;
      // Never older than the last write, and never ahead of what was asked for.
      expect([where, restored.front >= oldest]).toEqual([where, true]);
      expect([where, restored.front < next]).toEqual([where, true]);
      // Every change goes through the same moments: what is there is one of them.
      expect([where, restored]).toEqual([where, consistent(restored)]);
      if (death === DEATHS) break;
      acknowledged = [];
      before = restored.front;
      next = restored.front + 1;
      // What the change under way had not come to.
      for (const line of changesOf(restored.front).slice(2)) await api.ask(line);
      const life = 20 + below(random, LIFE_MS_MAX);
      const end = performance.now() + life;
      const killer = Bun.sleep(life).then(() => sluice.kill("SIGKILL"));
      while (performance.now() < end - 5) {
        const number = next++;
        for (const line of changesOf(number)) void api.ask(line).catch(() => undefined);
        void api.ask(`set weight be/s1 ${number % 200}`).catch(() => undefined);
        // Acknowledged in order: the last answer stands for all before it.
        const answer = api.ask("show state");
        const told = await Promise.race([answer, sluice.exited.then(() => undefined)]);
        if (told === undefined) break;
        const { writes } = told.result as { writes: number };
        acknowledged.push({ number, writes });
      }
      await killer;
      await within("its end", sluice.exited);
    }
    expect(held).toBeGreaterThan(3);
    expect(next).toBeGreaterThan(DEATHS);
  },
  120_000,
);

/** Change number n: a limit, a limit, a server that comes, one that goes. */
function changesOf(number: number): string[] {
  return [
    `set maxconn frontend fe ${number}`,
    `add server be/d${number} 127.0.0.1:${(number % 60_000) + 1} maxconn ${number}`,
    `del server be/d${number - 3}`,
    `set maxconn server be/s1 ${number}`,
  ];
}

type Numbers = { front: number; server: number; dynamic: string[] };

async function readNumbers(api: string): Promise<Numbers> {
  const lines = (await askApi(api, "show stat")).split("\n").map((line) => line.split(","));
  const limit = (proxy: string, name: string): number =>
    Number(lines.find((line) => line[0] === proxy && line[1] === name)?.[6] ?? 0);
  const front = limit("fe", "FRONTEND");
  const dynamic = lines.flatMap(([proxy, name = "", , , , , max]) =>
    proxy === "be" && /^d\d+$/u.test(name) ? [`${name} ${max}`] : [],
  );
  // Before the first change the frontend has the limit of the process.
  const isFresh = dynamic.length === 0 && limit("be", "s1") === 0;
  return { front: isFresh ? 0 : front, server: limit("be", "s1"), dynamic };
}

/** What belongs together with a limit of the frontend: one of the moments of its change. */
function consistent({ front, server, dynamic }: Numbers): Numbers {
  const named = (numbers: number[]): string[] =>
    numbers.filter((number) => number > 0).map((number) => `d${number} ${number}`);
  const before = named([front - 3, front - 2, front - 1]);
  const during = named([front - 3, front - 2, front - 1, front]);
  const after = named([front - 2, front - 1, front]);
  const moments: Numbers[] = [
    { front, server: Math.max(0, front - 1), dynamic: before },
    { front, server: Math.max(0, front - 1), dynamic: during },
    { front, server: Math.max(0, front - 1), dynamic: after },
    { front, server: front, dynamic: after },
  ];
  const now = JSON.stringify({ front, server, dynamic });
  return moments.find((moment) => JSON.stringify(moment) === now) ?? moments[3]!;
}
