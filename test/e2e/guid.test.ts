/** Backends found by GUID at run time, while others come and go. */
import { expect } from "bun:test";

import { ApiConnection, askApi } from "../support/api.ts";
import { startNamed } from "../support/peers.ts";
import { temporaryFolder } from "../support/procs.ts";
import { askName } from "../support/traffic.ts";
import { e2e, startSluice } from "./sluice.ts";

e2e("a rule that makes '@guid:…' finds the backend that bears it, and no other", async () => {
  using folder = temporaryFolder();
  await using one = startNamed("one");
  await using other = startNamed("other");
  const api = folder.file("api.sock");
  const sections = (port: number): string => `
frontend fe
  bind 127.0.0.1:${port}
  use_backend @guid:be:%[dst_port]
  default_backend fallback
backend b from base
  guid be:${port}
  server s 127.0.0.1:${one.port}
backend fallback from base
  server s 127.0.0.1:${other.port}
`;
  await using sluice = await startSluice(sections, {
    workers: 2,
    global: `  stats socket ${api} level admin`,
    defaults: "defaults base\n  mode tcp\n  timeout connect 5s\n  timeout server 5s\n",
  });
  const { port } = sluice;
  expect(await askName({ port })).toBe("one");
  // The index changes all the while: what is looked for stays found.
  await using connection = await ApiConnection.open(api);
  let isOver = false;
  const storm = (async (): Promise<number> => {
    let rounds = 0;
    for (; !isOver; rounds++) {
      const name = `x${rounds % 7}`;
      const made = await connection.ask(`add backend ${name} from base guid be:x:${rounds}`);
      const gone = await connection.ask(`del backend ${name}`);
      expect([made.code, gone.code]).toEqual(["OK", "OK"]);
    }
    return rounds;
  })();
  for (let i = 0; i < 200; i++) expect(await askName({ port })).toBe("one");
  isOver = true;
  expect(await storm).toBeGreaterThan(5);
  // A GUID is borne once, and free again when its bearer has gone.
  const taken = `add server fallback/t 127.0.0.1:1 guid be:${port}`;
  expect(await askApi(api, taken)).toContain("'guid' : duplicate entry with backend b");
  await askApi(api, "unpublish backend b");
  expect(await askName({ port })).toBe("other");
});
