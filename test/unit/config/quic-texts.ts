/** Certificates of the QUIC tests of the configuration, on an imaginary machine. */
import { makeSelfSigned } from "../../../src/control/process/self-signed.ts";
import type { TestMachine } from "./load-text.ts";

const DAY_MS = 86_400_000;
const FROM_MS = Date.UTC(2024, 0, 1);
/** Longer than anybody runs these tests, shorter than a two-digit year lasts. */
const DAYS = 8_000;

const valid = makeSelfSigned({ name: "a.test", hosts: ["a.test"], fromMs: FROM_MS, days: DAYS });
const other = makeSelfSigned({ name: "b.test", hosts: ["b.test"], fromMs: FROM_MS, days: DAYS });
const old = makeSelfSigned({ name: "c.test", hosts: [], fromMs: FROM_MS - DAY_MS, days: 1 });
const unborn = makeSelfSigned({
  name: "d.test",
  hosts: [],
  fromMs: FROM_MS + (DAYS - 1) * DAY_MS,
  days: 1,
});

/** `a.test` and `b.test`. */
export const A = valid;
export const B = other;

/** Files and folders of `/tls`. */
export const MACHINE: TestMachine = {
  files: {
    "/tls/a.pem": valid.chain + valid.key,
    "/tls/b.pem": `some words before\n${other.key}${other.chain}`,
    "/tls/apart.pem": valid.chain,
    "/tls/apart.pem.key": valid.key,
    "/tls/ending.crt": valid.chain,
    "/tls/ending.key": valid.key,
    "/tls/chain.pem": valid.chain + other.chain + valid.key,
    "/tls/keyless.pem": valid.chain,
    "/tls/wrong.pem": valid.chain + other.key,
    "/tls/old.pem": old.chain + old.key,
    "/tls/unborn.pem": unborn.chain + unborn.key,
    "/tls/damaged.pem": `${valid.chain.replace(/MII/u, "MIIA")}${valid.key}`,
    "/tls/text.pem": "no certificate at all\n",
    "/tls/locked.pem": `${valid.chain}-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n`,
    "/tls/bundle.pem.rsa": valid.chain + valid.key,
    "/tls/bundle.pem.ecdsa": other.chain + other.key,
    "/tls/all/2.pem": valid.chain + valid.key,
    "/tls/all/1.pem": other.chain + other.key,
    "/tls/all/1.pem.ocsp": "stapled",
    "/tls/all/.hidden": "x",
    "/tls/authorities/x.crt": valid.chain,
    "/tls/authorities/y.pem": other.chain,
    "/tls/authorities/readme": "x",
    "/tls/list": "# ours\n\na.pem\n/tls/b.pem\n",
    "/tls/list-names": "a.pem\n/tls/b.pem *.b.test\n",
    "/tls/list-options": "a.pem [alpn h3]\n",
  },
  folders: {
    "/tls/all": ["2.pem", "1.pem", "1.pem.ocsp", ".hidden", "2.key", "more"],
    "/tls/all/more": [],
    "/tls/authorities": ["x.crt", "y.pem", "readme"],
    "/tls/empty": [],
  },
};
