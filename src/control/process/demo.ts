/**
 * The demo: three tiny servers inside the process, and what to try with them. The configuration
 * over them is made by `config/demo.ts` and loaded like a file.
 */
import { demoPlan } from "../../config/demo.ts";
import type { ConfigText } from "../../config/files.ts";

const LISTEN = "127.0.0.1:8080";
const SOCKET = "/tmp/sluice-demo.sock";
const SERVER_COUNT = 3;

/** What the demo runs on. */
export type Demo = { text: ConfigText; greeting: string[]; stop: () => void };

/** Starts the servers. */
export function startDemo(): Demo {
  const servers = Array.from({ length: SERVER_COUNT }, (_, index) => {
    const name = `server${index + 1}`;
    const body = `hello from ${name}\n`;
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      // One request a connection: the next request is balanced anew.
      fetch: () => new Response(body, { headers: { connection: "close" } }),
    });
    return { name, server };
  });
  const text = demoPlan({
    listen: LISTEN,
    socket: SOCKET,
    servers: servers.map(({ name, server }) => ({ name, address: `127.0.0.1:${server.port}` })),
  });
  const greeting = [
    `The demo: ${LISTEN} in front of three servers in this process. Try`,
    `  curl ${LISTEN}                 # again and again: the servers take turns`,
    `  for i in 1 2 3 4 5 6; do curl -s ${LISTEN}; done`,
    `  printf 'GET / HTTP/1.0\\r\\n\\r\\n' | socat - TCP:${LISTEN}`,
    `and ask it or change it while it runs, as you would HAProxy:`,
    `  echo "show info; show stat" | socat ${SOCKET} stdio`,
    `  sluice ctl disable server demo-servers/server1   # then curl again; enable server …`,
    `  sluice ctl                          # a prompt; the tab key completes, help lists`,
    "Ctrl-C ends it. With a configuration of your own: sluice -f haproxy.cfg",
  ];
  return { text, greeting, stop: () => servers.forEach(({ server }) => void server.stop(true)) };
}
