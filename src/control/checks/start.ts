/** Checks of a serving process: the desk of control and the thread that it orders. Main thread. */
import { clockOriginMs } from "../../base/clock.ts";
import { BUFSIZE_DEFAULT, CHECK_ANSWER_BYTES_DEFAULT } from "../../base/limits.ts";
import { nativeAddresses } from "../../conduit/native.ts";
import type { Workshop } from "../build.ts";
import type { StateKeeper } from "../server-state.ts";
import { CheckDesk } from "./desk.ts";
import { CheckThread } from "./thread.ts";

/** Checks that run. */
export type Checking = {
  readonly desk: CheckDesk;
  /** Ends the thread. */
  close(): void;
};

/**
 * Starts the checks of all servers.
 * @param probesMax most checks at a time
 * @param url entry module of the thread
 * @param say a line of the process log
 */
export function startChecks(
  { model, tables, quic }: Workshop,
  keeper: StateKeeper,
  probesMax: number,
  url: URL,
  say: (severity: "notice" | "warning" | "alert", text: string) => void,
): Checking {
  const { global } = model.plan;
  const thread = new CheckThread({
    url,
    start: {
      blocks: tables.blocks,
      native: nativeAddresses(),
      clockOriginMs: clockOriginMs(),
      spreadPercent: global.spreadChecksPercent,
      maxSpreadMs: global.maxSpreadChecksMs,
      probesMax,
      answerBytesMax:
        global.bufsize === BUFSIZE_DEFAULT ? CHECK_ANSWER_BYTES_DEFAULT : global.bufsize,
      node: global.node,
      environment: global.environment,
    },
    receive: (news) => desk.receive(news),
    restarted: () => desk.restart(),
    say,
  });
  const desk = new CheckDesk({
    keeper,
    send: (order) => thread.send(order),
    quicAddresses: () => {
      const settings = quic.settings();
      return typeof settings === "string" ? null : settings.addresses;
    },
  });
  desk.start(model);
  keeper.checks = desk;
  return { desk, close: () => thread.close() };
}
