/**
 * Where a state file is: read at the start, put aside when it is refused, written so that there is
 * a whole one at any moment (a new file beside it, flushed to the disk, then renamed). Main thread;
 * writing waits for the disk elsewhere, but for the last time.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** Refused files that are kept beside the good one; the oldest number is used again then. */
const REJECTED_MAX = 100;

/** One state file. */
export class StatePlace {
  /** Where it is read. */
  readonly path: string;
  /** Where it is written: another name for the same after the root has changed. */
  #target: string;
  /** What this process has written last: who finds another file there leaves it alone. */
  #written: string | undefined;
  /** It has been written for the last time. */
  #isFinal = false;

  /** @param path absolute */
  constructor(path: string) {
    this.path = path;
    this.#target = path;
  }

  /** The root changes: the file has another name, or none. @returns whether it has one */
  enterRoot(root: string): boolean {
    const prefix = root.endsWith("/") ? root : `${root}/`;
    if (!this.#target.startsWith(prefix)) return false;
    this.#target = this.#target.slice(prefix.length - 1);
    return true;
  }

  /** The whole file; undefined = there is none. @throws what the system says */
  read(): Uint8Array | undefined {
    if (!existsSync(this.path)) return undefined;
    // A pipe would be waited for, and the start with it.
    if (!statSync(this.path).isFile()) throw new Error("it is no regular file");
    return readFileSync(this.path);
  }

  /** Puts a refused file aside. @returns its new name. @throws what the system says */
  putAside(): string {
    let number = 1;
    while (number < REJECTED_MAX && existsSync(`${this.path}.rejected-${number}`)) number++;
    const aside = `${this.path}.rejected-${number}`;
    renameSync(this.path, aside);
    return aside;
  }

  /** Removes what processes that were killed while they wrote have left. Never throws. */
  clean(isAlive: (pid: number) => boolean): void {
    const folder = dirname(this.path);
    const name = new RegExp(`^${RegExp.escape(basename(this.path))}\\.(?:new|last)-(\\d+)$`, "u");
    let names: string[] = [];
    try {
      names = readdirSync(folder);
    } catch {
      // The folder cannot be listed: then nothing can be removed either.
    }
    for (const file of names) {
      const [, pid] = name.exec(file) ?? [];
      if (pid === undefined || isAlive(Number(pid))) continue;
      rmSync(join(folder, file), { force: true });
    }
  }

  /** Has another process put a file there since this one wrote? */
  get isTakenOver(): boolean {
    const now = fingerprint(this.#target);
    return this.#written !== undefined && now !== undefined && now !== this.#written;
  }

  /** A file beside it, by its name alone. */
  beside(name: string): string {
    return join(dirname(this.#target), name);
  }

  /**
   * Writes the file. @throws what the system says
   * @param target where; left out: the state file
   */
  async write(pieces: readonly Uint8Array[], target: string = this.#target): Promise<void> {
    const fresh = `${target}.new-${process.pid}`;
    try {
      const file = await open(fresh, "w", 0o600);
      try {
        for (const piece of joined(pieces)) {
          for (let at = 0; at < piece.length;) {
            const { bytesWritten } = await file.write(piece, at, piece.length - at);
            at += bytesWritten;
          }
        }
        await file.sync();
      } finally {
        await file.close();
      }
      // In the same turn as the look: the last write must not be overtaken by an older one.
      if (this.#isFinal) rmSync(fresh, { force: true });
      else renameSync(fresh, target);
    } catch (error) {
      rmSync(fresh, { force: true });
      throw error;
    }
    if (this.#isFinal) return;
    if (target === this.#target) this.#written = fingerprint(target);
    await syncFolder(dirname(target));
  }

  /** The same in one go: for the last time, when nobody waits any more. */
  writeNow(pieces: readonly Uint8Array[]): void {
    const target = this.#target;
    this.#isFinal = true;
    const fresh = `${target}.last-${process.pid}`;
    const fd = openSync(fresh, "w", 0o600);
    try {
      for (const piece of joined(pieces)) {
        for (let at = 0; at < piece.length;) at += writeSync(fd, piece, at, piece.length - at);
      }
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(fresh, target);
    this.#written = fingerprint(target);
  }
}

/** Which file it is, as far as the system tells; undefined = none. */
function fingerprint(path: string): string | undefined {
  try {
    const { dev, ino, size, mtimeMs } = statSync(path);
    return `${dev} ${ino} ${size} ${mtimeMs}`;
  } catch {
    return undefined;
  }
}

/** A rename is on the disk when its folder is. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } catch {
    // Some file systems have no such thing.
  } finally {
    await folder.close();
  }
}

const WRITE_BYTES = 1_048_576;

/** Pieces put together, so that each is worth a call of the system. */
function* joined(pieces: readonly Uint8Array[]): Generator<Uint8Array> {
  let group: Uint8Array[] = [];
  let bytes = 0;
  for (const piece of pieces) {
    group.push(piece);
    bytes += piece.length;
    if (bytes < WRITE_BYTES) continue;
    yield Buffer.concat(group);
    group = [];
    bytes = 0;
  }
  if (group.length > 0) yield Buffer.concat(group);
}
