/**
 * Entry of a process that is one end of the QUIC benchmarks: a server that serves until it is
 * ended, or a client that does one job, tells when it begins to measure, and what came of it.
 *
 *   bun bench/quic/peer.ts server '{"port":…,"isQuic":…}'
 *   bun bench/quic/peer.ts client '{"what":"bulk",…}'
 */
import { writeSync } from "node:fs";

import { Client, type Job } from "./client.ts";
import { Ends } from "./ends.ts";
import { serve } from "./server.ts";

/** How a server is started. */
export type ServerSetup = {
  port: number;
  isQuic: boolean;
  certificate: { chain: string; key: string };
};

const [, , role = "", text = "{}"] = process.argv;
const say = (line: string): void => void writeSync(1, `${line}\n`);

if (role === "server") {
  const setup = JSON.parse(text) as ServerSetup;
  const ends = new Ends();
  if (setup.isQuic) ends.listenQuic(setup.port, setup.certificate, serve);
  else ends.listenTcp(setup.port, serve);
  say("READY");
} else {
  new Client(new Ends(), JSON.parse(text) as Job, say).start();
}
