/** The machine as a load sees it: files, accounts, host name and the system's name look-up. */
import { lookup as lookupName } from "node:dns/promises";
import { readdirSync, readFileSync } from "node:fs";
import { hostname } from "node:os";

import { systemAccounts } from "./accounts.ts";
import type { FileAccess } from "./files.ts";
import type { LoadSystem } from "./load.ts";
import type { LookupAddress } from "./resolve.ts";

/** Sentences of the system's error codes that reading a file may end with. */
const PROBLEMS: Record<string, string> = {
  ENOENT: "No such file or directory",
  EACCES: "Permission denied",
  EISDIR: "Is a directory",
  ENOTDIR: "Not a directory",
  ELOOP: "Too many levels of symbolic links",
  ENAMETOOLONG: "File name too long",
};

function problemOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return PROBLEMS[code] ?? (code === "" ? "cannot be read" : code);
}

/** Files and folders of this machine. */
export const systemFiles: FileAccess = {
  readText: (path) => {
    try {
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
