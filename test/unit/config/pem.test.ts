/** Files of certificates on a real machine: what is no regular file, or too long, is never read. */
import { expect, test } from "bun:test";
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";

import { PEM_BYTES_MAX } from "../../../src/base/limits.ts";
import { PemStore } from "../../../src/config/quic/pem.ts";
import { systemFiles } from "../../../src/config/system.ts";
import { temporaryFolder } from "../../support/procs.ts";
import { A, B } from "./quic-texts.ts";

type Read = (store: PemStore, path: string) => ReturnType<PemStore["authorities" | "list"]>;

const READERS: [word: string, read: Read][] = [
  ["crt", (store, path) => store.certificates(path, "")],
  ["ca-file", (store, path) => store.authorities(path, "")],
  ["crt-list", (store, path) => store.list(path, "")],
];

/** A FIFO that nobody writes to. */
function makeFifo(path: string): string {
  expect(Bun.spawnSync(["mkfifo", path]).exitCode).toBe(0);
  return path;
}

for (const [word, read] of READERS) {
  test(`${word}: devices, FIFOs and long files are refused by name`, () => {
    using folder = temporaryFolder();
    const store = new PemStore(systemFiles);
    const long = folder.file("long.pem");
    writeFileSync(long, A.chain + A.key);
    truncateSync(long, PEM_BYTES_MAX + 1);
    const link = folder.file("link.pem");
    symlinkSync("/dev/zero", link);
    const odd = "it is no regular file";
    const cases: [path: string, why: string][] = [
      ["/dev/null", odd],
      ["/dev/zero", odd],
      [link, odd],
      [makeFifo(folder.file("fifo")), odd],
      [long, `it is longer than ${PEM_BYTES_MAX} bytes`],
      [folder.file("absent"), "No such file or directory"],
    ];
    for (const [path, why] of cases) {
      expect(read(store, path)).toEqual({
        ok: false,
        message: `unable to load '${path}' : ${why}`,
      });
    }
  });
}

test("a FIFO in a folder, in a list or beside a certificate is refused by its own name", () => {
  using folder = temporaryFolder();
  const store = new PemStore(systemFiles);
  const inner = folder.file("all");
  mkdirSync(inner);
  const fifo = makeFifo(`${inner}/a.pem`);
  const refusal = (path: string) => `unable to load '${path}' : it is no regular file`;
  expect(store.certificates(inner, "")).toEqual({ ok: false, message: refusal(fifo) });
  expect(store.authorities(inner, "")).toEqual({ ok: false, message: refusal(fifo) });
  const list = folder.file("list");
  writeFileSync(list, `${fifo}\n`);
  const listed = { ok: false, message: `'${list}:1' : ${refusal(fifo)}` } as const;
  expect(store.list(list, "")).toEqual(listed);
  const apart = folder.file("apart.pem");
  writeFileSync(apart, A.chain);
  const key = makeFifo(`${apart}.key`);
  expect(store.certificates(apart, "")).toEqual({ ok: false, message: refusal(key) });
});

test("files up to the limit and those of unknown size are read whole", () => {
  using folder = temporaryFolder();
  const store = new PemStore(systemFiles);
  const full = folder.file("full.pem");
  const pem = A.chain + A.key;
  writeFileSync(full, " ".repeat(PEM_BYTES_MAX - pem.length) + pem);
  expect(store.certificates(full, "")).toEqual({
    ok: true,
    value: { certificates: [{ file: full, chain: A.chain, key: A.key }], warnings: [] },
  });
  // The kernel says that these are empty.
  const limits = systemFiles.readText("/proc/self/limits", PEM_BYTES_MAX);
  expect(limits).toEqual(systemFiles.readText("/proc/self/limits"));
  expect("content" in limits && limits.content).toContain("Max open files");
});

test("what was refused is looked at again", () => {
  using folder = temporaryFolder();
  const store = new PemStore(systemFiles);
  const file = folder.file("late.pem");
  expect(store.certificates(file, "").ok).toBe(false);
  expect(store.authorities(file, "").ok).toBe(false);
  writeFileSync(file, B.chain + B.key);
  expect(store.certificates(file, "").ok).toBe(true);
  expect(store.authorities(file, "").ok).toBe(true);
});
