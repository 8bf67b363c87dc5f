/** What a QUIC server is told of the client when it is dialled: the name to ask for. Cold. */
import type { DialHints } from "../../conduit/conduit.ts";
import { compileSample, sampleBytes } from "../../expr/evaluate.ts";
import type { SampleExpression } from "../../tables/expression.ts";
import { StreamContext } from "../route/stream-context.ts";
import type { Stream } from "../stream.ts";

/** Hints for dialling the QUIC server that the stream is on. */
export function quicHints(stream: Stream): DialHints {
  const front = stream.front!;
  const server = stream.server!;
  const sample = server.spec.quic?.sni;
  if (sample !== undefined) server.sni ??= makeSni(sample);
  const session = front.isSession === true ? front : null;
  if (server.sni !== null) return { sni: server.sni(stream), session };
  // A session is the client's own connection: it asks for what the client asked for.
  return { sni: session?.facts?.()?.sni ?? "", session };
}

/** `sni <sample>` (manual 5.2): from a stream to the name, "" where the sample has no value. */
function makeSni(sample: SampleExpression): (stream: Stream) => string {
  const compiled = compileSample(sample);
  return (stream) => {
    const value = compiled(StreamContext.of(stream));
    return value.type === "none" ? "" : new TextDecoder().decode(sampleBytes(value));
  };
}
