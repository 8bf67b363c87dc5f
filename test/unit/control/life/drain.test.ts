/** `del server … after-drain`: the whole way out, and whoever comes between. */
import { expect, test } from "bun:test";

import { Refusal } from "../../../../src/base/refusals.ts";
import { SERVER_SERVED, SERVER_STRIDE } from "../../../../src/tables/generated/server.ts";
import { makeControlLab } from "../../../support/control-lab.ts";
import type { ControlLab } from "../../../support/control-lab.ts";

const CONFIG = `defaults plain
  mode tcp
  timeout connect 1s
  timeout client 1s
  timeout server 1s
backend b
  balance leastconn
  server s1 127.0.0.1:1
  server s2 127.0.0.1:2
`;

/** Progress lines of a removal, as its client would read them. */
async function piecesOf(lab: ControlLab, line: string): Promise<AsyncIterator<string>> {
  const { reply } = await lab.run(line);
  if (reply.kind !== "pieces") throw new Error(reply.text);
  const { pieces } = reply;
  if (Symbol.iterator in pieces) throw new Error("pieces that take no time");
  return pieces[Symbol.asyncIterator]();
}

/** The refusal that the next piece ends with. */
async function refusalOf(pieces: AsyncIterator<string>): Promise<string> {
  try {
    const { value } = await pieces.next();
    return `no refusal: ${String(value)}`;
  } catch (error) {
    if (error instanceof Refusal) return `${error.code}: ${error.message}`;
    throw error;
  }
}

test("an idle server goes at once; each step moves its version on", async () => {
  const lab = await makeControlLab(CONFIG);
  const server = lab.server("b/s1");
  const before = server.version;
  const pieces = await piecesOf(lab, "del server b/s1 after-drain 60s");
  const lines: unknown[] = [];
  const versions: number[] = [];
  for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) {
    lines.push(next.value);
    versions.push(server.version - before);
  }
  expect(lines).toEqual([
    "b/s1: draining, 0 streams, up to 60000 ms\n",
    "b/s1: in maintenance, 0 streams\n",
    "Server deleted.\n",
  ]);
  expect(versions).toEqual([1, 2, 3]);
});

test("another client removes it meanwhile: the row is left alone", async () => {
  // It was put in maintenance once more, in a row that by then was free, or another server's.
  const lab = await makeControlLab(CONFIG);
  const { words } = lab.control.tables.servers;
  const { row } = lab.server("b/s1");
  words[row + SERVER_SERVED] = 1;
  const pieces = await piecesOf(lab, "del server b/s1 after-drain 60s then-kill");
  await pieces.next();
  const next = refusalOf(pieces);
  await lab.ask("disable server b/s1");
  words[row + SERVER_SERVED] = 0;
  await lab.ask("del server b/s1");
  lab.settle();
  const state = [...words.subarray(row, row + SERVER_STRIDE)];
  expect(await next).toBe("NO_SERVER: No such server.");
  expect([...words.subarray(row, row + SERVER_STRIDE)]).toEqual(state);
});

test("it is gone before its client reads the first line", async () => {
  const lab = await makeControlLab(CONFIG);
  const pieces = await piecesOf(lab, "del server b/s1 after-drain 60s");
  await lab.ask("disable server b/s1");
  await lab.ask("del server b/s1");
  expect(await refusalOf(pieces)).toBe("NO_SERVER: No such server.");
});
