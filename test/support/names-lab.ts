/**
 * Names over a simulated clock and simulated name servers: what each of them would answer is a
 * function, and messages take the time that it says. Nothing happens between the steps.
 */
import type { Names, NamesMachine } from "../../src/control/names/names.ts";
import { makeNames } from "../../src/control/names/names.ts";
import type { WireEars } from "../../src/control/names/transport.ts";
import { makeControlLab } from "./control-lab.ts";
import type { ControlLab } from "./control-lab.ts";
import { encodeReply } from "./dns-server.ts";
import type { DnsQuestion, DnsReply } from "./dns-server.ts";
import { SimClock } from "./sim-clock.ts";

/** What a name server does with a question; nothing = silence. */
export type SimAnswer = { reply: Exclude<DnsReply, undefined>; latencyMs: number } | undefined;

/** A name server, known by its port. */
export type Behave = (port: number, question: DnsQuestion, nowMs: number) => SimAnswer;

/** A laboratory whose time stands still until it is moved. */
export type NamesLab = {
  lab: ControlLab;
  names: Names;
  clock: SimClock;
  /** Questions so far. */
  asked: DnsQuestion[];
  /** Lets everything happen up to a moment, and calls `look` after each thing that did. */
  runTo(atMs: number, look?: () => void): void;
};

const CONTROL = 1;

/** Builds a configuration, and begins. */
export async function makeNamesLab(
  config: string,
  behave: Behave,
  random32: () => number,
  hasIpv6 = true,
): Promise<NamesLab> {
  const clock = new SimClock();
  const turns: (() => void)[] = [];
  const asked: DnsQuestion[] = [];
  const openUdp = ({ port }: { port: number }, ears: WireEars) => {
    let isClosed = false;
    return {
      send: (bytes: Buffer) => {
        const question = readQuestion(bytes);
        asked.push(question);
        const answer = behave(port, question, clock.nowMs());
        if (answer === undefined) return true;
        clock.start(CONTROL, answer.latencyMs, () => {
          for (const one of encodeReply(question, answer.reply)) if (!isClosed) ears.onData(one);
        });
        return true;
      },
      close: () => void (isClosed = true),
    };
  };
  const machine: NamesMachine = {
    transport: { openUdp, openTcp: openUdp, hasIpv6: () => Promise.resolve(hasIpv6) },
    random32,
    nowMs: () => clock.nowMs(),
    startTimer: (delayMs, run) => clock.start(CONTROL, delayMs, run),
    nextTurn: (run) => void turns.push(run),
  };
  const lab = await makeControlLab(config);
  const names = makeNames(lab.control, machine);
  await names.start();
  const settle = (): void => {
    do {
      for (let run = turns.shift(); run !== undefined; run = turns.shift()) run();
      lab.settle();
    } while (turns.length > 0);
  };
  const runTo = (atMs: number, look?: () => void): void => {
    settle();
    for (;;) {
      const next = clock.nextAtMs();
      if (next > atMs) break;
      if (next > clock.nowMs()) clock.advance(next - clock.nowMs());
      clock.fire(CONTROL);
      settle();
      look?.();
    }
    clock.advance(Math.max(0, atMs - clock.nowMs()));
  };
  return { lab, names, clock, asked, runTo };
}

/** A question as control wrote it: one name, no pointers. */
function readQuestion(bytes: Buffer): DnsQuestion {
  const labels: string[] = [];
  let at = 12;
  for (let length = bytes[at]!; length > 0; length = bytes[at]!) {
    labels.push(bytes.toString("latin1", at + 1, at + 1 + length));
    at += length + 1;
  }
  const type = { 1: "A", 28: "AAAA", 33: "SRV" }[bytes.readUInt16BE(at + 1)] ?? "?";
  const id = bytes.readUInt16BE(0);
  return { id, name: labels.join("."), type, isTcp: false, from: 0, bytes };
}
