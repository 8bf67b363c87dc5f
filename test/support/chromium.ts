/**
 * A headless Chromium with one page, driven over its debugging protocol: what a test of a page
 * needs, and no more. Source: https://chromedevtools.github.io/devtools-protocol/
 */
import { until, within } from "./procs.ts";

/** The browser's binary; undefined = it is missing. */
export function findChromium(): string | undefined {
  return Bun.which("chromium") ?? Bun.which("chromium-browser") ?? undefined;
}

/** How a screen looks. */
export type Screen = { width: number; height: number; isDark: boolean };

/** A page in a browser. */
export type Browser = AsyncDisposable & {
  /** Exceptions, refused loads and what else the page complains about. */
  readonly complaints: string[];
  setScreen(screen: Screen): Promise<void>;
  /** Sends `Authorization: Basic` with everything. @param login `user:password` */
  logIn(login: string): Promise<void>;
  open(address: string): Promise<void>;
  /** Value of an expression in the page; promises are awaited. */
  run<T>(expression: string): Promise<T>;
  /** Waits until an expression is true. */
  until(what: string, expression: string): Promise<void>;
  /** A picture as PNG. */
  picture(): Promise<Buffer>;
  /** Answers of the page's `confirm` boxes from now on. */
  acceptDialogs(): void;
};

type Message = {
  id?: number;
  method?: string;
  params?: unknown;
  result?: unknown;
  error?: { message: string };
};

const FLAGS = [
  "--headless=new",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--no-first-run",
  "--disable-extensions",
  "--disable-background-networking",
  "--remote-debugging-port=0",
];
const START_MS = 30_000;

/** Starts it with a profile in `folder`. */
export async function startBrowser(folder: string): Promise<Browser> {
  const binary = findChromium();
  if (binary === undefined) throw new Error("chromium is missing");
  const child = Bun.spawn([binary, ...FLAGS, `--user-data-dir=${folder}`, "about:blank"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const port = await within("chromium to listen", debuggingPort(child.stderr), START_MS);
  const made = await fetch(`http://127.0.0.1:${port}/json/new?about:blank`, { method: "PUT" });
  const { webSocketDebuggerUrl } = (await made.json()) as { webSocketDebuggerUrl: string };
  const wire = await Wire.open(webSocketDebuggerUrl);
  for (const domain of ["Page", "Runtime", "Log", "Network"]) await wire.call(`${domain}.enable`);
  const run = async <T>(expression: string): Promise<T> => {
    const options = { expression, awaitPromise: true, returnByValue: true };
    const answer = (await wire.call("Runtime.evaluate", options)) as {
      result?: { value?: T };
      exceptionDetails?: { text: string; exception?: { description?: string } };
    };
    const { exceptionDetails: wrong } = answer;
    if (wrong !== undefined) throw new Error(wrong.exception?.description ?? wrong.text);
    return answer.result?.value as T;
  };
  return {
    complaints: wire.complaints,
    run,
    async setScreen({ width, height, isDark }) {
      const metrics = { width, height, deviceScaleFactor: 1, mobile: width < 700 };
      await wire.call("Emulation.setDeviceMetricsOverride", metrics);
      const feature = { name: "prefers-color-scheme", value: isDark ? "dark" : "light" };
      await wire.call("Emulation.setEmulatedMedia", { features: [feature] });
    },
    async logIn(login) {
      const headers = { authorization: `Basic ${btoa(login)}` };
      await wire.call("Network.setExtraHTTPHeaders", { headers });
    },
    async open(address) {
      await wire.call("Page.navigate", { url: address });
      await until("the page to be there", () => run("document.readyState === 'complete'"));
    },
    async until(what, expression) {
      await until(what, () => run<boolean>(`Boolean(${expression})`), START_MS);
    },
    async picture() {
      const { data } = (await wire.call("Page.captureScreenshot", { format: "png" })) as {
        data: string;
      };
      return Buffer.from(data, "base64");
    },
    acceptDialogs: () => wire.acceptDialogs(),
    async [Symbol.asyncDispose]() {
      wire.close();
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

async function debuggingPort(stream: ReadableStream<Uint8Array>): Promise<number> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    const port = /DevTools listening on ws:\/\/[^:]+:(\d+)/.exec(text)?.[1];
    if (port !== undefined) return Number(port);
  }
  throw new Error(`chromium ended: ${text.slice(-2000)}`);
}

/** The connection to one page of the browser. */
class Wire {
  readonly complaints: string[] = [];
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (message: Message) => void>();
  #id = 0;
  #accepts = false;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => {
      const message = JSON.parse(String(data)) as Message;
      if (message.id === undefined) this.#tell(message);
      else this.#waiting.get(message.id)?.(message);
    });
  }

  static async open(address: string): Promise<Wire> {
    const socket = new WebSocket(address);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    socket.addEventListener("open", () => resolve());
    socket.addEventListener("error", () => reject(new Error("no debugging connection")));
    await within("the debugging connection", promise);
    return new Wire(socket);
  }

  async call(method: string, params: object = {}): Promise<unknown> {
    const id = ++this.#id;
    const { promise, resolve } = Promise.withResolvers<Message>();
    this.#waiting.set(id, resolve);
    this.#socket.send(JSON.stringify({ id, method, params }));
    const { result, error } = await within(method, promise, START_MS);
    this.#waiting.delete(id);
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result;
  }

  acceptDialogs(): void {
    this.#accepts = true;
  }

  close(): void {
    this.#socket.close();
  }

  #tell({ method, params }: Message): void {
    if (method === "Page.javascriptDialogOpening") {
      void this.call("Page.handleJavaScriptDialog", { accept: this.#accepts });
    }
    if (method === "Runtime.exceptionThrown") this.complaints.push(JSON.stringify(params));
    if (method !== "Log.entryAdded") return;
    const { entry } = params as { entry: { level: string; text: string; url?: string } };
    if (entry.level === "error") this.complaints.push(`${entry.text} ${entry.url ?? ""}`);
  }
}
