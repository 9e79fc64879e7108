import { delay } from "@tidemark/runtime";
import type { Connection } from "../connection.ts";
import { groupBy } from "../group-by.ts";
import type { ConsumedBatch, Fetcher } from "./fetcher.ts";
import { isAtEnd, type PartitionState } from "./partition-state.ts";

interface Answer {
  readonly endpoint: string;
  readonly batches: readonly ConsumedBatch[];
}

/**
 * Fetches from every endpoint that leads some of the partitions. Of each there is at most one answer that is being read
 * and one that is on its way or waits: that bounds the memory, and the reader seldom waits.
 */
export async function* readBatches(
  connection: Connection,
  topic: string,
  reading: { readonly fetcher: Fetcher; readonly states: readonly PartitionState[]; readonly signal: AbortSignal },
): AsyncGenerator<ConsumedBatch, void, undefined> {
  // Whoever leaves early ends what is on its way.
  const left = new AbortController();
  const signal = AbortSignal.any([reading.signal, left.signal]);
  let { states } = reading;
  const { clock, scheduler } = connection.runtime;
  const answers: Answer[] = [];
  const running = new Map<string, Promise<void>>();
  // A partition whose route changes while it is fetched is not fetched twice.
  const fetching = new Set<PartitionState>();
  let failure: { readonly error: unknown } | undefined;

  const isReady = (state: PartitionState): boolean =>
    !isAtEnd(state) && !fetching.has(state) && (state.failing?.retryAtMs ?? 0) <= clock.monotonicMs();

  const run = async (endpoint: string, group: readonly PartitionState[]): Promise<void> => {
    try {
      const batches = await reading.fetcher.fetch(endpoint, group, signal);
      if (batches.length > 0) answers.push({ endpoint, batches });
    } catch (error) {
      failure ??= { error };
    }
    running.delete(endpoint);
    for (const state of group) fetching.delete(state);
  };

  const startFetches = () => {
    // Leaders move: what is known of them is kept fresh on the way.
    connection.topics.known(topic);
    const ready = states.filter(isReady);
    for (const [endpoint, group] of groupBy(ready, ({ partition }) => connection.routes.endpointOf(topic, partition))) {
      if (running.has(endpoint) || answers.some((answer) => answer.endpoint === endpoint)) continue;
      for (const state of group) fetching.add(state);
      running.set(endpoint, run(endpoint, group));
    }
    // Who was asked for first is asked for last next time, so that a full answer starves nobody.
    states = [...states.slice(1), ...states.slice(0, 1)];
  };

  try {
    while (!signal.aborted) {
      const answer = answers.shift();
      startFetches();
      if (answer !== undefined) yield* answer.batches;
      else if (failure !== undefined) throw failure.error;
      else if (running.size > 0) await Promise.race(running.values());
      else if (states.every(isAtEnd)) return;
      else await delay(scheduler, untilRetryMs(states, clock.monotonicMs()), signal);
    }
  } finally {
    left.abort();
    await Promise.all(running.values());
  }
}

function untilRetryMs(states: readonly PartitionState[], nowMs: number): number {
  const retries = states.filter((state) => !isAtEnd(state)).map((state) => state.failing?.retryAtMs ?? nowMs);
  return Math.max(0, Math.min(...retries) - nowMs);
}
