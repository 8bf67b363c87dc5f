/**
 * Certificates, keys and authorities from PEM files (HAProxy manual 5.1, `crt`, `ca-file`): found,
 * read once a load, and checked: that they can be read, that the key belongs to the certificate,
 * that it is valid now. Access to files is handed in; only regular files of a bounded length are
 * read, so that no path of an operator holds the thread. Main thread.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { KeyObject } from "node:crypto";

import { systemClock } from "../../base/clock.ts";
import { PEM_BYTES_MAX } from "../../base/limits.ts";
import type { CertificateSpec } from "../../tables/spec.ts";
import { ABSENT } from "../files.ts";
import type { FileAccess } from "../files.ts";
import { parsed, refused } from "../numbers.ts";
import type { Parsed } from "../numbers.ts";

/** Certificates of a `crt` word, and what is odd about them. */
export type FoundCertificates = { certificates: CertificateSpec[]; warnings: string[] };

/** Word for the authorities that the system trusts. */
export const SYSTEM_CA = "@system-ca";

/** Where systems keep the authorities that they trust, all in one file. */
const SYSTEM_FILES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

const CERTIFICATE = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^]*?-----END [^-]*-----/gu;
const PRIVATE_KEY = /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----[^]*?-----END [^-]*-----/u;
/** Files beside certificates, which are none themselves. */
const BESIDE = /^\.|\.(?:key|issuer|ocsp|sctl)$/u;
const AUTHORITY = /\.(?:pem|crt|cer|crl)$/u;
/** Kinds of keys of a bundle: `site.pem.rsa` beside `site.pem.ecdsa`. */
const BUNDLE = ["ecdsa", "rsa", "dsa"];

/** Reads and checks. One a load; what was read is kept for run time, what could not be is not. */
export class PemStore {
  readonly #files: FileAccess;
  readonly #certificates = new Map<string, Parsed<FoundCertificates>>();
  readonly #authorities = new Map<string, Parsed<string>>();

  constructor(files: FileAccess) {
    this.#files = files;
  }

  #read(path: string): ReturnType<FileAccess["readText"]> {
    return this.#files.readText(path, PEM_BYTES_MAX);
  }

  /**
   * `crt PATH`: a file, all files of a folder in the order of their names, or a bundle.
   * @param base folder of relative paths; "" = the current one
   */
  certificates(path: string, base: string): Parsed<FoundCertificates> {
    const full = within(base, path);
    const known = this.#certificates.get(full);
    if (known !== undefined) return known;
    const found = this.#find(full);
    if (found.ok) this.#certificates.set(full, found);
    return found;
  }

  #find(path: string): Parsed<FoundCertificates> {
    const names = this.#files.listFolder(path);
    if (names !== undefined) return this.#folder(path, names);
    if ("content" in this.#read(path)) return this.#all([path]);
    const bundle = BUNDLE.map((kind) => `${path}.${kind}`);
    const there = bundle.filter((file) => "content" in this.#read(file));
    return this.#all(there.length === 0 ? [path] : there);
  }

  #folder(path: string, names: readonly string[]): Parsed<FoundCertificates> {
    const files = names
      .filter((name) => !BESIDE.test(name))
      .toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      .map((name) => within(path, name))
      .filter((file) => this.#files.listFolder(file) === undefined);
    return this.#all(files);
  }

  #all(files: readonly string[]): Parsed<FoundCertificates> {
    const found: FoundCertificates = { certificates: [], warnings: [] };
    for (const file of files) {
      const one = this.#one(file);
      if (!one.ok) return one;
      found.certificates.push(one.value.spec);
      if (one.value.warning !== undefined) found.warnings.push(one.value.warning);
    }
    return parsed(found);
  }

  #one(file: string): Parsed<{ spec: CertificateSpec; warning?: string }> {
    const text = this.#read(file);
    if ("problem" in text) return refused(`unable to load '${file}' : ${text.problem}`);
    const blocks = text.content.match(CERTIFICATE);
    if (blocks === null) return refused(`'${file}' has no certificate (PEM)`);
    const key = this.#keyText(file, text.content);
    if (!key.ok) return key;
    const checked = checkPair(file, blocks, key.value);
    if (!checked.ok) return checked;
    const spec = { file, chain: `${blocks.join("\n")}\n`, key: key.value };
    const warning = checked.value;
    return parsed(warning === undefined ? { spec } : { spec, warning });
  }

  /** The key: in the same file, else in `FILE.key`, else in the file with the ending `.key`. */
  #keyText(file: string, content: string): Parsed<string> {
    const own = PRIVATE_KEY.exec(content)?.[0];
    if (own !== undefined) return parsed(`${own}\n`);
    const beside = [`${file}.key`, file.replace(/\.[^./]+$/u, ".key")];
    for (const path of beside) {
      const text = this.#read(path);
      if ("content" in text) {
        const found = PRIVATE_KEY.exec(text.content)?.[0];
        if (found !== undefined) return parsed(`${found}\n`);
      } else if (text.problem !== ABSENT) {
        return refused(`unable to load '${path}' : ${text.problem}`);
      }
    }
    return refused(`'${file}' has no private key, and there is none in '${beside[0]}'`);
  }

  /**
   * `ca-file PATH`: PEM of a file, or of all of a folder.
   * @param base folder of relative paths
   */
  authorities(path: string, base: string): Parsed<string> {
    const full = within(base, path);
    const known = this.#authorities.get(full);
    if (known !== undefined) return known;
    const found = this.#readAuthorities(full);
    if (found.ok) this.#authorities.set(full, found);
    return found;
  }

  #readAuthorities(path: string): Parsed<string> {
    const names = this.#files.listFolder(path);
    const files =
      names === undefined
        ? [path]
        : names
            .filter((name) => AUTHORITY.test(name) && !name.startsWith("."))
            .toSorted()
            .map((name) => within(path, name));
    const blocks: string[] = [];
    for (const file of files) {
      const text = this.#read(file);
      if ("problem" in text) return refused(`unable to load '${file}' : ${text.problem}`);
      for (const block of text.content.match(CERTIFICATE) ?? []) {
        const problem = problemOf(() => new X509Certificate(block));
        if (problem !== undefined) return refused(`'${file}' : ${problem}`);
        blocks.push(block);
      }
    }
    if (blocks.length === 0) return refused(`'${path}' has no certificate (PEM)`);
    return parsed(`${blocks.join("\n")}\n`);
  }

  /**
   * What the system trusts, from the one file where it keeps that; undefined = it has none of the
   * usual ones. For processes that cannot look there later (`chroot`).
   */
  systemAuthorities(): { authorities: string; authoritiesFile: string } | undefined {
    for (const file of SYSTEM_FILES) {
      const found = this.authorities(file, "");
      if (found.ok) return { authorities: found.value, authoritiesFile: file };
    }
    return undefined;
  }

  /** `crt-list FILE`: one file a line; lines with options or names are refused. */
  list(path: string, base: string): Parsed<FoundCertificates> {
    const full = within(base, path);
    const text = this.#read(full);
    if ("problem" in text) return refused(`unable to load '${full}' : ${text.problem}`);
    const found: FoundCertificates = { certificates: [], warnings: [] };
    for (const [index, line] of text.content.split("\n").entries()) {
      const words = line.trim().split(/\s+/u);
      const [file = "", ...more] = words;
      if (file === "" || file.startsWith("#")) continue;
      if (more.length > 0) {
        const what = more[0]?.startsWith("[") === true ? "options" : "names";
        return refused(`'${full}:${index + 1}' : ${what} behind a certificate are not built yet`);
      }
      const one = this.certificates(file, base);
      if (!one.ok) return refused(`'${full}:${index + 1}' : ${one.message}`);
      found.certificates.push(...one.value.certificates);
      found.warnings.push(...one.value.warnings);
    }
    return parsed(found);
  }
}

/** A path below the folder that relative ones begin at; "" = the current one. */
export function within(base: string, path: string): string {
  return base === "" || path.startsWith("/") ? path : `${base.replace(/\/$/u, "")}/${path}`;
}

/** Are all certificates whole, does the key belong to the first, is that one valid now? */
function checkPair(
  file: string,
  blocks: readonly string[],
  keyText: string,
): Parsed<string | undefined> {
  for (const block of blocks) {
    const problem = problemOf(() => new X509Certificate(block));
    if (problem !== undefined) return refused(`'${file}' : a certificate is damaged: ${problem}`);
  }
  let key: KeyObject | undefined;
  const problem = problemOf(() => (key = createPrivateKey(keyText)));
  if (problem !== undefined || key === undefined) {
    const isLocked = /passphrase/iu.test(problem ?? "") || keyText.includes("ENCRYPTED");
    const why = isLocked ? "it asks for a pass phrase, which is not built yet" : (problem ?? "");
    return refused(`'${file}' : the private key cannot be read: ${why}`);
  }
  const leaf = new X509Certificate(blocks[0] ?? "");
  if (!leaf.checkPrivateKey(key)) {
    return refused(`'${file}' : the private key does not belong to the certificate`);
  }
  return parsed(untimely(file, leaf));
}

function untimely(file: string, leaf: X509Certificate): string | undefined {
  const nowMs = systemClock.epochMicros() / 1000;
  if (Date.parse(leaf.validTo) < nowMs) {
    return `the certificate of '${file}' has expired (${leaf.validTo}).`;
  }
  if (Date.parse(leaf.validFrom) <= nowMs) return undefined;
  return `the certificate of '${file}' is not valid before ${leaf.validFrom}.`;
}

/** What `run` throws, in short; undefined = nothing. */
function problemOf(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return text.split(":").at(-1)?.toLowerCase().replaceAll("_", " ").trim() ?? text;
  }
}
