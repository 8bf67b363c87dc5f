/**
 * Words of a server whose meaning depends on its address, once that is known: over TCP those about
 * TLS are refused by name or without effect; over QUIC they make its TLS and its pool.
 */
import type { ServerDraft, ServerSettings } from "./draft.ts";
import { KeywordIndex } from "./keywords/keyword.ts";
import { SERVER_KEYWORDS } from "./keywords/server.ts";
import { newServerTls } from "./quic/server-tls.ts";
import type { ServerTls, ServerWord } from "./quic/server-tls.ts";
import type { ServerPlace } from "./server-words.ts";

const INDEX = new KeywordIndex(SERVER_KEYWORDS);

/**
 * Settles them.
 * @returns what they say about QUIC, if it is spoken there; undefined when the server is refused or
 *   skipped, which was reported
 */
export function settleWords(
  place: ServerPlace,
  settings: ServerSettings,
  overQuic: boolean,
): Pick<ServerDraft, "tls"> | undefined {
  if (overQuic) {
    const tls = readTls(place, settings);
    return tls === undefined ? undefined : { tls };
  }
  let keeps = true;
  // A copy of a QUIC server that is reached by TCP would speak in clear without saying so.
  if (settings.quicBase !== undefined && !isUndone(settings)) {
    keeps = refuseLater(place, { name: "ssl", value: "", origin: place.line.origin }, true);
  }
  delete settings.quicBase;
  for (const word of settings.words) {
    const row = INDEX.find([word.name])?.row;
    if (row?.state === "inert") place.line.context.inert(word.origin, `server … ${word.name}`);
    if (row?.state !== "coming") continue;
    if (!refuseLater(place, word, row.wholeLine === true)) keeps = false;
  }
  return keeps ? {} : undefined;
}

function isUndone({ words }: ServerSettings): boolean {
  return words.some(({ name }) => name === "no-ssl");
}

/** Reports a word that is not built yet; false when the server goes with it. */
function refuseLater(place: ServerPlace, word: ServerWord, wholeLine: boolean): boolean {
  const { line } = place;
  const isInherited = word.origin !== line.origin;
  const subject = isInherited ? "'default-server'" : place.subject;
  const key = `${word.origin.file}:${word.origin.line} ${word.name}`;
  if (!isInherited || !line.context.takenOver.has(key)) {
    line.context.takenOver.add(key);
    const what = `${subject} : '${word.name}'`;
    const skipped = wholeLine ? "this server" : "it";
    line.context.coming(word.origin, what, skipped, `'${word.name}' is not built yet.`);
  }
  return !wholeLine && line.context.skipComing;
}

/** What the words say over QUIC; undefined after reporting what is wrong. */
function readTls(place: ServerPlace, settings: ServerSettings): ServerTls | undefined {
  const { context } = place.line;
  const tls = newServerTls(context.global.tls.serverVerify, settings.quicBase);
  for (const word of settings.words) {
    const quic = INDEX.find([word.name])?.row.quic;
    if (quic === undefined) continue;
    if (quic.state === "inert") context.inert(word.origin, `server … ${word.name}`);
    else if (quic.state === "coming" && !refuseLater(place, word, false)) return undefined;
    else if (quic.state === "refused") return alert(place, `'${word.name}' : ${quic.why}`);
    else if (quic.state === "done") {
      const problem = quic.parse(tls, word.value, context);
      if (problem !== undefined) return alert(place, `'${word.name}' : ${problem}`);
    }
  }
  if (!tls.hasSsl) return alert(place, "QUIC cannot do without TLS: add 'ssl'.");
  for (const warning of tls.warnings) {
    context.report.warnAt(place.line.origin, `${place.subject} : ${warning}`);
  }
  return tls;
}

function alert({ line, subject }: ServerPlace, text: string): undefined {
  const { file, line: number } = line.origin;
  line.context.report.add("alert", line.origin, `[${file}:${number}] : ${subject} : ${text}`, text);
  return undefined;
}
