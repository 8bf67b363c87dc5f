/**
 * The demo: three tiny servers inside the process, and what to try with them. The configuration
 * over them is made by `config/demo.ts` and loaded like a file.
 */
import { systemClock } from "../../base/clock.ts";
import { quicModule } from "../../conduit/quic/native-quic.ts";
import { demoPlan } from "../../config/demo.ts";
import type { ConfigText } from "../../config/files.ts";
import { makeSelfSigned } from "./self-signed.ts";

const LISTEN = "127.0.0.1:8080";
const SOCKET = "/tmp/sluice-demo.sock";
const SERVER_COUNT = 3;
const QUIC_LISTEN = "127.0.0.1:8443";
const QUIC_ALPN = "sluice-demo";
/** Name of the certificate, which is in memory alone. */
const CERTIFICATE = "memory:demo.pem";
const CERTIFICATE_DAYS = 30;
/** Clocks of clients may be behind. */
const CERTIFICATE_AGE_MS = 3_600_000;

/** What the demo runs on. `files`: those that its configuration names and no disk has. */
export type Demo = {
  text: ConfigText;
  files: ReadonlyMap<string, string>;
  greeting: string[];
  stop: () => void;
};

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
  const hasQuic = quicModule() !== null;
  const quic = { listen: QUIC_LISTEN, certificate: CERTIFICATE, alpn: QUIC_ALPN };
  const text = demoPlan({
    listen: LISTEN,
    socket: SOCKET,
    ...(hasQuic ? { quic } : {}),
    servers: servers.map(({ name, server }) => ({ name, address: `127.0.0.1:${server.port}` })),
  });
  const greeting = [
    `The demo: ${LISTEN} in front of three servers in this process. Try`,
    `  curl ${LISTEN}                 # again and again: the servers take turns`,
    `  for i in 1 2 3 4 5 6; do curl -s ${LISTEN}; done`,
    `  printf 'GET / HTTP/1.0\\r\\n\\r\\n' | socat - TCP:${LISTEN}`,
    ...(hasQuic ? quicGreeting() : []),
    `and ask it or change it while it runs, as you would HAProxy:`,
    `  echo "show info; show stat" | socat ${SOCKET} stdio`,
    `  sluice ctl disable server demo-servers/server1   # then curl again; enable server …`,
    `  sluice ctl                          # a prompt; the tab key completes, help lists`,
    "Ctrl-C ends it. With a configuration of your own: sluice -f haproxy.cfg",
  ];
  const files = new Map(hasQuic ? [[CERTIFICATE, demoCertificate()]] : []);
  const stop = (): void => servers.forEach(({ server }) => void server.stop(true));
  return { text, files, greeting, stop };
}

/** Chain and key in one text, as `crt` takes it. */
function demoCertificate(): string {
  const { chain, key } = makeSelfSigned({
    name: "sluice demo",
    hosts: ["localhost", "127.0.0.1", "::1"],
    fromMs: Math.floor(systemClock.epochMicros() / 1000) - CERTIFICATE_AGE_MS,
    days: CERTIFICATE_DAYS,
  });
  return chain + key;
}

/** A second sluice makes a QUIC client of curl; openssl 3.2 and later speaks QUIC itself. */
function quicGreeting(): string[] {
  return [
    `the same over QUIC on udp ${QUIC_LISTEN}, protocol ${QUIC_ALPN}, a certificate made just now:`,
    `  SLUICE_BIND=127.0.0.1:8081 SLUICE_SERVERS='quic4@${QUIC_LISTEN};verify=none' \\`,
    `    SLUICE_ALPN=${QUIC_ALPN} sluice &      # TCP to QUIC; then: curl 127.0.0.1:8081`,
    `  printf 'GET / HTTP/1.0\\r\\n\\r\\n' |`,
    `    openssl s_client -quic -alpn ${QUIC_ALPN} -connect ${QUIC_LISTEN} -quiet`,
  ];
}
