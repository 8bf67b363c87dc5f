/**
 * Entry of a process that asks at a steady rate, whatever the answers take, and tells how long they
 * took. A closed loop would ask less whenever the balancer stalls, and see less of the stall.
 *
 *   bun bench/checks/steady.ts '{"port":…,"rate":1000,"connections":10,"seconds":10}'
 */

/** What is asked for. */
export interface SteadyJob {
  port: number;
  /** Requests a second, over all connections. */
  rate: number;
  connections: number;
  seconds: number;
}

/** What came of it. Times in µs; of a request that an answer held up, from when it was due. */
export interface SteadyResult {
  requests: number;
  p50Us: number;
  p99Us: number;
  maxUs: number;
}

const REQUEST = new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
const END = "hello";

type Asker = {
  socket: Bun.Socket;
  nextMs: number;
  /** Since when an answer is waited for; 0 = it is not. */
  sentMs: number;
  /** The next request was due while an answer was waited for. */
  isHeldUp: boolean;
};

async function openAll(job: SteadyJob, times: number[]): Promise<Asker[]> {
  const askers: Asker[] = [];
  const gapMs = (1000 * job.connections) / job.rate;
  const begin = performance.now() + 20;
  for (let i = 0; i < job.connections; i++) {
    const asker = {
      nextMs: begin + (gapMs * i) / job.connections,
      sentMs: 0,
      isHeldUp: false,
    } as Asker;
    asker.socket = await Bun.connect({
      hostname: "127.0.0.1",
      port: job.port,
      socket: {
        data(_socket, bytes) {
          if (asker.sentMs === 0 || !new TextDecoder().decode(bytes).endsWith(END)) return;
          times.push((performance.now() - asker.sentMs) * 1000);
          asker.sentMs = 0;
        },
        close: () => process.exit(1),
      },
    });
    askers.push(asker);
  }
  return askers;
}

async function run(job: SteadyJob): Promise<SteadyResult> {
  const times: number[] = [];
  const askers = await openAll(job, times);
  const gapMs = (1000 * job.connections) / job.rate;
  const endMs = performance.now() + job.seconds * 1000;
  while (performance.now() < endMs) {
    const now = performance.now();
    for (const asker of askers) {
      if (asker.nextMs > now) continue;
      if (asker.sentMs !== 0) {
        asker.isHeldUp = true;
        continue;
      }
      asker.sentMs = asker.isHeldUp ? asker.nextMs : performance.now();
      asker.isHeldUp = false;
      asker.nextMs += gapMs;
      asker.socket.write(REQUEST, 0, REQUEST.length);
    }
    await Bun.sleep(1);
  }
  const sorted = Float64Array.from(times).sort();
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { requests: times.length, p50Us: at(0.5), p99Us: at(0.99), maxUs: at(1) };
}

if (import.meta.main) {
  const result = await run(JSON.parse(process.argv[2] ?? "{}") as SteadyJob);
  process.stdout.write(`RESULT ${JSON.stringify(result)}\n`);
  process.exit(0);
}
