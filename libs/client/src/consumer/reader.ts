import { abortWith, createDeferred } from "@tidemark/runtime";
import type { Connection } from "../connection.ts";
import { groupBy } from "../group-by.ts";
import type { ConsumedBatch, FetchedBatch, Fetcher } from "./fetcher.ts";
import { isAtEnd, type PartitionState } from "./partition-state.ts";

/** What one reading goes by. */
export interface Reading {
  readonly fetcher: Fetcher;
  readonly states: readonly PartitionState[];
  readonly signal: AbortSignal;
  readonly isPaused: (partition: number) => boolean;
  /** Calls `wake` when a pause or a position changed, until cancelled. */
  readonly onChange: (wake: () => void) => () => void;
}

/** Batches of one endpoint, in their order. */
interface Answer {
  readonly endpoint: string;
  readonly batches: FetchedBatch[];
  /** Whether the reader has had some of it. */
  isOpened: boolean;
}

/**
 * Fetches from every endpoint that leads some of the partitions. Of each there is at most one answer that is being read
 * and one that is on its way or waits: that bounds the memory, and the reader seldom waits. What came of a partition that
 * is paused waits too; its endpoint is asked for the others once they have been read.
 */
export async function* readBatches(
  connection: Connection,
  topic: string,
  reading: Reading,
): AsyncGenerator<ConsumedBatch, void, undefined> {
  // Whoever leaves early ends what is on its way.
  const left = new AbortController();
  const unbind = abortWith(left, reading.signal);
  const { signal } = left;
  const { isPaused } = reading;
  let { states } = reading;
  const { clock, scheduler } = connection.runtime;
  const answers: Answer[] = [];
  const running = new Set<string>();
  // A partition whose route changes while it is fetched is not fetched twice.
  const fetching = new Set<PartitionState>();
  let failure: { readonly error: unknown } | undefined;
  let wake: () => void = () => undefined;

  const run = async (endpoint: string, group: readonly PartitionState[]): Promise<void> => {
    try {
      const batches = await reading.fetcher.fetch(endpoint, group, signal);
      if (batches.length > 0) answers.push({ endpoint, batches: [...batches], isOpened: false });
    } catch (error) {
      failure ??= { error };
    }
    running.delete(endpoint);
    for (const state of group) fetching.delete(state);
    wake();
  };

  /** Takes the next batch that the reader may have. What was fetched before a jump is dropped on the way. */
  const nextBatch = (): FetchedBatch | undefined => {
    for (const answer of [...answers]) {
      const { batches } = answer;
      for (const each of [...batches]) if (each.state.jumps !== each.jumps) batches.splice(batches.indexOf(each), 1);
      const next = batches.find(({ state }) => !isPaused(state.partition));
      if (next !== undefined) {
        batches.splice(batches.indexOf(next), 1);
        answer.isOpened = true;
      }
      if (batches.length === 0) answers.splice(answers.indexOf(answer), 1);
      if (next !== undefined) return next;
    }
    return undefined;
  };

  const isWanted = (state: PartitionState) => !isAtEnd(state) && !isPaused(state.partition);
  const isReady = (state: PartitionState): boolean =>
    isWanted(state) && !fetching.has(state) && (state.failing?.retryAtMs ?? 0) <= clock.monotonicMs();
  const isUnread = ({ isOpened, batches }: Answer) =>
    !isOpened && batches.some(({ state }) => !isPaused(state.partition));
  const isOccupied = (endpoint: string) =>
    running.has(endpoint) || answers.some((answer) => answer.endpoint === endpoint && isUnread(answer));

  const startFetches = () => {
    // Leaders move: what is known of them is kept fresh on the way.
    connection.topics.known(topic);
    const ready = states.filter(isReady);
    for (const [endpoint, group] of groupBy(ready, ({ partition }) => connection.routes.endpointOf(topic, partition))) {
      if (isOccupied(endpoint)) continue;
      for (const state of group) fetching.add(state);
      running.add(endpoint);
      run(endpoint, group).catch(reportDefect);
    }
    // Who was asked for first is asked for last next time, so that a full answer starves nobody.
    states = [...states.slice(1), ...states.slice(0, 1)];
  };

  /** Until something came, changed, or may be tried again. */
  const wait = async (): Promise<void> => {
    const woken = createDeferred();
    wake = () => woken.resolve();
    const waits = states
      .filter((state) => isWanted(state) && !fetching.has(state))
      .map(({ failing }) => (failing?.retryAtMs ?? 0) - clock.monotonicMs())
      .filter((waitMs) => waitMs > 0);
    const cancel = waits.length === 0 ? undefined : scheduler.after(Math.min(...waits), wake);
    const unwatch = reading.onChange(wake);
    signal.addEventListener("abort", wake, { once: true });
    await woken.promise;
    signal.removeEventListener("abort", wake);
    unwatch();
    cancel?.();
    wake = () => undefined;
  };

  try {
    while (!signal.aborted) {
      const next = nextBatch();
      startFetches();
      if (next !== undefined) {
        next.state.given = next.batch.nextOffset;
        yield next.batch;
      } else if (failure !== undefined) throw failure.error;
      else if (running.size === 0 && answers.length === 0 && states.every(isAtEnd)) return;
      else await wait();
    }
  } finally {
    unbind();
    left.abort();
    while (running.size > 0) await new Promise<void>((resolve) => (wake = resolve));
  }
}

/** An error that nobody can answer for ends the process. */
function reportDefect(error: unknown): void {
  throw error instanceof Error ? error : new Error("A fetch could not be ended", { cause: error });
}
