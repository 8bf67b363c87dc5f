/**
 * C programs that test native/quic: compiled with the module's sources and its libraries as the
 * build finds them (scripts/quic.ts), plain or under sanitizers, and kept in the cache until a
 * source changes. And the folder of certificates that they work with.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

import { QUIC_CACHE, Unavailable } from "../../scripts/quic-packages.ts";
import {
  compileObjects,
  findCompiler,
  findToolchains,
  OWN_FLAGS,
  RELEASE_FLAGS,
  type TlsLibrary,
  type Toolchain,
} from "../../scripts/quic.ts";

const ROOT = join(import.meta.dir, "../..");
const PROGRAMS = join(ROOT, "test/native");

/** asan: address, leak and undefined-behaviour sanitizers, and the libraries' own assertions. */
export type Flavour = "plain" | "asan";

const SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"];
const FLAGS: Record<Flavour, string[]> = {
  plain: RELEASE_FLAGS,
  asan: ["-O1", "-g", "-fno-omit-frame-pointer", ...SANITIZERS],
};

const toolchains = new Map<string, Promise<Toolchain | string>>();

/** The parts for a TLS library; a text when they cannot be had here: why. */
export function quicToolchain(tls: TlsLibrary, flavour: Flavour): Promise<Toolchain | string> {
  const name = `${tls} ${flavour}`;
  let found = toolchains.get(name);
  if (found === undefined) {
    found = find(tls, flavour);
    toolchains.set(name, found);
  }
  return found;
}

async function find(tls: TlsLibrary, flavour: Flavour): Promise<Toolchain | string> {
  const compiler = findCompiler();
  if (compiler === undefined) return "no C compiler";
  try {
    for await (const first of findToolchains(compiler, [tls], FLAGS[flavour])) return first;
    return "no parts";
  } catch (error) {
    if (error instanceof Unavailable) return error.message;
    throw error;
  }
}

function digest(files: readonly string[], words: readonly string[]): string {
  const hash = createHash("sha256");
  for (const file of files) hash.update(`${file}\n${readFileSync(file, "utf8")}`);
  return hash.update(words.join("\n")).digest("hex").slice(0, 16);
}

/**
 * Compiles test/native/`name`.c, with `helpers` of the same folder and the module, and returns the
 * program's path. `tools` are of the same flavour.
 */
export async function buildProgram(
  name: string,
  helpers: readonly string[],
  tools: Toolchain,
  flavour: Flavour,
): Promise<string> {
  const compiler = findCompiler();
  if (compiler === undefined) throw new Error("no C compiler");
  const own = [name, ...helpers].map((file) => join(PROGRAMS, `${file}.c`));
  const sources = [...tools.sources, ...own];
  const headers = [join(ROOT, "native/quic"), PROGRAMS].flatMap((folder) =>
    readdirSync(folder)
      .filter((file) => file.endsWith(".h"))
      .sort()
      .map((file) => join(folder, file)),
  );
  const flags = [...OWN_FLAGS, ...FLAGS[flavour], ...tools.compileFlags];
  const key = digest([...sources, ...headers], [...flags, ...tools.linkFlags, tools.parts]);
  const program = join(QUIC_CACHE, `${name}-${tools.tls}-${flavour}-${key}`);
  if (existsSync(program)) return program;
  const work = `${program}.${process.pid}`;
  try {
    const objects = await compileObjects(compiler, flags, sources, work);
    const fresh = join(work, "program");
    const sanitizers = flavour === "asan" ? SANITIZERS : [];
    execFileSync(compiler, ["-o", fresh, ...sanitizers, ...objects, ...tools.linkFlags, "-lm"], {
      stdio: "pipe",
    });
    renameSync(fresh, program);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  // What older sources were made into is of no use any more.
  const family = `${name}-${tools.tls}-${flavour}-`;
  for (const file of readdirSync(QUIC_CACHE)) {
    const isOlder = file.startsWith(family) && file !== basename(program);
    if (isOlder && !file.includes(".")) rmSync(join(QUIC_CACHE, file), { force: true });
  }
  return program;
}

/** What a program has said, and its exit code. */
export interface Outcome {
  code: number;
  output: string;
}

/** Runs a program to its end. */
export async function runProgram(
  program: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Outcome> {
  const sanitizers = {
    ASAN_OPTIONS: "detect_leaks=1:detect_stack_use_after_return=1",
    UBSAN_OPTIONS: "print_stacktrace=1",
  };
  const child = Bun.spawn([program, ...args], {
    env: { ...process.env, ...sanitizers, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, output: out + err };
}

const EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
const P384 = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes"];
const RSA = ["-newkey", "rsa:2048", "-nodes"];
const SERVER_NAMES = "DNS:server.test,DNS:localhost,IP:127.0.0.1,IP:::1";

/** Lays the certificates of the C programs out in `folder`, which exists: NAME.crt, NAME.key. */
export function makePemFolder(folder: string): void {
  const file = (name: string): string => join(folder, name);
  const openssl = (...args: string[]): void =>
    void execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
  const authority = (name: string): void =>
    openssl(
      ...["req", "-x509", ...EC, "-keyout", `${name}.key`, "-out", `${name}.crt`],
      ...["-days", "30", "-subj", `/CN=${name}`],
      ...["-addext", "keyUsage=critical,keyCertSign,cRLSign"],
    );
  const signed = (
    name: string,
    subject: string,
    extensions: string[],
    { key = EC, days = "30", signer = "authority" } = {},
  ): void => {
    const added = extensions.flatMap((extension) => ["-addext", extension]);
    const request = ["-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", subject];
    openssl("req", ...key, ...request, ...added);
    openssl(
      ...["x509", "-req", "-in", `${name}.csr`, "-out", `${name}.crt`, "-days", days],
      ...["-copy_extensions", "copyall"],
      ...["-CA", `${signer}.crt`, "-CAkey", `${signer}.key`, "-CAcreateserial"],
    );
  };
  authority("authority");
  authority("other-authority");
  const isAuthority = "basicConstraints=critical,CA:TRUE";
  const signs = "keyUsage=critical,keyCertSign,cRLSign";
  signed("intermediate", "/CN=intermediate", [isAuthority, signs]);
  signed("server", "/CN=server.test", [`subjectAltName=${SERVER_NAMES}`]);
  signed("second", '/C=XX/O=Second "Ltd"/CN=second.test', [], { key: P384 });
  signed("wild", "/CN=wild", ["subjectAltName=DNS:*.wild.test"], { key: RSA });
  signed("expired", "/CN=server.test", [`subjectAltName=${SERVER_NAMES}`], { days: "-1" });
  signed("client", "/O=sluice/CN=client one", ["extendedKeyUsage=clientAuth"]);
  const chained = ["subjectAltName=DNS:chained.test"];
  signed("chained", "/CN=chained.test", chained, { signer: "intermediate" });
  openssl(
    ...["req", "-x509", ...EC, "-keyout", "stranger.key", "-out", "stranger.crt"],
    ...["-subj", "/CN=server.test", "-addext", `subjectAltName=${SERVER_NAMES}`],
  );
  openssl("pkey", "-aes256", "-passout", "pass:phrase", "-in", "server.key", "-out", "locked.key");

  const read = (name: string): string => readFileSync(file(name), "utf8");
  const [crt, key] = [read("server.crt"), read("server.key")];
  writeFileSync(file("chained.crt"), read("chained.crt") + read("intermediate.crt"));
  writeFileSync(file("server.pem"), crt + key);
  writeFileSync(file("key-first.pem"), key + crt);
  writeFileSync(file("empty.crt"), "");
  writeFileSync(file("broken.crt"), crt.replace(/\nMII/, "\nMIA"));
  writeFileSync(file("half.crt"), crt + crt.slice(0, crt.length / 2));
  writeFileSync(file("broken.key"), key.replace(/\nMI/, "\nMA"));
}
