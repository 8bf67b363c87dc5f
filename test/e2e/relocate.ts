/**
 * Moves a configuration from the world into this machine: every port that it binds becomes a free
 * one, every server a peer of this process that says its name, every other path a temporary one.
 * Nothing else of the text changes, so that what is tested is the file as people write it.
 */
import { type Peer, startNamed } from "../support/peers.ts";
import { freePort, freePortRange } from "../support/ports.ts";

/** A configuration that can run here. */
export interface Relocated extends AsyncDisposable {
  readonly text: string;
  /** The free port that stands for this one of the file. */
  portOf(original: number): number;
  /** Ports that listen once it runs. */
  readonly ports: number[];
}

/** What may be configured, and what it becomes. */
interface Move {
  readonly ports: Map<number, number>;
  readonly ranges: Set<string>;
  readonly peers: Map<string, Peer>;
  readonly folder: string;
  section: string;
}

const ADDRESS_LINE = /^(\s*bind\s+)(\S+)/;
const SECTION_LINE = /^(\s*(?:listen|frontend)\s+\S+\s+)(\S*:\d+\S*)/;
const SERVER_LINE = /^(\s*server\s+)(\S+)(\s+)(\S+)/;
const TEMPLATE_LINE = /^(\s*server-template\s+)(\S+)(\s+\S+\s+)(\S+)/;
const CHECK_PORT = /(\sport\s+)\d+/;
const PORT_FETCH = /(dst_port\s+(?:eq\s+)?)(\d+)/g;
/** Files and sockets outside the test's folder. */
const PATHS = /^(\s*(?:stats socket|pidfile)\s+)(\S+)/;
/** What only a process of root on a prepared machine can do. */
const PRIVILEGES = /^\s*(?:user|group|uid|gid|chroot|daemon)\b.*$/;

/** Rewrites `text`; `folder` takes sockets and pid files. Peers listen until it is disposed of. */
export function relocate(text: string, folder: string): Relocated {
  const move: Move = { ports: new Map(), ranges: new Set(), peers: new Map(), folder, section: "" };
  const moved = text.split("\n").map((line) => moveLine(move, line));
  const withRules = moved.map((line) =>
    line.replace(PORT_FETCH, (_, head: string, port: string) => `${head}${portOf(move, +port)}`),
  );
  return {
    text: withRules.join("\n"),
    ports: [...move.ports.values()],
    portOf(original) {
      const port = move.ports.get(original);
      if (port === undefined) throw new Error(`the file binds no port ${original}`);
      return port;
    },
    async [Symbol.asyncDispose]() {
      for (const peer of move.peers.values()) await peer[Symbol.asyncDispose]();
    },
  };
}

function moveLine(move: Move, line: string): string {
  const section = /^\s*(?:listen|frontend|backend)\s+(\S+)/.exec(line);
  if (section !== null) move.section = section[1] ?? "";
  if (PRIVILEGES.test(line)) return "";
  return line
    .replace(ADDRESS_LINE, (_, head: string, list: string) => head + moveAddresses(move, list))
    .replace(SECTION_LINE, (_, head: string, list: string) => head + moveAddresses(move, list))
    .replace(SERVER_LINE, (_, head: string, name: string, gap: string, address: string) => {
      return `${head}${name}${gap}${hostFor(address)}:${peerOf(move, name).port}`;
    })
    .replace(TEMPLATE_LINE, (_, head: string, name: string, gap: string) => {
      return `${head}${name}${gap}127.0.0.1:${peerOf(move, name).port}`;
    })
    .replace(CHECK_PORT, "")
    .replace(PATHS, (_, head: string, path: string) =>
      path.startsWith("/") ? `${head}${move.folder}/${path.replaceAll("/", "_")}` : head + path,
    );
}

/** A name that the system resolves stays one; an address becomes the loopback's. */
function hostFor(address: string): string {
  return /^[a-z]/i.test(address) ? "localhost" : "127.0.0.1";
}

function peerOf(move: Move, name: string): Peer {
  const key = `${move.section}/${name}`;
  const peer = move.peers.get(key) ?? startNamed(name);
  move.peers.set(key, peer);
  return peer;
}

/** `*:80,:::80` with the ports exchanged; addresses that this machine has not become loopback. */
function moveAddresses(move: Move, list: string): string {
  return list
    .split(",")
    .map((address) => {
      const match = /^(.*):(\d+)(?:-(\d+))?$/.exec(address);
      if (match === null) return address;
      const [, host = "", first = "", last] = match;
      const here = /^\d+\.\d+\.\d+\.\d+$/.test(host) && host !== "0.0.0.0" ? "127.0.0.1" : host;
      const port = last === undefined ? portOf(move, +first) : rangeOf(move, +first, +last);
      return last === undefined ? `${here}:${port}` : `${here}:${port}-${port + +last - +first}`;
    })
    .join(",");
}

function portOf(move: Move, original: number): number {
  const port = move.ports.get(original) ?? freePort();
  move.ports.set(original, port);
  return port;
}

function rangeOf(move: Move, first: number, last: number): number {
  const known = move.ports.get(first);
  if (known !== undefined) return known;
  const start = freePortRange(last - first + 1);
  for (let port = first; port <= last; port++) move.ports.set(port, start + port - first);
  return start;
}
