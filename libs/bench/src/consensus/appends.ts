import type { Change, Consensus } from "@tidemark/consensus";
import type { ControllerEpoch } from "@tidemark/ids";

/** How appends are made for a while. */
export interface AppendLoad {
  /** Appends that are waited for at once. */
  readonly inFlight: number;
  /** Of each batch. */
  readonly changes: number;
  readonly seconds: number;
}

export interface AppendRates {
  readonly batchesPerSecond: number;
  /** Milliseconds from an append to its commit. */
  readonly p50: number;
  readonly p99: number;
}

/** One change of a batch that is measured. */
export type BenchPut = Change & { readonly kind: "put" };

/** About what a partition's state has, in bytes. */
const valueBytes = 300;

/** The epoch that this candidate leads, when it does. */
export async function leadingEpoch(consensus: Consensus): Promise<ControllerEpoch> {
  for await (const belief of consensus.leadership()) if (belief.kind === "leading") return belief.epoch;
  throw new Error("The candidate was closed before it led");
}

/** Appends for as long as the load says. Throws for one that was not committed. */
export function measureAppends(consensus: Consensus, epoch: ControllerEpoch, load: AppendLoad): Promise<AppendRates> {
  return measureCommits(load, async (changes) => {
    const outcome = await consensus.append(epoch, changes);
    if (outcome.kind !== "committed") throw new Error(`Not committed: ${outcome.message}`);
  });
}

/** Commits batches for as long as the load says. */
export async function measureCommits(
  load: AppendLoad,
  commit: (changes: readonly BenchPut[]) => Promise<unknown>,
): Promise<AppendRates> {
  const value = new Uint8Array(valueBytes).fill(120);
  const changes = Array.from(
    { length: load.changes },
    (_, n): BenchPut => ({
      kind: "put",
      key: `/bench/${n}`,
      value,
    }),
  );
  const latencies: number[] = [];
  const start = performance.now();
  const until = start + load.seconds * 1000;
  const appendOn = async () => {
    while (performance.now() < until) {
      const from = performance.now();
      await commit(changes);
      latencies.push(performance.now() - from);
    }
  };
  await Promise.all(Array.from({ length: load.inFlight }, appendOn));
  const seconds = (performance.now() - start) / 1000;
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.floor((latencies.length - 1) * share)] ?? Number.NaN;
  return { batchesPerSecond: latencies.length / seconds, p50: at(0.5), p99: at(0.99) };
}
