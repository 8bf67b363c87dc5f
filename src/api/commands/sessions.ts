/**
 * Streams, which HAProxy used to call sessions: `show sess` and the commands that end them. Only
 * their owners know and end them: whoever is silent for too long is named in the answer.
 */
import { Refusal } from "../../base/refusals.ts";
import { parseTime } from "../../config/numbers.ts";
import type { Control } from "../../control/control.ts";
import { parseStreamId } from "../../control/stream-id.ts";
import type { StreamName } from "../../control/stream-id.ts";
import { findStream, listStreams } from "../../control/streams.ts";
import type { ShutdownSelector } from "../../tables/mutations.ts";
import type { StreamFilter } from "../../tables/questions.ts";
import { message, output } from "../command.ts";
import type { Call, Command, PlainCommand, Reply } from "../command.ts";
import { backendOf, frontendOf, serverOf, splitPath, wanted } from "../find.ts";
import { streamJson, streamLine, streamLines } from "../stream-lines.ts";
import type { StreamShow } from "../stream-lines.ts";

const SHOW_USAGE = [
  "Usage: show sess [<id> | all | help] [<options>*]",
  "Lists the streams that are alive, one line each. What to list:",
  "   <id>         this stream only (0x...), on several lines",
  "   all          all streams, on several lines each",
  "   help         this message",
  "Options:",
  "   susp         those that something seems to be wrong with",
  "   show-uri     accepted; there are no URIs at layer 4",
  "   older <age>  those that are at least this old, in seconds unless a unit is given",
  "   server <b/s> those on this server",
  "   backend <b>  those of this backend",
  "   frontend <f> those that came to this frontend",
].join("\n");

/** What `show sess` is asked for. */
type Wish = {
  /** Undefined: all that match. */
  id?: StreamName | "unknown";
  isFull: boolean;
  filter: StreamFilter;
};

/** Reads the words of `show sess`; undefined = `help`. @throws Refusal */
function readWish(call: Call): Wish | undefined {
  const words = [...call.args];
  const [first = ""] = words;
  if (first === "help") return undefined;
  const id = parseStreamId(first);
  const isFull = first === "all" || id !== undefined;
  if (isFull) words.shift();
  const filter: StreamFilter = {};
  let owner = "";
  while (words.length > 0) {
    const word = words.shift()!;
    if (word === "show-uri") continue;
    if (word === "susp") filter.isSuspicious = true;
    else if (word === "older") filter.olderThanMs = ageOf(words.shift());
    else if (word === "server" || word === "backend" || word === "frontend") {
      if (owner !== "") {
        throw refuse("Only one of backend, frontend or server may be set.");
      }
      owner = word;
      setOwner(call.control, filter, word, words.shift());
    } else {
      throw refuse(`Unsupported option '${word}', try 'help' for more info.`);
    }
  }
  return { isFull, filter, ...(id === undefined ? {} : { id }) };
}

const refuse = (sentence: string): Refusal => new Refusal("BAD_ARGUMENT", sentence);

function ageOf(word: string | undefined): number {
  const text = wanted(word, "Expects a minimum age (in seconds by default).");
  const age = parseTime(text, "s");
  if (!age.ok) throw refuse("Invalid age.");
  return age.value * 1000;
}

function setOwner(
  { model }: Control,
  filter: StreamFilter,
  kind: "server" | "backend" | "frontend",
  word: string | undefined,
): void {
  if (kind === "server") {
    const path = wanted(word, "Missing server name (<backend>/<server>).");
    filter.serverRow = serverOf(model, path).row;
  } else if (kind === "backend") {
    filter.backendRow = backendOf(model, wanted(word, "Missing backend name.")).row;
  } else {
    filter.frontendRow = frontendOf(model, wanted(word, "Missing frontend name.")).row;
  }
}

const silence = (worker: number): string =>
  `Worker ${worker} did not answer in time: its streams are not listed.`;

const showSess: PlainCommand = {
  name: "show sess",
  usage: "[<id> | all | help] [<options>*]",
  summary: "list the streams, in short or in full",
  level: "operator",
  run(call) {
    const wish = readWish(call);
    if (wish === undefined) return message("info", SHOW_USAGE);
    const { control, asker } = call;
    const show = { model: control.model, asker };
    if (wish.id !== undefined) return showOne(control, show, wish.id);
    const made = call.isJson ? jsonPieces(control, show, wish) : textPieces(control, show, wish);
    return { kind: "pieces", pieces: made, isJson: call.isJson };
  },
};

async function showOne(
  control: Control,
  show: StreamShow,
  id: StreamName | "unknown",
): Promise<Reply> {
  const stream = id === "unknown" ? undefined : await findStream(control, id);
  if (stream === "silent") {
    const { worker } = id as StreamName;
    throw new Refusal("TIMEOUT", `Worker ${worker} did not answer in time.`);
  }
  if (stream === undefined) throw new Refusal("NO_SESSION", "Session not found.");
  return output(streamLines(show, stream), streamJson(show, stream));
}

async function* textPieces(
  control: Control,
  show: StreamShow,
  { filter, isFull }: Wish,
): AsyncGenerator<string> {
  const hasDoubt = filter.isSuspicious === true;
  for await (const page of listStreams(control, filter, isFull)) {
    if (page.kind === "silent") {
      yield `# ${silence(page.worker)}\n`;
      continue;
    }
    let text = "";
    for (const stream of page.streams) {
      text += isFull ? streamLines(show, stream) : streamLine(show, stream, hasDoubt);
    }
    yield text;
  }
}

/** `{"streams":[…],"silentWorkers":[…]}`, page by page. */
async function* jsonPieces(
  control: Control,
  show: StreamShow,
  { filter }: Wish,
): AsyncGenerator<string> {
  const silent: number[] = [];
  let lead = '{"streams":[';
  for await (const page of listStreams(control, filter, true)) {
    if (page.kind === "silent") {
      silent.push(page.worker);
      continue;
    }
    const all = page.streams.map((stream) => JSON.stringify(streamJson(show, stream)));
    yield `${lead}${all.join(",")}`;
    lead = ",";
  }
  yield `${lead === "," ? "" : lead}],"silentWorkers":${JSON.stringify(silent)}}`;
}

/** Ends streams and tells how many; a worker that is silent is named, whatever the others did. */
async function end(control: Control, selector: ShutdownSelector): Promise<Reply> {
  const { count, silent } = await control.pool.shutdownStreams(selector, "killed");
  if (silent.length > 0) {
    const who = silent.length === 1 ? `Worker ${silent[0]}` : `Workers ${silent.join(", ")}`;
    throw new Refusal(
      "TIMEOUT",
      `${who} did not answer in time: ${count} streams of the others were shut down.`,
    );
  }
  // HAProxy says nothing when all is well; programs are told the number.
  return output("", { ended: count });
}

const shutdownSession: PlainCommand = {
  name: "shutdown session",
  usage: "<id>",
  summary: "end one stream, as named by 'show sess'",
  level: "admin",
  async run({ control, args }) {
    const id = parseStreamId(args[0] ?? "");
    if (id === undefined) throw refuse("Session pointer expected (use 'show sess').");
    const missing = (): Refusal => new Refusal("NO_SESSION", "No such session (use 'show sess').");
    if (id === "unknown") throw missing();
    const { count, silent } = await control.pool.shutdownStreams(
      { kind: "stream", ...id },
      "killed",
    );
    if (silent.length > 0) {
      throw new Refusal("TIMEOUT", `Worker ${id.worker} did not answer in time.`);
    }
    if (count === 0) throw missing();
    return output("", { ended: count });
  },
};

const shutdownSessionsServer: PlainCommand = {
  name: "shutdown sessions server",
  usage: "<backend>/<server>",
  summary: "end all streams of a server",
  level: "admin",
  run({ control, args }) {
    const path = wanted(args[0], "Require 'backend/server'.");
    if (!path.startsWith("@guid:")) splitPath(path);
    return end(control, { kind: "server", row: serverOf(control.model, path).row });
  },
};

const shutdownSessionsBackend: PlainCommand = {
  name: "shutdown sessions backend",
  usage: "<backend>",
  summary: "end all streams of a backend, those that wait for a server too",
  level: "admin",
  run({ control, args }) {
    const name = wanted(args[0], "A backend name is expected.");
    return end(control, { kind: "backend", row: backendOf(control.model, name).row });
  },
};

/** Commands about streams. */
export const SESSION_COMMANDS: readonly Command[] = [
  showSess,
  shutdownSession,
  shutdownSessionsServer,
  shutdownSessionsBackend,
];
