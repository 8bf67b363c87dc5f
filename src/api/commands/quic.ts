/**
 * `show quic` (HAProxy management manual 9.3): connections that live, and those that are closing,
 * of clients and to servers, as their workers describe them. Whoever is silent for too long is
 * named in the answer.
 */
import { Refusal } from "../../base/refusals.ts";
import type { Control } from "../../control/control.ts";
import { listQuic, parseQuicId } from "../../control/quic-list.ts";
import type { QuicDetail, QuicFilter, QuicRecord } from "../../tables/questions.ts";
import { message } from "../command.ts";
import type { Call, Command, Reply } from "../command.ts";
import {
  QUIC_HEADER,
  QUIC_SECTIONS,
  quicJson,
  quicLine,
  quicLines,
  quicStreamLines,
} from "../quic-lines.ts";
import type { QuicSection, QuicShow } from "../quic-lines.ts";

const USAGE = [
  "Usage: show quic [help | <format>] [<filter>]",
  "Lists QUIC connections. Formats:",
  "   oneline    a line for each connection; what is shown if nothing else is asked for",
  "   stream     a line for each stream of each connection",
  "   full       everything that is known of each connection",
  `   <parts>    parts of it, with commas between them: ${QUIC_SECTIONS.join(", ")}`,
  "   help       this message",
  "Filters; without one, connections of clients that are not closing are shown:",
  "   clo        connections of clients that are closing",
  "   be         connections to servers that are not closing",
  "   all        all connections",
  "   <id>       this connection only (0x...)",
].join("\n");

/** What is asked for. */
type Wish = {
  form: "line" | "stream" | "full";
  sections: ReadonlySet<QuicSection>;
  filter: QuicFilter;
  /** The only worker to ask; undefined = all, 0 = none has what is looked for. */
  worker: number | undefined;
};

const refuse = (sentence: string): Refusal => new Refusal("BAD_ARGUMENT", sentence);

/** Reads the words; undefined = `help`. @throws Refusal */
function readWish(args: readonly string[]): Wish | undefined {
  const words = [...args];
  const wish: Wish = {
    form: "line",
    sections: new Set(QUIC_SECTIONS),
    filter: { isFront: true, isClosing: false },
    worker: undefined,
  };
  const [first = ""] = words;
  if (first === "help") return undefined;
  if (first !== "" && !isFilter(first)) {
    readFormat(wish, first);
    words.shift();
  }
  const [filter = "", ...more] = words;
  if (more.length > 0) throw refuse("Too many arguments, use 'help' for more info.");
  if (filter !== "") readFilter(wish, filter);
  return wish;
}

const isFilter = (word: string): boolean =>
  word === "all" || word === "clo" || word === "be" || /^0x/iu.test(word);

function readFormat(wish: Wish, word: string): void {
  if (word === "oneline") return;
  wish.form = word === "stream" ? "stream" : "full";
  if (word === "stream" || word === "full") return;
  const sections = new Set<QuicSection>();
  for (const part of word.split(",")) {
    const section = QUIC_SECTIONS.find((known) => known === part);
    if (section === undefined) throw refuse("Invalid field, use 'help' for more options.");
    sections.add(section);
  }
  wish.sections = sections;
}

function readFilter(wish: Wish, word: string): void {
  if (word === "all") wish.filter = {};
  else if (word === "clo") wish.filter = { isFront: true, isClosing: true };
  else if (word === "be") wish.filter = { isFront: false, isClosing: false };
  else {
    const name = parseQuicId(word);
    if (name === undefined) throw refuse("Invalid argument, use 'help' for more options.");
    wish.filter = name === "unknown" ? {} : { connection: name.connection };
    wish.worker = name === "unknown" ? 0 : name.worker;
  }
}

function detailOf({ form, sections }: Wish): QuicDetail {
  if (form === "line") return "line";
  if (form === "stream") return "streams";
  return sections.size > 0 ? "full" : "line";
}

const silence = (worker: number): string =>
  `Worker ${worker} did not answer in time: its connections are not listed.`;

function showQuic(call: Call): Reply {
  const wish = readWish(call.args);
  if (wish === undefined) return message("info", USAGE);
  const { control, asker } = call;
  const show = { model: control.model, asker };
  const made = call.isJson ? jsonPieces(control, show, wish) : textPieces(control, show, wish);
  return { kind: "pieces", pieces: made, isJson: call.isJson };
}

async function* textPieces(control: Control, show: QuicShow, wish: Wish): AsyncGenerator<string> {
  if (wish.form === "line") yield QUIC_HEADER;
  const lines = (record: QuicRecord): string => {
    if (wish.form === "line") return quicLine(show, record);
    return wish.form === "stream"
      ? quicStreamLines(record)
      : quicLines(show, record, wish.sections);
  };
  if (wish.worker === 0) return;
  for await (const page of listQuic(control, wish.filter, detailOf(wish), wish.worker)) {
    if (page.kind === "silent") yield `# ${silence(page.worker)}\n`;
    else yield page.connections.map(lines).join("");
  }
}

/** `{"connections":[…],"silentWorkers":[…]}`, page by page, with everything that is known. */
async function* jsonPieces(
  control: Control,
  show: QuicShow,
  { filter, worker }: Wish,
): AsyncGenerator<string> {
  const silent: number[] = [];
  let lead = '{"connections":[';
  if (worker !== 0) {
    for await (const page of listQuic(control, filter, "full", worker)) {
      if (page.kind === "silent") {
        silent.push(page.worker);
        continue;
      }
      const all = page.connections.map((one) => JSON.stringify(quicJson(show, one)));
      yield `${lead}${all.join(",")}`;
      lead = ",";
    }
  }
  yield `${lead === "," ? "" : lead}],"silentWorkers":${JSON.stringify(silent)}}`;
}

/** Commands about QUIC. */
export const QUIC_COMMANDS: readonly Command[] = [
  {
    name: "show quic",
    usage: "[help | <format>] [<filter>]",
    summary: "list QUIC connections, in short, by streams or in full",
    level: "operator",
    run: showQuic,
  },
];
