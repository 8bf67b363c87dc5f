/**
 * Certificates of the QUIC tests, made by openssl's command in a folder that goes with the process:
 * an authority, servers of several names and faults, a client. Made once, when first asked for.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";

import { temporaryFolder } from "./procs.ts";

/** One certificate with its key, as files of PEM. */
export interface Certificate {
  readonly chain: string;
  readonly key: string;
  /** Chain and key in one file, as a `crt` of the configuration wants it. */
  readonly both: string;
}

/** All that tests need. */
export interface Certificates {
  /** The authority that signed all but `stranger`. */
  readonly authority: string;
  /** An authority that signed nothing of these. */
  readonly otherAuthority: string;
  /** server.test, localhost, 127.0.0.1. */
  readonly server: Certificate;
  /** second.test: what a name chooses. */
  readonly second: Certificate;
  /** server.test, but its time is over. */
  readonly expired: Certificate;
  /** server.test, signed by itself. */
  readonly stranger: Certificate;
  /** A client's: CN=client one. */
  readonly client: Certificate;
}

/** Name that the `server` certificate bears. */
export const SERVER_NAME = "server.test";

const DAYS = "30";
const EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
const SERVER_NAMES = `DNS:${SERVER_NAME},DNS:localhost,IP:127.0.0.1,IP:::1`;

let made: Certificates | undefined;

/** The certificates; openssl must be there. */
export function certificates(): Certificates {
  made ??= makeAll();
  return made;
}

function makeAll(): Certificates {
  const folder = temporaryFolder();
  process.on("exit", () => rmSync(folder.path, { recursive: true, force: true }));
  const openssl = (args: readonly string[]): void =>
    void execFileSync("openssl", args, { cwd: folder.path, stdio: "pipe" });
  const file = (name: string): string => folder.file(name);

  const makeAuthority = (name: string): string => {
    const out = ["-keyout", `${name}.key`, "-out", `${name}.crt`, "-subj", `/CN=${name}`];
    const usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"];
    openssl(["req", "-x509", ...EC, ...out, "-days", DAYS, ...usage]);
    return file(`${name}.crt`);
  };
  const together = (name: string): Certificate => {
    const chain = file(`${name}.crt`);
    const key = file(`${name}.key`);
    writeFileSync(file(`${name}.pem`), readFileSync(chain, "utf8") + readFileSync(key, "utf8"));
    return { chain, key, both: file(`${name}.pem`) };
  };
  const makeSigned = (name: string, subject: string, names: string, days = DAYS): Certificate => {
    const alternative = names === "" ? [] : ["-addext", `subjectAltName=${names}`];
    const out = ["-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", subject];
    openssl(["req", ...EC, ...out, ...alternative]);
    const signer = ["-CA", "authority.crt", "-CAkey", "authority.key", "-CAcreateserial"];
    const what = ["-in", `${name}.csr`, "-out", `${name}.crt`, "-copy_extensions", "copyall"];
    openssl(["x509", "-req", ...what, ...signer, "-days", days]);
    return together(name);
  };

  const authority = makeAuthority("authority");
  const strangerOut = ["-keyout", "stranger.key", "-out", "stranger.crt", "-days", DAYS];
  const strangerName = ["-subj", `/CN=${SERVER_NAME}`, "-addext", `subjectAltName=${SERVER_NAMES}`];
  openssl(["req", "-x509", ...EC, ...strangerOut, ...strangerName]);
  return {
    authority,
    otherAuthority: makeAuthority("other-authority"),
    server: makeSigned("server", `/CN=${SERVER_NAME}`, SERVER_NAMES),
    second: makeSigned("second", "/CN=second.test", "DNS:second.test"),
    expired: makeSigned("expired", `/CN=${SERVER_NAME}`, SERVER_NAMES, "-1"),
    stranger: together("stranger"),
    client: makeSigned("client", "/CN=client one", ""),
  };
}
