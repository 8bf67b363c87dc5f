/** The simulated process as commands see it: questions and shutdowns go to the rig's workers. */
import type { Asker, Call, Command, Reply } from "../../src/api/command.ts";
import { Refusal } from "../../src/base/refusals.ts";
import type { Told } from "../../src/control/ask.ts";
import type { Control } from "../../src/control/control.ts";
import type { ShutdownOutcome } from "../../src/control/workers.ts";
import { answerQuestion } from "../../src/data/ask/answer.ts";
import { shutBySelector } from "../../src/data/shutdown.ts";
import type { ShutdownSelector } from "../../src/tables/mutations.ts";
import { packAnswer, unpackAnswer } from "../../src/tables/questions.ts";
import type { AnswerTo, Question } from "../../src/tables/questions.ts";
import type { Rig } from "../sim/rig.ts";

/** Workers that do not answer, and those that died; tests add to them. */
export class RigPool {
  readonly silent = new Set<number>();
  readonly gone = new Set<number>();
  /** Questions so far. */
  readonly asked: Question[] = [];
  readonly #rig: Rig;

  constructor(rig: Rig) {
    this.#rig = rig;
  }

  serving(): number[] {
    return this.#rig.world.workers.map(({ number }) => number);
  }

  ask<Q extends Question>(worker: number, question: Q): Promise<Told<Q>> {
    this.asked.push(question);
    const found = this.#rig.world.workers[worker - 1];
    if (found === undefined || this.gone.has(worker)) return Promise.resolve({ kind: "gone" });
    if (this.silent.has(worker)) return Promise.resolve({ kind: "silent" });
    const packed = packAnswer(answerQuestion(found.engine, structuredClone(question)));
    const answer = unpackAnswer(structuredClone(packed)) as AnswerTo<Q>;
    return Promise.resolve({ kind: "answer", answer });
  }

  shutdownStreams(selector: ShutdownSelector, cause: string): Promise<ShutdownOutcome> {
    const rig = this.#rig;
    rig.world.hasShutDown = true;
    const silent: number[] = [];
    let count = 0;
    for (const worker of rig.world.workers) {
      const { number } = worker;
      if (selector.kind === "stream" && selector.worker !== number) continue;
      if (this.silent.has(number)) {
        silent.push(number);
        continue;
      }
      rig.world.as(worker, () => {
        const request = { type: "shutdown", id: 1, selector, cause } as const;
        shutBySelector(worker.engine, request, (ended) => void (count += ended));
        return true;
      });
      rig.world.settleStep();
    }
    rig.run();
    return Promise.resolve({ count, silent });
  }
}

/** The parts of Control that the rig has. */
export function rigControl(rig: Rig, pool = new RigPool(rig)): Control {
  const { shop, clock, tables } = rig.world;
  const parts = { pool, model: shop.model, clock, tables, shop };
  return parts as unknown as Control;
}

/** An asker of the highest level. */
export function adminAsker(): Asker {
  return {
    level: "admin",
    isExpert: false,
    isExperimental: false,
    severityOutput: "none",
    timeoutMs: 0,
    prompt: "none",
    anonymKey: 0,
    quits: false,
    peer: "test",
  } as Asker;
}

/** Runs a command as a session does. @returns its whole text, or the refusal's sentence */
export async function runLine(
  control: Control,
  commands: readonly Command[],
  line: string,
  asker = adminAsker(),
  isJson = false,
): Promise<string> {
  const words = line.split(" ").filter((word) => word !== "");
  const command = commands
    .filter(({ name }) => line === name || line.startsWith(`${name} `))
    .sort((a, b) => b.name.length - a.name.length)[0];
  if (command === undefined || !("run" in command)) throw new Error(`no command: ${line}`);
  const args = words.slice(command.name.split(" ").length);
  const { signal: gone } = new AbortController();
  const call = { control, asker, words, args, payload: undefined, isJson, gone } as unknown as Call;
  try {
    return await textOf(await command.run(call), isJson);
  } catch (error) {
    if (error instanceof Refusal) return `${error.code}: ${error.message}`;
    throw error;
  }
}

async function textOf(reply: Reply, isJson: boolean): Promise<string> {
  if (reply.kind !== "pieces") return isJson ? JSON.stringify(reply.data ?? null) : reply.text;
  let text = "";
  for await (const piece of reply.pieces) text += piece;
  return text;
}
