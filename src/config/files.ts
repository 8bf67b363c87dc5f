/**
 * Which texts a load reads: files as named, folders as all their `*.cfg` files in the order of
 * their names (C locale). Access to the file system is handed in.
 */
import { FILE_LENGTH_MAX } from "../base/limits.ts";
import type { Report } from "./message.ts";

/** One text to parse and the name that messages give it. */
export type ConfigText = { name: string; content: string };

/** Why a file cannot be read that is not there. */
export const ABSENT = "No such file or directory";

/** What the loader asks of the file system. Answers are values: nothing throws. */
export type FileAccess = {
  /**
   * Content of a file, or why it cannot be read (`No such file or directory`).
   * @param bytesMax read only if it is a regular file of at most that many bytes, so that reading
   *   never waits; left out: whatever can be read, as `-f <(…)`
   */
  readText: (path: string, bytesMax?: number) => { content: string } | { problem: string };
  /** Names in a folder, or undefined when the path is no folder. */
  listFolder: (path: string) => readonly string[] | undefined;
};

/** Reads all files and folders in order. What cannot be read is reported. */
export function readFiles(
  paths: readonly string[],
  access: FileAccess,
  report: Report,
): ConfigText[] {
  return paths
    .flatMap((path) => expand(path, access))
    .flatMap((path) => {
      const result = access.readText(path);
      if ("problem" in result) {
        const text = `Cannot open configuration file/directory ${path} : ${result.problem}`;
        report.messages.push({ severity: "alert", file: path, text });
        return [];
      }
      if (result.content.length > FILE_LENGTH_MAX) {
        const text = `Configuration file ${path} is too large.`;
        report.messages.push({ severity: "alert", file: path, text });
        return [];
      }
      return [{ name: path, content: result.content }];
    });
}

function expand(path: string, access: FileAccess): string[] {
  const names = access.listFolder(path);
  if (names === undefined) return [path];
  const separator = path.endsWith("/") ? "" : "/";
  return names
    .filter((name) => name.endsWith(".cfg") && !name.startsWith("."))
    .toSorted(compareBytes)
    .map((name) => `${path}${separator}${name}`);
}

/** Order of the C locale: by bytes. */
function compareBytes(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}
