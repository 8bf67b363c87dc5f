/** The machine as a load sees it: files, accounts, host name and the system's name look-up. */
import { lookup as lookupName } from "node:dns/promises";
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
} from "node:fs";
import { hostname } from "node:os";

import { systemAccounts } from "./accounts.ts";
import { ABSENT } from "./files.ts";
import type { FileAccess } from "./files.ts";
import type { LoadSystem } from "./load.ts";
import type { LookupAddress } from "./resolve.ts";

/** Sentences of the system's error codes that reading a file may end with. */
const PROBLEMS: Record<string, string> = {
  ENOENT: ABSENT,
  EACCES: "Permission denied",
  EISDIR: "Is a directory",
  ENOTDIR: "Not a directory",
  ELOOP: "Too many levels of symbolic links",
  ENAMETOOLONG: "File name too long",
};

/** Room beyond what a file says of its size, bytes. */
const READ_STEP = 4096;

function problemOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return PROBLEMS[code] ?? (code === "" ? "cannot be read" : code);
}

/** Content of a regular file; of anything else, or a longer one, what it is. */
function readBounded(path: string, bytesMax: number): { content: string } | { problem: string } {
  // A FIFO without a writer would hold the thread at its opening, a terminal would become ours.
  const { O_RDONLY, O_NONBLOCK, O_NOCTTY } = constants;
  const fd = openSync(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  try {
    const stat = fstatSync(fd);
    if (stat.isDirectory()) return { problem: "Is a directory" };
    if (!stat.isFile()) return { problem: "it is no regular file" };
    // Not by its size: it may grow, and files of the kernel's own say 0.
    let room = Buffer.alloc(Math.min(stat.size + READ_STEP, bytesMax + 1));
    let length = 0;
    for (;;) {
      const count = readSync(fd, room, length, room.length - length, null);
      if (count === 0) return { content: room.toString("utf8", 0, length) };
      length += count;
      if (length > bytesMax) return { problem: `it is longer than ${bytesMax} bytes` };
      if (length < room.length) continue;
      room = Buffer.concat([room], Math.min(2 * room.length, bytesMax + 1));
    }
  } finally {
    closeSync(fd);
  }
}

/** Files and folders of this machine. */
export const systemFiles: FileAccess = {
  readText: (path, bytesMax) => {
    try {
      if (bytesMax !== undefined) return readBounded(path, bytesMax);
      return { content: readFileSync(path, "utf8") };
    } catch (error) {
      return { problem: problemOf(error) };
    }
  },
  listFolder: (path) => {
    try {
      return readdirSync(path);
    } catch {
      return undefined;
    }
  },
};

/** Content of a file, or undefined: the form that flags and accounts ask for. */
export function readTextOrNone(path: string): string | undefined {
  const result = systemFiles.readText(path);
  return "content" in result ? result.content : undefined;
}

const lookupAddress: LookupAddress = async (name, family) => {
  const found = await lookupName(name, { all: true, family, order: "ipv4first" });
  return found.map((entry) => entry.address);
};

/**
 * This machine.
 * @param sleep resolves after that many milliseconds: the process's clock
 * @param deadlineMs time that all look-ups of a start have together
 */
export function thisMachine(sleep: (ms: number) => Promise<void>, deadlineMs: number): LoadSystem {
  return {
    files: systemFiles,
    accounts: systemAccounts(readTextOrNone, process.getuid?.() === 0),
    hostName: hostname(),
    lookup: lookupAddress,
    lookupDeadline: () => sleep(deadlineMs),
  };
}
