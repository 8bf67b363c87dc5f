/**
 * The machine and the process as the system sees them: `show dev`, `show libs`, `show fd` (HAProxy
 * management manual 9.3). Read from /proc: after a chroot without it they say so.
 */
import { Refusal } from "../../base/refusals.ts";
import type { Control } from "../../control/control.ts";
import {
  descriptorsOf,
  listDescriptors,
  listLibraries,
  platformFacts,
  processFacts,
} from "../../control/process/system-facts.ts";
import type { Descriptor } from "../../control/process/system-facts.ts";
import { listQuic } from "../../control/quic-list.ts";
import { listStreams } from "../../control/streams.ts";
import { anonymAddress, anonymName } from "../anonymize.ts";
import { output, pieces } from "../command.ts";
import type { Asker, Call, Command, Reply } from "../command.ts";

/** The commands. */
export const MACHINE_COMMANDS: readonly Command[] = [
  {
    name: "show dev",
    usage: "",
    summary: "show debug info for developers",
    level: "user",
    run: showDev,
  },
  {
    name: "show libs",
    usage: "",
    summary: "show loaded object files and libraries",
    level: "operator",
    run: () => {
      const libraries = listLibraries();
      if (libraries === undefined) throw noProc();
      const lines = libraries.map(
        ({ from, to, path }) => `${hex(from, 16)}-${hex(to, 16)} (${hex(to - from, 7)}) ${path}\n`,
      );
      return output(
        lines.join(""),
        libraries.map(({ from, to, path }) => ({ from: hex(from, 16), to: hex(to, 16), path })),
      );
    },
  },
  {
    name: "show fd",
    usage: "[-!plcfbs]* [<fd>]",
    summary: "dump list of file descriptors in use or a specific one",
    level: "user",
    run: showFd,
  },
];

const noProc = (): Refusal =>
  new Refusal("SYSTEM", "The system's /proc cannot be read: the process has left it behind.");

function hex(value: number, width: number): string {
  return `0x${value.toString(16).padStart(width, "0")}`;
}

function showDev({ control }: Call): Reply {
  const platform = platformFacts();
  const process = processFacts(control);
  const section = (title: string, facts: Record<string, string | number>): string =>
    `${title}\n${Object.entries(facts)
      .map(([name, value]) => `  ${name}: ${value}\n`)
      .join("")}`;
  const text = section("Platform info", platform) + section("Process info", process);
  return output(text, { platform, process });
}

/** Kinds of descriptors that flags select. */
const KINDS: Record<string, readonly Descriptor["kind"][]> = {
  p: ["pipe"],
  l: ["listener"],
  c: ["front", "back"],
  f: ["front"],
  b: ["back"],
  s: ["back"],
};
const ALL_KINDS: readonly Descriptor["kind"][] = ["pipe", "listener", "front", "back", "other"];

/** What `show fd` is asked for. */
type Wish = { kinds: Set<Descriptor["kind"]>; fd: number | undefined };

/** @throws Refusal */
function readWish(args: readonly string[]): Wish {
  const wish: Wish = { kinds: new Set(ALL_KINDS), fd: undefined };
  let isChosen = false;
  for (const word of args) {
    const number = /^(?:\d*\/)?(\d+)$/.exec(word)?.[1];
    if (number !== undefined) wish.fd = Number(number);
    else if (/^[-!plcfbs]+$/.test(word)) {
      let isInverted = false;
      for (const letter of word) {
        if (letter === "-" || letter === "!") isInverted = true;
        for (const kind of KINDS[letter] ?? []) {
          if (isInverted) wish.kinds.delete(kind);
          else {
            if (!isChosen) wish.kinds.clear();
            isChosen = true;
            wish.kinds.add(kind);
          }
        }
      }
    } else if (!/^\d*\/$/.test(word)) {
      throw new Refusal("BAD_ARGUMENT", `'${word}' is neither a descriptor nor any of -!plcfbs.`);
    }
  }
  return wish;
}

function showFd(call: Call): Reply {
  const wish = readWish(call.args);
  if (wish.fd !== undefined) wish.kinds = new Set(ALL_KINDS);
  const descriptors = listDescriptors();
  if (descriptors === undefined) throw noProc();
  return pieces(fdLines(call, descriptors, wish));
}

/** An owner as the connection wants it: names and addresses of `name=value` parts hidden. */
function ownerFor(asker: Asker, owner: string): string {
  if (asker.anonymKey === 0) return owner;
  return owner
    .replace(/\b(fe|be|srv|bind)=([^,]*)/g, (_all, what, name: string) => {
      return `${what}=${anonymName(asker, name)}`;
    })
    .replace(/\bpeer=(.*)$/, (_all, peer: string) => `peer=${anonymAddress(asker, peer)}`);
}

/** UDP descriptors of workers that QUIC connections go over: many share one. */
async function quicDescriptors(control: Control): Promise<Map<number, Descriptor>> {
  const { model } = control;
  const counts = new Map<number, { head: string; kind: Descriptor["kind"]; count: number }>();
  for await (const page of listQuic(control, {}, "line")) {
    if (page.kind === "silent") continue;
    for (const { fd, proxyRow, isFront, worker } of page.connections) {
      const known = counts.get(fd);
      if (known !== undefined) known.count++;
      if (known !== undefined || fd < 0) continue;
      const name = model.proxyByRow.get(proxyRow)?.spec.name ?? "?";
      const head = `${isFront ? "fe" : "be"}=${name},worker=${worker}`;
      counts.set(fd, { head, kind: isFront ? "front" : "back", count: 1 });
    }
  }
  return new Map(
    [...counts].map(([fd, { head, kind, count }]) => [
      fd,
      { kind, owner: `${head},quic=${count}` },
    ]),
  );
}

/** Streams say which descriptors are theirs, page by page; what nobody claims comes last. */
async function* fdLines(
  { control, asker }: Call,
  open: ReadonlyMap<number, string>,
  wish: Wish,
): AsyncGenerator<string> {
  const known = descriptorsOf(control);
  const show = (fd: number, { kind, owner }: Descriptor): string => {
    if (!wish.kinds.has(kind) || (wish.fd !== undefined && wish.fd !== fd)) return "";
    const head = `${String(fd).padStart(7)} : type=${kind} owner=${ownerFor(asker, owner)}`;
    return `${head} file=${open.get(fd) ?? "?"}\n`;
  };
  const seen = new Set<number>();
  let text = "";
  for (const [fd, descriptor] of known) {
    seen.add(fd);
    text += show(fd, descriptor);
  }
  for await (const page of listStreams(control, {}, false)) {
    if (page.kind === "silent") {
      text += `# worker ${page.worker} does not answer: descriptors of its streams have no owner\n`;
      continue;
    }
    for (const { front, back, frontend, backend, server, worker } of page.streams) {
      for (const [side, kind, owner] of [
        [front, "front", `fe=${frontend}`],
        [back, "back", `be=${backend},srv=${server}`],
      ] as const) {
        if (side === null || side.fd < 0) continue;
        seen.add(side.fd);
        text += show(side.fd, { kind, owner: `${owner},worker=${worker},peer=${side.remote}` });
      }
    }
    yield text;
    text = "";
  }
  for (const [fd, descriptor] of await quicDescriptors(control)) {
    if (seen.has(fd)) continue;
    seen.add(fd);
    text += show(fd, descriptor);
  }
  for (const [fd, file] of open) {
    if (seen.has(fd)) continue;
    const kind = file.startsWith("pipe:") ? "pipe" : "other";
    text += show(fd, { kind, owner: "process" });
  }
  yield text;
}
