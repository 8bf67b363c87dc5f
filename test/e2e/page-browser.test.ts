/**
 * The statistics page in a real browser: live without reloading, sorted, filtered, switched. With
 * `SLUICE_PICTURES=<folder>` the pictures stay there, to be looked at.
 */
import { expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { askApi } from "../support/api.ts";
import type { Browser } from "../support/chromium.ts";
import { findChromium, startBrowser } from "../support/chromium.ts";
import { findSluice, startBalancer } from "../support/haproxy.ts";
import { startEcho } from "../support/peers.ts";
import { freePorts } from "../support/ports.ts";
import { runProcess, temporaryFolder, until } from "../support/procs.ts";

const hasBoth = findSluice() !== undefined && findChromium() !== undefined;
const note = findChromium() === undefined ? " (without chromium)" : "";
const LIMIT_MS = 120_000;

/** A test in a browser; skipped by name where there is none. */
function inBrowser(title: string, run: () => Promise<void>): void {
  test.skipIf(!hasBoth)(`${title}${note}`, run, LIMIT_MS);
}

type Stage = AsyncDisposable & {
  browser: Browser;
  port: number;
  api: string;
  address: string;
  keep(name: string): Promise<void>;
};

/** sluice with a page, and a browser. @param servers of backend `be` */
async function startStage(servers: number, page = "", login = "", more = ""): Promise<Stage> {
  const folder = temporaryFolder();
  const echo = startEcho();
  const [port, pagePort] = freePorts(2) as [number, number];
  const api = folder.file("api.sock");
  const lines = Array.from({ length: servers }, (_, index) => {
    const state = index % 17 === 3 ? " disabled" : "";
    return `  server web${index + 1} 127.0.0.1:${echo.port}${state}`;
  });
  const config = `global
  nbthread 2
  stats socket ${api} level admin
  node lb1
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend fe
  bind 127.0.0.1:${port}
  default_backend be
backend be
${lines.join("\n")}
backend other
  server db1 127.0.0.1:${echo.port}
${more}
listen page
  mode http
  bind 127.0.0.1:${pagePort}
  stats enable
  stats uri /stats
  stats show-node
${page}
`;
  const sluice = await startBalancer("sluice", { config, ports: [port, pagePort] });
  const browser = await startBrowser(folder.file("profile"));
  if (login !== "") await browser.logIn(login);
  const pictures = process.env["SLUICE_PICTURES"] ?? folder.path;
  mkdirSync(pictures, { recursive: true });
  return {
    browser,
    port,
    api,
    address: `http://127.0.0.1:${pagePort}/stats`,
    keep: async (name) => {
      await Bun.write(join(pictures, `${name}.png`), await browser.picture());
    },
    async [Symbol.asyncDispose]() {
      await browser[Symbol.asyncDispose]();
      await sluice[Symbol.asyncDispose]();
      await echo[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

const LIVE = `document.querySelector("#live.good") !== null &&
  document.querySelector("button.why") !== null`;

/** Text of a cell. @param column its number among the cells of the row */
function cell(server: string, selector: string): string {
  return `[...document.querySelectorAll("tbody tr")].find((row) =>
    row.querySelector("button.why")?.textContent === ${JSON.stringify(server)})
    ?.querySelector(${JSON.stringify(selector)})?.textContent`;
}

async function visit(port: number, times: number): Promise<void> {
  for (let time = 0; time < times; time++) {
    await runProcess(["sh", "-c", `echo hi | socat -t0.2 - TCP:127.0.0.1:${port}`]);
  }
}

inBrowser("the page shows what happens without being loaded again", async () => {
  await using stage = await startStage(3, "  stats admin if TRUE");
  const { browser } = stage;
  await browser.setScreen({ width: 1440, height: 900, isDark: false });
  await browser.open(stage.address);
  await browser.until("live figures", LIVE);
  await browser.run("window.isOldPage = true");
  const total = `Number(${cell("web1", "td:nth-of-type(13)")})`;
  const before = await browser.run<number>(total);
  await visit(stage.port, 4);
  await browser.until("the sessions to be counted", `${total} >= ${before} + 1`);
  await askApi(stage.api, "disable server be/web2");
  await browser.until("the state to change", `/^MAINT/.test(${cell("web2", ".s")})`);
  await askApi(stage.api, "add server be/new 127.0.0.1:9");
  await browser.until("the new server", `${cell("new", ".s")} !== undefined`);
  expect(await browser.run<boolean>("window.isOldPage")).toBe(true);
  await stage.keep("light");
  await browser.setScreen({ width: 1440, height: 900, isDark: true });
  await stage.keep("dark");
  await browser.setScreen({ width: 390, height: 844, isDark: false });
  await stage.keep("phone");
  const isWider = "document.documentElement.scrollWidth > window.innerWidth";
  expect(await browser.run<boolean>(isWider)).toBe(false);
  await browser.setScreen({ width: 1920, height: 1000, isDark: false });
  await stage.keep("wide");
  expect(browser.complaints).toEqual([]);
});

inBrowser("servers are chosen and switched", async () => {
  await using stage = await startStage(3, "  stats auth me:pw\n  stats admin if TRUE", "me:pw");
  const { browser } = stage;
  browser.acceptDialogs();
  await browser.setScreen({ width: 1440, height: 900, isDark: false });
  await browser.open(stage.address);
  await browser.until("live figures", LIVE);
  await browser.run(`(() => {
    for (const name of ["web1", "web3"]) document.querySelector(\`input[value=\${name}]\`).click();
    const form = document.querySelector("form[method=post]");
    form.querySelector("select").value = "maint";
    form.requestSubmit();
  })()`);
  await browser.until("the answer", `document.querySelector(".toast.good") !== null`);
  await browser.until("the first in maintenance", `/^MAINT/.test(${cell("web1", ".s")})`);
  expect(await browser.run<string>(cell("web2", ".s"))).toBe("no check");
  expect(await browser.run<number>(`document.querySelectorAll("td.p input:checked").length`)).toBe(
    0,
  );
  await stage.keep("action");
  // The same form without the script's help.
  await browser.run(`(() => {
    const form = document.querySelector("form[method=post]");
    const box = document.createElement("input");
    Object.assign(box, { type: "hidden", name: "s", value: "web1" });
    form.append(box);
    form.querySelector("select").value = "ready";
    HTMLFormElement.prototype.submit.call(form);
  })()`);
  await until("the page of the outcome", async () =>
    (await browser.run<string>("location.href")).endsWith("/stats;st=DONE"),
  );
  await browser.until("its sentence", `document.querySelector(".outcome.good") !== null`);
  expect(browser.complaints).toEqual([]);
});

inBrowser("who holds a server is told in its box", async () => {
  await using stage = await startStage(3);
  const { browser } = stage;
  await browser.setScreen({ width: 1440, height: 900, isDark: true });
  await browser.open(stage.address);
  await browser.until("live figures", LIVE);
  await browser.run(`[...document.querySelectorAll("button.why")].find((one) =>
    one.textContent === "web1").click()`);
  const box = `document.querySelector("dialog[open]")?.textContent`;
  await browser.until("the holders", `/not in maintenance/.test(${box})`);
  expect(await browser.run<string>(box)).toContain("disable server be/web1");
  await stage.keep("holders");
  expect(browser.complaints).toEqual([]);
});

inBrowser("three thousand servers stay quick, sorted and filtered", async () => {
  await using stage = await startStage(3000);
  const { browser } = stage;
  await browser.setScreen({ width: 1440, height: 900, isDark: false });
  await browser.open(stage.address);
  await browser.until("live figures", LIVE);
  const rows = `document.querySelectorAll("tbody tr").length`;
  expect(await browser.run<number>(rows)).toBeLessThan(200);
  await browser.until("the size", `/of 3000 up/.test(document.body.textContent)`);
  await stage.keep("large");
  await browser.run(`document.querySelector(".scroll.long").scrollTop = 1e9`);
  await browser.until("the last server", `${cell("web3000", ".s")} !== undefined`);
  expect(await browser.run<number>(rows)).toBeLessThan(200);
  await stage.keep("large-end");
  await browser.run(`document.querySelector(".scroll.long").scrollTop = 0`);
  const first = `document.querySelector(".long tr.server button.why").textContent`;
  const head = `document.querySelector(".long th[data-key=status] button")`;
  await browser.run(`${head}.click()`);
  await browser.until("what is out to come first", `${first} === "web4"`);
  await browser.run(`(() => {
    const find = document.getElementById("find");
    find.value = "WEB299";
    find.dispatchEvent(new Event("input"));
  })()`);
  const names = `[...document.querySelectorAll("section:not([hidden]) tr.server button.why")]
    .map((one) => one.textContent)`;
  await browser.until("the servers that fit", `${names}.length === 11`);
  await browser.until(
    "the others to go",
    `document.querySelectorAll("section:not([hidden])").length === 1`,
  );
  await stage.keep("filtered");
  // A tick of the page must not take the time of a frame or two.
  const slow = await browser.run<number>(`new Promise((done) => {
    const find = document.getElementById("find");
    find.value = "";
    find.dispatchEvent(new Event("input"));
    let longest = 0;
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) longest = Math.max(longest, duration);
    }).observe({ type: "longtask" });
    setTimeout(() => done(longest), 4000);
  })`);
  expect(slow).toBeLessThan(1000);
  expect(browser.complaints).toEqual([]);
});

inBrowser("a thousand backends are lines until they are wanted", async () => {
  const lines = Array.from({ length: 1000 }, (_, at) => {
    return `backend many${at}\n  server a${at} 127.0.0.1:9\n  server b${at} 127.0.0.1:9`;
  });
  await using stage = await startStage(2, "", "", lines.join("\n"));
  const { browser } = stage;
  await browser.setScreen({ width: 1440, height: 900, isDark: false });
  await browser.open(stage.address);
  await browser.until("live figures", LIVE);
  const tables = `document.querySelectorAll("main table").length`;
  expect(await browser.run<number>(`document.querySelectorAll("main section").length`)).toBe(1003);
  expect(await browser.run<number>(tables)).toBe(60);
  const last = `document.querySelector("main section:last-child")`;
  await browser.run(`${last}.scrollIntoView(); ${last}.querySelector("summary").click()`);
  await browser.until("its servers", `${cell("b999", ".s")} === "no check"`);
  expect(await browser.run<number>(tables)).toBe(61);
  await browser.run(`(() => {
    const find = document.getElementById("find");
    find.value = "b77";
    find.dispatchEvent(new Event("input"));
    window.scrollTo(0, 0);
  })()`);
  const shown = `document.querySelectorAll("main section:not([hidden])").length`;
  await browser.until("what fits", `${shown} === 11 && ${cell("b777", ".s")} !== undefined`);
  await stage.keep("many");
  expect(browser.complaints).toEqual([]);
});

inBrowser("names that are markup stay names", async () => {
  await using stage = await startStage(2, "  stats show-desc <img/src=x>");
  const { browser } = stage;
  const evil = "<b>&x=1";
  const added = await askApi(stage.api, `add server be/${evil} 127.0.0.1:9`);
  await browser.open(stage.address);
  await browser.until("live figures", LIVE);
  if (/added|registered/i.test(added)) {
    await browser.until("the name", `${cell(evil, ".s")} !== undefined`);
  }
  const made = `document.querySelectorAll("main b, main img, header img").length`;
  expect(await browser.run<number>(made)).toBe(0);
  expect(browser.complaints).toEqual([]);
});

inBrowser("a page that loses its process says so, and finds it again", async () => {
  await using stage = await startStage(2);
  const { browser } = stage;
  await browser.open(stage.address);
  await browser.until("live figures", LIVE);
  await browser.run(
    `window.fetchOfAll = window.fetch; window.fetch = () => Promise.reject(new Error("x"))`,
  );
  await browser.until("it to say so", `document.querySelector("#live.bad") !== null`);
  await browser.run(`window.fetch = window.fetchOfAll`);
  await browser.until("it to be live again", LIVE);
});
