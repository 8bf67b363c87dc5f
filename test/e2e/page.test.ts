/** Statistics pages over HTTP: forms, logins, actions, monitors, metrics, and who scrapes them. */
import { describe, expect, test } from "bun:test";

import { askApi } from "../support/api.ts";
import type { Balancer } from "../support/haproxy.ts";
import { findBalancer, findSluice, startBalancer } from "../support/haproxy.ts";
import { startEcho } from "../support/peers.ts";
import { freePort, freePorts, isListening } from "../support/ports.ts";
import { runProcess, startProcess, temporaryFolder, until } from "../support/procs.ts";
import { readMetrics } from "../support/prometheus.ts";
import { e2e } from "./sluice.ts";

type Served = Balancer & { port: number; page: number; api: string; address: string };

/** Starts sluice with a backend of three servers and a page. @param lines of the page's section */
async function startPage(lines: string, name: "sluice" | "haproxy" = "sluice"): Promise<Served> {
  const folder = temporaryFolder();
  const echo = startEcho();
  const [port, page] = freePorts(2) as [number, number];
  const api = folder.file("api.sock");
  const config = `global
  nbthread 2
  stats socket ${api} level admin
  node here
  description "the <test>"
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend fe
  bind 127.0.0.1:${port}
  default_backend be
backend be
  server s1 127.0.0.1:${echo.port}
  server s2 127.0.0.1:${echo.port}
  server s3 127.0.0.1:${echo.port} disabled
backend hidden
  server h1 127.0.0.1:${echo.port}
listen page
  mode http
  bind 127.0.0.1:${page}
  stats enable
  stats uri /stats
${lines}
`;
  const balancer = await startBalancer(name, { config, ports: [port, page] });
  return {
    ...balancer,
    port,
    page,
    api,
    address: `http://127.0.0.1:${page}`,
    async [Symbol.asyncDispose]() {
      await balancer[Symbol.asyncDispose]();
      await echo[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

async function curl(...args: string[]): Promise<string> {
  const { output } = await runProcess(["curl", "-s", "-S", "-m", "10", ...args]);
  return output;
}

/** State of a server, as `show stat` has it. */
async function stateOf(api: string, server: string): Promise<string> {
  const csv = await askApi(api, "show stat");
  return new RegExp(`^be,${server},(?:[^,]*,){15}([^,]*),`, "m").exec(csv)?.[1] ?? csv;
}

/** What a raw connection answers to bytes, until it is closed or silent. */
async function raw(port: number, bytes: string, waitMs = 2000): Promise<string> {
  let text = "";
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data: (_, chunk) => void (text += chunk.toString("latin1")),
      close: () => resolve(),
      error: () => resolve(),
    },
  });
  socket.write(Buffer.from(bytes, "latin1"));
  await Promise.race([promise, Bun.sleep(waitMs)]);
  socket.terminate();
  return text;
}

describe("forms of the page", () => {
  e2e("CSV, JSON and typed are what the runtime API shows", async () => {
    await using page = await startPage("  stats refresh 5s");
    const csv = await fetch(`${page.address}/stats;csv`);
    expect(csv.headers.get("content-type")).toStartWith("text/plain");
    expect(csv.headers.get("refresh")).toBe("5");
    // Seconds since a change may pass between the two looks.
    const still = (text: string): string =>
      text.trim().replace(/^((?:[^,\n]*,){23})[^,\n]*/gm, "$1");
    const shown = await askApi(page.api, "show stat");
    expect(still(await csv.text())).toBe(still(shown));
    const json = (await (await fetch(`${page.address}/stats;json;norefresh`)).json()) as unknown[];
    expect(json).toHaveLength(shown.split("\n").length - 1);
    const typed = await (await fetch(`${page.address}/stats;typed`)).text();
    expect(typed.split("\n")[0]).toMatch(/^F\.\d+\.0\.0\.pxname\.1:KNSV:str:fe$/);
    expect(await curl(`${page.address}/stats;json-schema`)).toStartWith("{");
  });

  e2e("the page is whole without its script", async () => {
    await using page = await startPage(
      "  stats show-legends\n  stats show-node\n  stats show-desc",
    );
    const html = await (await fetch(`${page.address}/stats`)).text();
    expect(html.includes("on <b>here</b>: the &lt;test&gt;")).toBe(true);
    for (const name of ["fe", "be", "s1", "s2", "s3", "hidden", "h1"]) {
      expect(html.includes(`>${name}`)).toBe(true);
    }
    expect(/<tr class="server st-maint"[^>]*>.*s3/.test(html)).toBe(true);
    expect(html.endsWith("</html>\n")).toBe(true);
    expect(html.includes("dist/")).toBe(false);
  });

  e2e("HEAD, HTTP/1.0, a closed side and keep-alive", async () => {
    await using page = await startPage("  monitor-uri /alive");
    const head = await curl("-I", `${page.address}/stats`);
    expect(head).toContain("200 OK");
    expect(head).not.toContain("<html");
    const old = await raw(page.page, "GET /alive HTTP/1.0\r\n\r\n");
    expect(old).toMatch(/^HTTP\/1\.[01] 200 OK\r\n/);
    const closed = await runProcess([
      "sh",
      "-c",
      `printf 'GET /alive HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n' | socat -t5 - TCP:127.0.0.1:${page.page}`,
    ]);
    expect(closed.output).toContain("Service ready.");
    const twice = await curl(`${page.address}/alive`, `${page.address}/alive`, "-v");
    expect(twice).toMatch(/Re-using existing connection/i);
  });

  e2e("what is no page is 503, what is malformed is 400", async () => {
    await using page = await startPage("");
    expect((await fetch(`${page.address}/`)).status).toBe(503);
    expect((await fetch(`${page.address}/stat`)).status).toBe(503);
    expect(await raw(page.page, "nonsense\r\n\r\n")).toContain("400");
    expect(
      await raw(page.page, `GET /stats HTTP/1.1\r\nHost: a\r\nX: ${"a".repeat(40_000)}\r\n\r\n`),
    ).toMatch(/^(?:HTTP\/1\.1 4\d\d|$)/);
  });

  e2e("a scope hides the other proxies, everywhere", async () => {
    await using page = await startPage("  stats scope be\n  stats scope .\n  stats admin if TRUE");
    const html = await (await fetch(`${page.address}/stats`)).text();
    expect([html.includes("h1"), html.includes(">hidden<")]).toEqual([true, false]);
    expect(await curl(`${page.address}/stats;csv`)).not.toContain("hidden");
    const live = await curl(`${page.address}/stats;live;fresh=2,3,4,5`);
    const { heads, open } = JSON.parse(live) as { heads: { name: string }[]; open: object };
    expect(heads.map(({ name }) => name)).toEqual(["be"]);
    expect(Object.keys(open)).toHaveLength(1);
    expect((await fetch(`${page.address}/stats;why=hidden/h1`)).status).toBe(404);
    expect((await fetch(`${page.address}/stats;why=be/s1`)).status).toBe(200);
    const denied = await curl("-i", "-d", "s=h1&action=maint&b=hidden", `${page.address}/stats`);
    expect(denied).toMatch(/location: \/stats;st=DENY/i);
  });

  e2e("who holds an object is told", async () => {
    await using page = await startPage("");
    const text = await curl(`${page.address}/stats;why=be/s1`);
    expect(JSON.parse(text)).toMatchObject({
      holders: [{ kind: "state", clear: "disable server be/s1" }],
    });
  });
});

describe("login and actions", () => {
  const auth = "  stats auth admin:AdMiN123\n  stats auth ops:a:b\n  stats realm My\\ Page";

  e2e("every account gets in, nobody else", async () => {
    await using page = await startPage(auth);
    const statusOf = async (login?: string): Promise<string> =>
      curl(
        ...(login === undefined ? [] : ["-u", login]),
        ...["-o", "/dev/null", "-w", "%{http_code}", `${page.address}/stats`],
      );
    expect(await statusOf()).toBe("401");
    expect(await statusOf("admin:AdMiN123")).toBe("200");
    expect(await statusOf("ops:a:b")).toBe("200");
    expect(await statusOf("admin:admin123")).toBe("401");
    expect(await statusOf("ops:AdMiN123")).toBe("401");
    const asked = await curl("-i", `${page.address}/stats;csv`);
    expect(asked).toMatch(/www-authenticate: Basic realm="My Page"/i);
    expect(asked).not.toContain("BACKEND");
  });

  e2e("without the admin rule nothing changes", async () => {
    await using page = await startPage(auth);
    const posted = await curl(
      ...["-i", "-u", "admin:AdMiN123", "-d", "s=s1&action=maint&b=be", `${page.address}/stats`],
    );
    expect(posted).toMatch(/location: \/stats;st=DENY/i);
    expect(await stateOf(page.api, "s1")).toBe("no check");
  });

  e2e("scripts post as to HAProxy's page", async () => {
    await using page = await startPage("  stats admin if { src 127.0.0.0/8 }");
    const post = async (body: string): Promise<string> =>
      /location: \/stats;st=(\w+)/i.exec(
        await curl("-i", "-d", body, `${page.address}/stats`),
      )?.[1] ?? "";
    expect(await post("s=s1&s=s2&action=maint&b=be")).toBe("DONE");
    expect(await stateOf(page.api, "s1")).toBe("MAINT");
    expect(await stateOf(page.api, "s2")).toBe("MAINT");
    expect(await post("s=s1&action=ready&b=%233")).toBe("DONE");
    expect(await stateOf(page.api, "s1")).toBe("no check");
    expect(await post("s=s1&action=drain&b=be")).toBe("DONE");
    expect(await stateOf(page.api, "s1")).toBe("DRAIN");
    expect(await post("s=nobody&action=ready&b=be")).toBe("ERRP");
    expect(await post("s=s2&s=nobody&action=ready&b=be")).toBe("PART");
    expect(page.output()).toContain('Page page: maint from 127.0.0.1 on backend "be": "s1", "s2".');
  });

  e2e("sessions of a server are killed", async () => {
    await using page = await startPage("  stats admin if TRUE");
    const { promise, resolve } = Promise.withResolvers<void>();
    await askApi(page.api, "disable server be/s2");
    await Bun.connect({
      hostname: "127.0.0.1",
      port: page.port,
      socket: { data() {}, open: (socket) => void socket.write("hello"), close: () => resolve() },
    });
    await until("the session to be counted", async () =>
      /^be,s1,0,0,1,/m.test(await askApi(page.api, "show stat")),
    );
    await curl("-d", "s=s1&action=shutdown&b=be", `${page.address}/stats`);
    await promise;
  });

  e2e("forged requests are refused", async () => {
    await using page = await startPage("  stats admin if TRUE");
    const body = "s=s1&action=maint&b=be";
    const from = async (...headers: string[]): Promise<string> =>
      curl("-i", "-d", body, ...headers.flatMap((h) => ["-H", h]), `${page.address}/stats`);
    for (const header of [
      "Origin: http://evil.example",
      "Origin: null",
      "Sec-Fetch-Site: cross-site",
      "User-Agent: Mozilla/5.0",
      `Origin: ${page.address}`,
    ]) {
      expect(await from(header)).toMatch(/location: \/stats;st=DENY/i);
    }
    expect(await stateOf(page.api, "s1")).toBe("no check");
    const html = await (await fetch(`${page.address}/stats`)).text();
    const [, token = ""] = /name="t" value="([^"]+)"/.exec(html) ?? [];
    const good = { method: "POST", body: `${body}&t=${token}`, redirect: "manual" as const };
    const sent = await fetch(`${page.address}/stats`, {
      ...good,
      headers: { origin: page.address },
    });
    expect(sent.headers.get("location")).toBe("/stats;st=DONE");
    expect(await stateOf(page.api, "s1")).toBe("MAINT");
  });
});

describe("monitors and metrics", () => {
  e2e("a monitor says when too few servers are up", async () => {
    await using page = await startPage(
      "  monitor-uri /alive\n  monitor fail if { nbsrv(be) lt 2 }",
    );
    expect((await fetch(`${page.address}/alive`)).status).toBe(200);
    await askApi(page.api, "disable server be/s1");
    expect((await fetch(`${page.address}/alive`)).status).toBe(503);
    await askApi(page.api, "enable server be/s1");
    expect((await fetch(`${page.address}/alive`)).status).toBe(200);
  });

  const service = "  http-request use-service prometheus-exporter if { path /metrics }";

  e2e("metrics are what Prometheus reads, with the figures of show stat", async () => {
    await using page = await startPage(service);
    await curl("-m", "1", `http://127.0.0.1:${page.port}/`);
    const text = await (await fetch(`${page.address}/metrics`)).text();
    const metrics = readMetrics(text);
    const of = (name: string, ...labels: string[]): number | undefined =>
      metrics.get(name)?.samples.find((sample) => {
        const all = Object.entries(sample.labels).map(([key, value]) => `${key}=${value}`);
        return labels.every((label) => all.includes(label));
      })?.value;
    expect(of("haproxy_frontend_sessions_total", "proxy=fe")).toBeGreaterThan(0);
    expect(of("haproxy_server_status", "server=s3", "state=MAINT")).toBe(1);
    expect(of("haproxy_server_status", "server=s1", "state=UP")).toBe(1);
    expect(of("haproxy_backend_agg_server_status", "proxy=be", "state=MAINT")).toBe(1);
    expect(of("haproxy_backend_active_servers", "proxy=be")).toBe(2);
    expect(of("haproxy_process_nbthread")).toBe(2);
    expect(metrics.get("sluice_worker_streams")?.samples).toHaveLength(2);
    const noMaint = readMetrics(await curl(`${page.address}/metrics?no-maint&scope=server`));
    const servers = noMaint.get("haproxy_server_weight")?.samples.map(({ labels }) => labels);
    expect(servers?.map(({ server }) => server)).toEqual(["s1", "s2", "h1"]);
    expect([...noMaint.keys()].every((name) => name.startsWith("haproxy_server_"))).toBe(true);
    expect((await fetch(`${page.address}/metrics?scope=nonsense`)).status).toBe(400);
    expect(await curl(`${page.address}/metrics?scope=`)).toBe("");
  });

  const promtool = Bun.which("promtool");
  test.skipIf(findSluice() === undefined || promtool === null)(
    `promtool finds no fault${promtool === null ? " (without promtool)" : ""}`,
    async () => {
      await using page = await startPage(service);
      const { output } = await runProcess([
        "sh",
        "-c",
        `curl -s ${page.address}/metrics | promtool check metrics`,
      ]);
      // HAProxy's own name for it; the reader of a dashboard looks for this one.
      const known = /haproxy_process_failed_resolutions counter metrics should have/;
      expect(output.split("\n").filter((line) => line !== "" && !known.test(line))).toEqual([]);
    },
  );

  const hasBoth = findBalancer("haproxy") !== undefined && findSluice() !== undefined;
  test.skipIf(!hasBoth)("names, types and labels are HAProxy's", async () => {
    await using sluice = await startPage(service);
    await using haproxy = await startPage(service, "haproxy");
    const [ours, theirs] = await Promise.all(
      [sluice, haproxy].map(async (one) => readLoose(await curl(`${one.address}/metrics`))),
    );
    // Of layer 7, TLS, compression and caches; and what 3.x no longer has.
    const other = /_http_|_ssl_|zlib|agg_server_check|intercepted|http_comp/;
    for (const [name, { type, labels }] of theirs!) {
      if (other.test(name)) continue;
      expect([name, ours!.get(name)?.type]).toEqual([name, type]);
      const missing = [...labels].filter((label) => !ours!.get(name)?.labels.has(label));
      expect([name, missing]).toEqual([name, []]);
    }
  });

  const exporter = Bun.which("prometheus-haproxy-exporter");
  test.skipIf(findSluice() === undefined || exporter === null)(
    `the HAProxy exporter scrapes the CSV${exporter === null ? " (without the exporter)" : ""}`,
    async () => {
      await using page = await startPage("  stats auth me:pw");
      const port = freePort();
      await using scraper = startProcess([
        "prometheus-haproxy-exporter",
        `--web.listen-address=127.0.0.1:${port}`,
        `--haproxy.scrape-uri=http://me:pw@127.0.0.1:${page.page}/stats;csv`,
      ]);
      await until("the exporter to listen", () => isListening(port));
      const text = await curl(`http://127.0.0.1:${port}/metrics`);
      expect(text).toMatch(/^haproxy_up 1$/m);
      expect(text).toMatch(/^haproxy_exporter_csv_parse_failures_total 0$/m);
      expect(text).toMatch(/^haproxy_server_up\{backend="be",server="s1"\} 1$/m);
      expect(scraper.hasExited()).toBe(false);
    },
  );
});

/** Types and label names of a text that may hold values that the strict reader refuses. */
function readLoose(text: string): Map<string, { type: string; labels: Set<string> }> {
  const found = new Map<string, { type: string; labels: Set<string> }>();
  for (const [, name = "", type = ""] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    // What has no samples at all is not compared.
    if (new RegExp(`^${name}[ {](?!.* NaN$)`, "m").test(text)) {
      found.set(name, { type, labels: new Set() });
    }
  }
  for (const [, name = "", inside = ""] of text.matchAll(/^(\w+)\{([^}]*)\} (?!NaN)/gm)) {
    for (const [, label = ""] of inside.matchAll(/(\w+)="/g)) found.get(name)?.labels.add(label);
  }
  return found;
}

describe("addresses of a page", () => {
  e2e("several of them, a unix socket among them, and an inherited descriptor", async () => {
    using folder = temporaryFolder();
    const path = folder.file("page.sock");
    const inherited = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const fd = (inherited as unknown as { fd: number }).fd;
    const six = freePort();
    const config = `defaults
  mode http
  timeout client 5s
frontend page
  bind 127.0.0.1:${six},[::1]:${six}
  bind ${path} mode 600
  bind fd@3
  stats enable
  stats uri /
`;
    await using sluice = await startBalancer("sluice", { config, ports: [six], fds: [fd] });
    const { port } = inherited;
    // Both processes would take clients from it.
    inherited.stop(true);
    for (const address of [`127.0.0.1:${six}`, `[::1]:${six}`, `127.0.0.1:${port}`]) {
      expect((await fetch(`http://${address}/;csv`)).status).toBe(200);
    }
    expect(await curl("--unix-socket", path, "http://page/;csv")).toContain("# pxname");
    expect(sluice.hasExited()).toBe(false);
  });

  e2e("one that cannot be had stops the start, with its line", async () => {
    using folder = temporaryFolder();
    const path = folder.file("haproxy.cfg");
    await Bun.write(
      path,
      "defaults\n  mode http\n  timeout client 5s\nlisten page\n  bind 192.0.2.1:1\n  stats enable\n",
    );
    const { code, output } = await runProcess([findSluice() ?? "", "-db", "-f", path]);
    expect(code).toBe(1);
    expect(output).toContain("SLC_PAGE_SOCKET");
    expect(output).toMatch(/Binding \[.*:5\] for proxy page: cannot bind socket \(Cannot assign/);
  });

  e2e("a soft stop closes them", async () => {
    await using page = await startPage("");
    const open = await Bun.connect({
      hostname: "127.0.0.1",
      port: page.port,
      socket: { data() {}, open: (socket) => void socket.write("x") },
    });
    await until("the session to be counted", async () =>
      /^fe,FRONTEND,,,1,/m.test(await askApi(page.api, "show stat")),
    );
    page.kill("SIGUSR1");
    await until("the page to close", () => !isListening(page.page));
    open.end();
    expect(await page.exited).toBe(0);
  });
});

describe("visitors without manners", () => {
  e2e("more than there is room for wait, and find room", async () => {
    await using page = await startPage("  maxconn 4\n  timeout http-request 1s");
    const idle = await Promise.all(
      Array.from({ length: 12 }, () =>
        Bun.connect({ hostname: "127.0.0.1", port: page.page, socket: { data() {} } }),
      ),
    );
    // Those who ask for nothing are sent away in time.
    expect((await fetch(`${page.address}/stats;csv`)).status).toBe(200);
    for (const socket of idle) socket.end();
  });

  e2e("one that never ends its request is sent away", async () => {
    await using page = await startPage("  timeout http-request 1s");
    const { promise, resolve } = Promise.withResolvers<number>();
    const began = performance.now();
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port: page.page,
      socket: {
        data() {},
        open: (one) => void one.write("GET /stats HTTP/1.1\r\nHost: a\r\n"),
        close: () => resolve(performance.now() - began),
      },
    });
    const drip = setInterval(() => socket.write("X-Drip: 1\r\n"), 100);
    expect(await promise).toBeLessThan(10_000);
    clearInterval(drip);
  });

  e2e("one that does not read costs no memory, and the others go on", async () => {
    await using page = await startPage("");
    const sockets = await Promise.all(
      Array.from({ length: 20 }, () =>
        Bun.connect({
          hostname: "127.0.0.1",
          port: page.page,
          socket: {
            data() {},
            open: (socket) => {
              socket.pause();
              socket.write("GET /stats HTTP/1.1\r\nHost: a\r\n\r\n".repeat(50));
            },
          },
        }),
      ),
    );
    expect((await fetch(`${page.address}/stats;csv`)).status).toBe(200);
    for (const socket of sockets) socket.terminate();
    expect((await fetch(`${page.address}/stats`)).status).toBe(200);
  });

  e2e("one on the inner port is nobody", async () => {
    await using page = await startPage("");
    const { output } = await runProcess(["ss", "-Hltnp"]);
    const inner = output
      .split("\n")
      .filter((line) => line.includes(`pid=${page.pid},`))
      .map((line) => Number(/127\.0\.0\.1:(\d+)/.exec(line)?.[1]))
      .filter((port) => port !== page.page && port !== page.port);
    expect(inner).toHaveLength(1);
    const answer = await fetch(`http://127.0.0.1:${inner[0]}/stats;csv`);
    expect(answer.status).toBe(403);
    expect(await answer.text()).toBe("");
  });
});
