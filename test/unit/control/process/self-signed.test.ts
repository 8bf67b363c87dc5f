import { expect, test } from "bun:test";
/** The demo's certificate: a whole X.509 certificate, signed by its own key. */
import { createPrivateKey, X509Certificate } from "node:crypto";

import { makeSelfSigned } from "../../../../src/control/process/self-signed.ts";

const FROM_MS = Date.UTC(2026, 0, 31, 23, 59, 58);

test("says who, for which hosts and since when, and is signed by its own key", () => {
  const hosts = ["localhost", "demo.test", "127.0.0.1", "::1"];
  const made = makeSelfSigned({ name: "the demo", hosts, fromMs: FROM_MS, days: 30 });
  const certificate = new X509Certificate(made.chain);
  expect(certificate.subject).toBe("CN=the demo");
  expect(certificate.issuer).toBe(certificate.subject);
  expect(certificate.verify(certificate.publicKey)).toBe(true);
  expect(certificate.checkPrivateKey(createPrivateKey(made.key))).toBe(true);
  expect(Date.parse(certificate.validFrom)).toBe(FROM_MS);
  expect(Date.parse(certificate.validTo)).toBe(FROM_MS + 30 * 86_400_000);
  for (const name of ["localhost", "demo.test"]) expect(certificate.checkHost(name)).toBe(name);
  for (const ip of ["127.0.0.1", "::1"]) expect(certificate.checkIP(ip)).toBe(ip);
  expect(certificate.checkHost("other.test")).toBeUndefined();
  expect(certificate.ca).toBe(true);
});

test("is another one each time", () => {
  const options = { name: "x", hosts: ["x.test"], fromMs: FROM_MS, days: 1 };
  const [first, second] = [makeSelfSigned(options), makeSelfSigned(options)];
  const serials = [first, second].map(({ chain }) => new X509Certificate(chain).serialNumber);
  expect(serials[0]).not.toBe(serials[1]);
  expect(first.key).not.toBe(second.key);
});
