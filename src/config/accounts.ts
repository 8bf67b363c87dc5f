/**
 * Names of users and groups to numbers, from the system's account files. The loader asks for
 * `user`, `group` and the owners of unix sockets; tests hand in their own.
 */

/** Looks up accounts; undefined when there is none of that name. */
export type Accounts = {
  uidOf: (name: string) => number | undefined;
  gidOf: (name: string) => number | undefined;
  /** True when this process may change its user. */
  isRoot: boolean;
};

/** `name:x:NUMBER:…` lines of `/etc/passwd` and `/etc/group`. */
function numberOf(text: string, name: string): number | undefined {
  for (const line of text.split("\n")) {
    const fields = line.split(":");
    if (fields[0] === name && /^\d+$/u.test(fields[2] ?? "")) return Number(fields[2]);
  }
  return undefined;
}

/**
 * Accounts as the system's files list them.
 * @param readText content of a file, or undefined when it cannot be read
 */
export function systemAccounts(
  readText: (path: string) => string | undefined,
  isRoot: boolean,
): Accounts {
  return {
    uidOf: (name) => numberOf(readText("/etc/passwd") ?? "", name),
    gidOf: (name) => numberOf(readText("/etc/group") ?? "", name),
    isRoot,
  };
}
