/**
 * A library that is embedded in the executable, as a path that the system's loader can open.
 *
 * The runtime would put it into the temporary folder under a name that can be foretold, and fail
 * where there is none to write to, as in a container with a read-only root. A file in memory needs
 * no folder and leaves nothing behind.
 */
import { dlopen } from "bun:ffi";
import { closeSync, readFileSync, writeSync } from "node:fs";

/** Where the runtime shows what is embedded. */
const EMBEDDED = "/$bunfs/";
const MFD_CLOEXEC = 1;

/**
 * Calls `open` with a path to the library at `path`, embedded or not.
 * @returns what `open` returns; the path is valid until then
 * @throws what `open` throws, or an error when the library is empty: built without a compiler
 */
export function withLibraryPath<T>(path: string, open: (path: string) => T): T {
  const bytes = readFileSync(path);
  if (bytes.length === 0) throw new Error("built without a C compiler");
  if (!path.startsWith(EMBEDDED)) return open(path);
  const fd = memoryFile();
  if (fd < 0) return open(path);
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
    return open(`/proc/self/fd${detour(bytes)}/${fd}`);
  } finally {
    closeSync(fd);
  }
}

/**
 * Slashes and dots that lead nowhere, other ones for each content: the system's loader knows what
 * it has loaded by the text of the path, and the next library may well be given the same
 * descriptor.
 */
function detour(bytes: Uint8Array): string {
  const bits = Bun.hash.crc32(bytes).toString(2);
  return bits.replaceAll("1", "/.").replaceAll("0", "/");
}

/** An empty file in memory; negative where the system has none. */
function memoryFile(): number {
  try {
    const { symbols, close } = dlopen("libc.so.6", {
      memfd_create: { args: ["cstring", "u32"], returns: "i32" },
    });
    const fd = symbols.memfd_create(Buffer.from("sluice\0"), MFD_CLOEXEC);
    close();
    return fd;
  } catch {
    return -1;
  }
}
