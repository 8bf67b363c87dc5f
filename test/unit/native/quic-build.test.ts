/**
 * How the QUIC module is built: which parts are taken, what the result shows and needs, and that a
 * machine without the parts gets an empty module and a message that names them.
 */
import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { compareVersions, parseSources } from "../../../scripts/quic-packages.ts";
import { quicToolchain } from "../../support/native-quic.ts";
import { runProcess, temporaryFolder } from "../../support/procs.ts";

const ROOT = join(import.meta.dir, "../../..");
const LIBRARY = join(ROOT, "dist/native/sluice-quic.so");
/** Nothing listens at discard: what asks for a mirror there fails at once. */
const NO_MIRROR = { http_proxy: "http://127.0.0.1:9", https_proxy: "http://127.0.0.1:9" };

/** Builds into a folder of its own, in a process of its own: the settings are the environment. */
async function build(folder: string, env: Record<string, string>): ReturnType<typeof runProcess> {
  const script = `
    const { buildQuic } = await import(${JSON.stringify(join(ROOT, "scripts/quic.ts"))});
    await buildQuic(${JSON.stringify(folder)});`;
  const settings = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  return runProcess(["env", ...settings, process.execPath, "-e", script]);
}

test("versions are compared by their numbers", () => {
  const ordered = ["1.11.0", "1.24.0", "1.24.0-1", "3.5.7-1~deb13u2", "1:3.6.5-1", "12.0.0"];
  for (let i = 1; i < ordered.length; i++) {
    const [left = "", right = ""] = [ordered[i - 1], ordered[i]];
    expect(compareVersions(left, right)).toBeLessThanOrEqual(0);
  }
  expect(compareVersions("1.24.0", "1.24.0-1")).toBe(0);
});

const LINES = `
# deb http://commented.example/debian old main
deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] http://archive.example/debian trixie main contrib
deb-src http://archive.example/debian trixie main
deb http://other.example/tools stable extra
`;
const STANZAS = `Types: deb deb-src
URIs: http://one.example/debian http://two.example/debian
Suites: trixie trixie-updates
Components: main
Signed-By: /usr/share/keyrings/y.gpg

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: trixie
Components: main

Types: deb
URIs: http://inline.example/debian
Suites: forky
Components: contrib main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
`;

test("the mirror is read from either format of apt's sources", () => {
  const keyed = { uri: "http://archive.example/debian", suites: ["trixie"] };
  expect(parseSources(LINES, false)).toEqual([
    { ...keyed, signedBy: "/usr/share/keyrings/x.gpg" },
    { ...keyed, signedBy: undefined },
  ]);
  const suites = ["trixie", "trixie-updates"];
  const signedBy = "/usr/share/keyrings/y.gpg";
  expect(parseSources(STANZAS, true)).toEqual([
    { uri: "http://one.example/debian", suites, signedBy },
    { uri: "http://two.example/debian", suites, signedBy },
    { uri: "http://inline.example/debian", suites: ["forky"], signedBy: undefined },
  ]);
});

test("without QUIC on purpose: an empty module, and a word about it", async () => {
  using folder = temporaryFolder();
  const { code, output } = await build(folder.path, { SLUICE_NO_QUIC: "1" });
  expect(code).toBe(0);
  expect(output).toContain("building without QUIC: SLUICE_NO_QUIC=1");
  expect(statSync(folder.file("native/sluice-quic.so")).size).toBe(0);
});

test("without the packages: an empty module, and their names", async () => {
  using folder = temporaryFolder();
  const { code, output } = await build(folder.path, {
    ...NO_MIRROR,
    SLUICE_QUIC_CACHE: folder.file("cache"),
    // Nothing installed is seen either.
    PKG_CONFIG_LIBDIR: folder.file("none"),
  });
  expect(code).toBe(0);
  expect(output).toContain("building without QUIC: ");
  for (const name of ["libngtcp2-dev >= 1.24.0", "libc6-dev", "xz-utils", "Debian mirror"]) {
    expect(output).toContain(name);
  }
  expect(statSync(folder.file("native/sluice-quic.so")).size).toBe(0);
});

test("an unknown TLS library is an error, not a build without QUIC", async () => {
  using folder = temporaryFolder();
  const { code, output } = await build(folder.path, { SLUICE_QUIC_TLS: "wolf" });
  expect(code).not.toBe(0);
  expect(output).toContain("SLUICE_QUIC_TLS is 'wolf' (known: openssl, gnutls)");
});

const hasModule = statSync(LIBRARY, { throwIfNoEntry: false })?.size ?? 0;
const isPortable = hasModule > 0 && readFileSync(LIBRARY).includes("OpenSSL 3.");

test.skipIf(!isPortable)("the module needs the C library only, and shows sq_ names", async () => {
  const dynamic = (await runProcess(["readelf", "-d", LIBRARY])).output;
  const needed = Array.from(dynamic.matchAll(/NEEDED.*\[(.*)\]/g), ([, name]) => name ?? "");
  const isOfLibc = (name: string): boolean => /^(libc\.so|ld-linux|libm\.so)/.test(name);
  expect(needed.filter((name) => !isOfLibc(name))).toEqual([]);
  expect(needed).not.toBeEmpty();
  expect(dynamic).not.toContain("TEXTREL");
  const symbols = (await runProcess(["readelf", "-W", "--dyn-syms", LIBRARY])).output;
  const shown = Array.from(
    symbols.matchAll(/(?:GLOBAL|WEAK)\s+DEFAULT\s+\d+\s+(\S+)/g),
    ([, name]) => name ?? "",
  );
  expect(shown.filter((name) => !name.startsWith("sq_"))).toEqual([]);
  expect(shown).toContain("sq_engine_new");
});

test.skipIf(!isPortable)("the notices of what is in the module come with it", () => {
  const notice = readFileSync(join(ROOT, "dist/NOTICE"), "utf8");
  for (const words of ["ngtcp2", "Permission is hereby granted", "OpenSSL", "Apache"]) {
    expect(notice).toContain(words);
  }
});

const gnutls = await quicToolchain("gnutls", "plain");

test.skipIf(typeof gnutls === "string")(
  "an installed ngtcp2 that is new enough is taken",
  async () => {
    if (typeof gnutls === "string") return;
    using folder = temporaryFolder();
    mkdirSync(folder.file("pc"));
    // What a package would install: here it points to what was compiled from the source.
    const archive = gnutls.linkFlags[0] ?? "";
    const describe = (name: string, version: string, libs: string): void =>
      writeFileSync(
        folder.file(`pc/${name}.pc`),
        `Name: ${name}\nDescription: ${name}\nVersion: ${version}\nLibs: ${libs}\n` +
          `Cflags: ${gnutls.compileFlags.join(" ")}\n`,
      );
    describe("libngtcp2", "1.24.0", archive);
    describe("libngtcp2_crypto_gnutls", "1.24.0", archive);
    const env = {
      ...NO_MIRROR,
      SLUICE_QUIC_TLS: "gnutls",
      SLUICE_QUIC_CACHE: folder.file("cache"),
      PKG_CONFIG_PATH: folder.file("pc"),
    };
    const built = await build(folder.path, env);
    expect(built.output).toBe("");
    const module = folder.file("native/sluice-quic.so");
    const bytes = statSync(module).size;
    expect(bytes).toBeGreaterThan(0);
    const needed = (await runProcess(["readelf", "-d", module])).output;
    expect(needed).toContain("libgnutls.so");
    // Nothing has changed: nothing is done.
    const { mtimeMs } = statSync(module);
    expect((await build(folder.path, env)).code).toBe(0);
    expect(statSync(module).mtimeMs).toBe(mtimeMs);
    // One that is too old is not.
    describe("libngtcp2", "1.23.9", archive);
    const refused = await build(folder.path, env);
    expect(refused.code).toBe(0);
    expect(refused.output).toContain("building without QUIC: ");
    expect(statSync(module).size).toBe(0);
  },
);
