/** hatop, as Debian ships it: live tables, and servers switched from its screen. */
import { expect, test } from "bun:test";

import { askApi } from "../support/api.ts";
import { findSluice } from "../support/haproxy.ts";
import { startEcho } from "../support/peers.ts";
import { temporaryFolder, until } from "../support/procs.ts";
import { startSluice } from "./sluice.ts";

const missing = ["hatop", "tmux"].filter((tool) => Bun.which(tool) === null);
const title = missing.length > 0 ? ` (without ${missing.join(" and ")})` : "";

test.skipIf(findSluice() === undefined || missing.length > 0)(
  `hatop shows tables, disables and enables a server${title}`,
  async () => {
    using folder = temporaryFolder();
    const socket = folder.file("api.sock");
    await using origin = startEcho();
    await using sluice = await startSluice(
      (port) => `frontend fe
  bind 127.0.0.1:${port}
  default_backend pool
backend pool
  server first 127.0.0.1:${origin.port}
  server second 127.0.0.1:${origin.port}`,
      { global: `  stats socket ${socket} level admin` },
    );
    expect(sluice.hasExited()).toBe(false);
    const tmux = (...args: string[]): string => {
      const run = Bun.spawnSync(["tmux", "-L", "sluice-test", "-f", "/dev/null", ...args]);
      return run.stdout.toString();
    };
    const size = ["-x", "150", "-y", "40"];
    tmux("new-session", "-d", ...size, "-s", "h", `hatop -s ${socket}; sleep 60`);
    try {
      const screen = (): string => tmux("capture-pane", "-p", "-t", "h");
      await until("the tables", () => /second.*\n.*BACKEND/.test(screen()));
      expect(screen()).toContain("sluice Version:");
      // The line that the keys act on is shown in reverse video.
      await until("the cursor on the first server", async () => {
        tmux("send-keys", "-t", "h", "Down");
        // The screen follows within a moment; a second key before that goes too far.
        await Bun.sleep(300);
        return tmux("capture-pane", "-e", "-p", "-t", "h").includes("\u001b[7mfirst");
      });
      const state = async (): Promise<string> => {
        const csv = await askApi(socket, "show stat");
        return /^pool,first,(?:[^,]*,){15}([^,]*),/m.exec(csv)?.[1] ?? csv;
      };
      expect(await state()).toBe("no check");
      tmux("send-keys", "-t", "h", "F10");
      await until("the server to be disabled", async () => (await state()) === "MAINT");
      await until("the screen to say so", () => /first.*MAINT/.test(screen()));
      tmux("send-keys", "-t", "h", "F9");
      await until("the server to be enabled", async () => (await state()) === "no check");
    } finally {
      tmux("kill-server");
    }
  },
  60_000,
);
