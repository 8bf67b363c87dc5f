/** What is said when states change, line by line as HAProxy 2.6 said it to the same commands. */
import { expect, test } from "bun:test";

import { makeControlLab } from "../../support/control-lab.ts";

const CONFIG = `
defaults
  mode tcp
  timeout connect 2s
  timeout client 10s
  timeout server 10s
backend b
  server s1 127.0.0.1:19901 check
  server s2 127.0.0.1:19902 backup
backend tr
  server t1 127.0.0.1:19901 track b/s1
  server t2 127.0.0.1:19901 track t1
`;

/** Commands, and the lines after them: level and text up to the numbers of servers. */
const STORY: readonly (readonly [string, readonly string[]])[] = [
  [
    "set server b/s1 state maint",
    [
      "1 Server b/s1 is going DOWN for maintenance.",
      "1 Server tr/t1 is going DOWN for maintenance via b/s1.",
      "1 Server tr/t2 is going DOWN for maintenance via tr/t1.",
      "0 backend tr has no server available!",
    ],
  ],
  ["set server tr/t1 state maint", []],
  [
    "set server tr/t1 state ready",
    ["5 Server tr/t1 is leaving forced maintenance but remains in maintenance via b/s1."],
  ],
  [
    "set server b/s1 state drain",
    [
      "5 Server b/s1 is UP/DRAIN (leaving forced maintenance).",
      "5 Server b/s1 remains in forced drain mode.",
      "5 Server tr/t1 is UP/DRAIN (leaving maintenance).",
      "5 Server tr/t1 is leaving forced drain but remains in drain mode via b/s1.",
      "5 Server tr/t2 is UP/DRAIN (leaving maintenance).",
      "5 Server tr/t2 is leaving forced drain but remains in drain mode via tr/t1.",
    ],
  ],
  ["set server tr/t1 state drain", ["5 Server tr/t1 remains in forced drain mode."]],
  [
    "set server b/s1 state ready",
    ["5 Server b/s1 is UP (leaving forced drain).", "5 Server tr/t1 remains in forced drain mode."],
  ],
  [
    "set server tr/t1 state ready",
    [
      "5 Server tr/t1 is UP (leaving forced drain).",
      "5 Server tr/t2 is UP (leaving forced drain).",
    ],
  ],
  [
    "set server b/s1 health down",
    [
      "1 Server b/s1 is DOWN, changed from CLI.",
      "1 Server tr/t1 is DOWN via b/s1.",
      "1 Server tr/t2 is DOWN via tr/t1.",
      "0 backend tr has no server available!",
    ],
  ],
  [
    "set server b/s1 state drain",
    [
      "5 Server b/s1 enters drain state.",
      "5 Server tr/t1 enters drain state via b/s1.",
      "5 Server tr/t2 enters drain state via tr/t1.",
    ],
  ],
  [
    "set server b/s1 health stopping",
    [
      "5 Server b/s1 is stopping, changed from CLI.",
      "5 Server b/s1 remains in forced drain mode.",
      "5 Server tr/t1 is stopping via b/s1.",
      "5 Server tr/t1 is leaving forced drain but remains in drain mode via b/s1.",
      "5 Server tr/t2 is stopping via tr/t1.",
      "5 Server tr/t2 is leaving forced drain but remains in drain mode via tr/t1.",
    ],
  ],
  [
    "set server b/s1 health down",
    [
      "5 Server b/s1 is DOWN, changed from CLI.",
      "5 Server b/s1 remains in forced drain mode.",
      "5 Server tr/t1 is DOWN via b/s1.",
      "5 Server tr/t1 is leaving forced drain but remains in drain mode via b/s1.",
      "5 Server tr/t2 is DOWN via tr/t1.",
      "5 Server tr/t2 is leaving forced drain but remains in drain mode via tr/t1.",
    ],
  ],
  [
    "set server b/s1 state maint",
    [
      "5 Server b/s1 was DOWN and now enters maintenance.",
      "5 Server tr/t1 was DOWN and now enters maintenance via b/s1.",
      "5 Server tr/t2 was DOWN and now enters maintenance via tr/t1.",
    ],
  ],
  ["set server tr/t1 state maint", []],
  [
    "set server b/s1 state ready",
    [
      "5 Server b/s1 is UP/READY (leaving forced maintenance).",
      "5 Server tr/t1 remains in forced maintenance.",
    ],
  ],
  [
    "set server tr/t1 state ready",
    [
      "5 Server tr/t1 is UP/READY (leaving forced maintenance).",
      "5 Server tr/t2 is UP/READY (leaving maintenance).",
    ],
  ],
  [
    "set server b/s1 health stopping",
    [
      "5 Server b/s1 is stopping, changed from CLI.",
      "5 Server tr/t1 is stopping via b/s1.",
      "5 Server tr/t2 is stopping via tr/t1.",
      "0 backend tr has no server available!",
    ],
  ],
  [
    "set server b/s1 state maint",
    [
      "5 Server b/s1 is going DOWN for maintenance.",
      "5 Server tr/t1 is going DOWN for maintenance via b/s1.",
      "5 Server tr/t2 is going DOWN for maintenance via tr/t1.",
    ],
  ],
  [
    "set server b/s2 state maint",
    ["1 Backup Server b/s2 is going DOWN for maintenance.", "0 backend b has no server available!"],
  ],
];

test("a story of states, with those who track them", async () => {
  const lab = await makeControlLab(CONFIG);
  for (const [line, lines] of STORY) {
    lab.told.length = 0;
    expect(await lab.ask(line)).toBe("");
    const said = lab.told.map((text) => text.replace(/\. \d+ active and .*$/u, "."));
    expect({ line, said }).toEqual({ line, said: [...lines] });
  }
});
