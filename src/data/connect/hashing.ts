/**
 * What deterministic balancing hashes: the client's address (`balance source`) or a sample
 * (`balance hash`). Compiled once a backend.
 */
import { hashKey, hashSource } from "../../balance/hash.ts";
import { HASH_NONE } from "../../balance/lb.ts";
import { compileSample, sampleBytes } from "../../expr/evaluate.ts";
import type { Engine } from "../engine.ts";
import { StreamContext } from "../route/stream-context.ts";
import type { Stream } from "../stream.ts";
import type { ProxyView } from "../views.ts";

/** Room for a client's address in the form that hashSource reads. */
const scratch = new Int32Array(4);

/** A function from a stream to its hash, HASH_NONE where there is nothing to hash. */
export function makeHasher(engine: Engine, backend: ProxyView): (stream: Stream) => number {
  const { balance } = backend.spec;
  const { row } = backend;
  const lb = engine.balance;
  if (balance.algorithm === "source" || balance.sample === undefined) {
    return (stream) => {
      const { client } = stream;
      if (client.family === 0) stream.front?.remoteEndpoint(client);
      const { ip } = client;
      scratch[0] = ip.word0;
      scratch[1] = ip.word1;
      scratch[2] = ip.word2;
      scratch[3] = ip.word3;
      return hashSource(lb, row, scratch, 0, client.family);
    };
  }
  const sample = compileSample(balance.sample);
  return (stream) => {
    const value = sample(StreamContext.of(stream));
    if (value.type === "none") return HASH_NONE;
    const bytes = sampleBytes(value);
    return hashKey(lb, row, bytes, 0, bytes.length);
  };
}
