/** Under `set anon on` no answer names an object. */
import { expect, test } from "bun:test";

import { makeControlLab } from "../../../support/control-lab.ts";

test.each(["why server secret/alpha", "why backend secret", "show server secret/alpha"])(
  "%s",
  async (line) => {
    const lab = await makeControlLab(`frontend f
  mode tcp
  timeout client 1s
  default_backend secret
backend secret
  mode tcp
  timeout connect 1s
  timeout server 1s
  server alpha 127.0.0.1:1
`);
    expect(await lab.ask(line)).toMatch(/secret|alpha/);
    lab.asker.anonymKey = 7;
    const answer = await lab.ask(line);
    expect(answer).toContain("held by");
    expect(answer).not.toMatch(/secret|alpha/);
  },
);
