import { describe, expect, test } from "bun:test";

import {
  type CheckFacts,
  frontendPaused,
  frontendResumed,
  healthCheck,
  noServer,
  type Notice,
  proxyStopped,
  serverDown,
  serverDrain,
  serverDrained,
  type ServerFacts,
  serverMaintenance,
  serverReady,
  serverStopping,
  serverUp,
} from "../../../../src/control/logs/sentences.ts";
import { LEVEL_NAMES } from "../../../../src/wire/syslog.ts";

const UP = { counted: 1, needed: 1, isUp: true, hasWeight: true };
const AGENT: CheckFacts = {
  reason: "Layer7 check passed",
  code: 0,
  info: "via agent : up",
  durationMs: 0,
};
const REFUSED: CheckFacts = {
  reason: "Layer4 connection problem",
  info: "Connection refused",
  durationMs: 0,
};
const PASSED: CheckFacts = { reason: "Layer4 check passed", durationMs: 0 };

function server(name: string, rest: Partial<ServerFacts>): ServerFacts {
  const [backend = "", own = ""] = name.split("/");
  const counts = { activeLeft: 0, backupLeft: 0, sessions: 0, requeued: 0, queued: 0 };
  return { backend, server: own, backup: false, ...counts, ...rest };
}

describe("sentences and levels, as HAProxy logs them", () => {
  const table: readonly (readonly [Notice, string, string])[] = [
    [
      serverDown(server("b/s1", { check: REFUSED })),
      "alert",
      'Server b/s1 is DOWN, reason: Layer4 connection problem, info: "Connection refused", check ' +
        "duration: 0ms. 0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 " +
        "remaining in queue.",
    ],
    [
      serverDown(server("b/s1", { backupLeft: 1, sessions: 1 })),
      "alert",
      "Server b/s1 is DOWN. 0 active and 1 backup servers left. Running on backup. 1 sessions " +
        "active, 0 requeued, 0 remaining in queue.",
    ],
    [
      serverDown(server("l2/x", { via: "b/s1" })),
      "alert",
      "Server l2/x is DOWN via b/s1. 0 active and 0 backup servers left. 0 sessions active, 0 " +
        "requeued, 0 remaining in queue.",
    ],
    [
      serverDown(server("b/s2", { backup: true })),
      "alert",
      "Backup Server b/s2 is DOWN. 0 active and 0 backup servers left. 0 sessions active, 0 " +
        "requeued, 0 remaining in queue.",
    ],
    [
      serverDown(server("b/s1", { backupLeft: 1, cause: "changed from CLI" })),
      "alert",
      "Server b/s1 is DOWN, changed from CLI. 0 active and 1 backup servers left. Running on " +
        "backup. 0 sessions active, 0 requeued, 0 remaining in queue.",
    ],
    [
      serverUp(server("b/s1", { activeLeft: 1, check: PASSED })),
      "notice",
      "Server b/s1 is UP, reason: Layer4 check passed, check duration: 0ms. 1 active and 0 backup " +
        "servers online. 0 sessions requeued, 0 total in queue.",
    ],
    [
      serverUp(server("b/s2", { activeLeft: 1, backupLeft: 1, backup: true })),
      "notice",
      "Backup Server b/s2 is UP. 1 active and 1 backup servers online. 0 sessions requeued, 0 " +
        "total in queue.",
    ],
    [
      serverMaintenance(server("b/s1", { backupLeft: 1, sessions: 1 })),
      "alert",
      "Server b/s1 is going DOWN for maintenance. 0 active and 1 backup servers left. Running on " +
        "backup. 1 sessions active, 0 requeued, 0 remaining in queue.",
    ],
    [
      serverMaintenance(server("l2/x", { via: "b/s1" })),
      "alert",
      "Server l2/x is going DOWN for maintenance via b/s1. 0 active and 0 backup servers left. 0 " +
        "sessions active, 0 requeued, 0 remaining in queue.",
    ],
    [
      serverReady(server("b/s1", {}), true, false, true),
      "notice",
      "Server b/s1 is UP/READY (leaving forced maintenance).",
    ],
    [
      serverReady(server("l2/x", {}), true, false, false),
      "notice",
      "Server l2/x is UP/READY (leaving maintenance).",
    ],
    [
      serverDrain(server("b/s1", { backupLeft: 1 })),
      "notice",
      "Server b/s1 enters drain state. 0 active and 1 backup servers online. Running on backup. 0 " +
        "sessions requeued, 0 total in queue.",
    ],
    [
      serverDrained(server("b/s1", {}), true),
      "notice",
      "Server b/s1 is UP (leaving forced drain).",
    ],
    [
      serverStopping(server("b/s1", { backupLeft: 1, cause: "changed from CLI" })),
      "notice",
      "Server b/s1 is stopping, changed from CLI. 0 active and 1 backup servers online. Running " +
        "on backup. 0 sessions requeued, 0 total in queue.",
    ],
    [
      healthCheck(server("b/s1", {}), REFUSED, "failed", { ...UP, needed: 2 }),
      "notice",
      "Health check for server b/s1 failed, reason: Layer4 connection problem, info: " +
        '"Connection refused", check duration: 0ms, status: 1/2 UP.',
    ],
    [
      healthCheck(server("b/s2", { backup: true }), PASSED, "succeeded", UP),
      "notice",
      "Health check for backup server b/s2 succeeded, reason: Layer4 check passed, check " +
        "duration: 0ms, status: 1/1 UP.",
    ],
    [
      healthCheck(
        server("b/404", {}),
        { reason: "Layer7 check conditionally passed", code: 404, durationMs: 0 },
        "conditionally succeeded",
        { ...UP, counted: 2, needed: 2 },
      ),
      "notice",
      "Health check for server b/404 conditionally succeeded, reason: Layer7 check " +
        "conditionally passed, code: 404, check duration: 0ms, status: 2/2 UP.",
    ],
    [
      healthCheck(server("b/s1", {}), AGENT, "succeeded", { ...UP, hasWeight: false }, "Agent"),
      "notice",
      "Agent check for server b/s1 succeeded, reason: Layer7 check passed, code: 0, info: " +
        '"via agent : up", check duration: 0ms, status: 1/1 DRAIN.',
    ],
    [noServer("backend", "b"), "emerg", "backend b has no server available!"],
    [noServer("listen", "l2"), "emerg", "proxy l2 has no server available!"],
    [proxyStopped("f", 1, 0), "warning", "Proxy f stopped (cumulated conns: FE: 1, BE: 0)."],
    [frontendPaused("f"), "warning", "Paused frontend f."],
    [frontendResumed("f"), "warning", "Resumed frontend f."],
  ];
  for (const [notice, level, text] of table) {
    test(text.slice(0, 60), () => {
      expect(notice.text).toBe(text);
      expect(LEVEL_NAMES[notice.level]).toBe(level as (typeof LEVEL_NAMES)[number]);
    });
  }
});
