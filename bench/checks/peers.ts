/** Whom the checks ask: nginx, on one port for half of the servers and on another for the rest. */
import { writeFileSync } from "node:fs";

import { freePort, isListening } from "../../test/support/ports.ts";
import { startProcess, temporaryFolder, until } from "../../test/support/procs.ts";

/** One nginx. */
export interface Farm extends AsyncDisposable {
  readonly port: number;
}

/**
 * Starts an nginx that answers on all addresses of the machine.
 * @param isNice everything else on the machine goes first: what servers cost is not the balancer's
 */
export async function startFarm(isNice: boolean): Promise<Farm> {
  const port = freePort();
  const folder = temporaryFolder();
  const path = folder.file("nginx.conf");
  writeFileSync(
    path,
    `daemon off;
master_process off;
pid ${folder.path}/nginx.pid;
error_log stderr crit;
events { worker_connections 16000; }
http {
  access_log off;
  keepalive_requests 1000000000;
  server {
    listen 0.0.0.0:${port} backlog=4096;
    location / { return 200 "hello"; }
  }
}
`,
  );
  const nice = isNice ? ["nice", "-n", "19"] : [];
  const child = startProcess([...nice, "nginx", "-p", folder.path, "-c", path, "-e", "stderr"]);
  await until("nginx listens", () => {
    if (child.hasExited()) throw new Error(child.output());
    return isListening(port);
  });
  return {
    port,
    async [Symbol.asyncDispose]() {
      await child[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}
