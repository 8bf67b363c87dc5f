/** Loads configuration text on an imaginary machine: no files, no DNS, no clock. */
import { loadConfiguration } from "../../../src/config/load.ts";
import type { LoadInput, LoadResult, LoadSystem } from "../../../src/config/load.ts";
import { formatMessage } from "../../../src/config/message.ts";
import type { Plan, ProxySpec } from "../../../src/tables/spec.ts";

/** What a test may change about the machine. */
export type TestMachine = {
  files?: Record<string, string>;
  folders?: Record<string, string[]>;
  hosts?: Record<string, string[]>;
  users?: Record<string, number>;
  isRoot?: boolean;
  /** Names whose look-up never ends. */
  hangs?: string[];
};

/** The machine of the tests: `localhost` and `db.test` resolve, user and group `haproxy` exist. */
export function testSystem(machine: TestMachine = {}): LoadSystem {
  const users = machine.users ?? { haproxy: 200 };
  const hosts: Record<string, string[]> = {
    localhost: ["127.0.0.1", "::1"],
    "db.test": ["10.9.8.7"],
    ...machine.hosts,
  };
  return {
    files: {
      readText: (path) => {
        const content = machine.files?.[path];
        return content === undefined ? { problem: "No such file or directory" } : { content };
      },
      listFolder: (path) => machine.folders?.[path],
    },
    accounts: {
      uidOf: (name) => users[name],
      gidOf: (name) => users[name],
      isRoot: machine.isRoot ?? true,
    },
    hostName: "testhost",
    lookup: (name) => {
      if (machine.hangs?.includes(name) === true) return new Promise(() => {});
      const found = hosts[name];
      return found === undefined ? Promise.reject(new Error("not found")) : Promise.resolve(found);
    },
    lookupDeadline: () => (machine.hangs === undefined ? new Promise(() => {}) : Promise.resolve()),
  };
}

/** Loads `text` as file `t.cfg`. */
export async function loadText(
  text: string,
  options: Partial<LoadInput> & { machine?: TestMachine } = {},
): Promise<LoadResult> {
  const { machine, ...rest } = options;
  return await loadConfiguration({
    files: [],
    texts: [{ name: "t.cfg", content: text }],
    environment: {},
    flags: {},
    overrides: {},
    skipComing: false,
    system: testSystem(machine),
    ...rest,
  });
}

/** The messages of a result as printed, without tag and process number. */
export function linesOf(result: LoadResult): string[] {
  return result.messages.map((message) => {
    return formatMessage(message, 1).replace(/^\[(\w+)\]\s+\(1\) : config : /u, "$1 ");
  });
}

/** The plan, or an error that shows the messages. */
export function planOf(result: LoadResult): Plan {
  if (result.plan === null) throw new Error(`no plan:\n${linesOf(result).join("\n")}`);
  return result.plan;
}

/** A proxy of a plan by name. */
export function proxyOf(plan: Plan, name: string, hasBack = false): ProxySpec {
  const found = plan.proxies.find((proxy) => proxy.name === name && (!hasBack || proxy.hasBack));
  if (found === undefined) throw new Error(`no proxy '${name}'`);
  return found;
}

/** Timeouts, so that a section loads without warnings. */
export const TIMEOUTS = "defaults\n timeout client 1s\n timeout connect 1s\n timeout server 1s\n";

/** Loads lines of one `listen` section that has a listener and timeouts. */
export async function loadListen(
  lines: string,
  options: Partial<LoadInput> & { machine?: TestMachine } = {},
): Promise<LoadResult> {
  return await loadText(`${TIMEOUTS}listen l\n bind :1\n${lines}\n`, options);
}
