import { Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "@tidemark/rpc";
import { abortWith, type Cancel, createDeferred } from "@tidemark/runtime";
import type { Connection } from "../connection.ts";

/** How long an answer is waited for beyond its time before it is asked who leads, and between two such questions, in ms. */
export const silenceMs = 1000;

/** A question to a leader that changes nothing. */
export interface LeaderQuestion {
  readonly topic: string;
  readonly partitions: readonly number[];
  /** Where it goes. */
  readonly endpoint: string;
  /** How long the leader may take for it, in milliseconds. */
  readonly waitMs: number;
  /** The caller's. */
  readonly signal: AbortSignal | undefined;
}

/**
 * What `work` comes to. A leader that is frozen or cut off says nothing, and its connection looks whole until its
 * keepalive ends, long after the next one was elected. So once an answer is late it is asked who leads, again and again;
 * as soon as another endpoint is known to lead one of the partitions in a newer leader epoch, this one is left with
 * REASON_NOT_LEADER, and `over` is aborted, as it is with the caller's signal. A gateway, or whoever else passes questions
 * on, knows by itself.
 */
export async function untilReplaced<Answer>(
  { routes, topics, runtime: { scheduler } }: Pick<Connection, "routes" | "topics" | "runtime">,
  { topic, partitions, endpoint, waitMs, signal }: LeaderQuestion,
  work: (over: AbortSignal) => Promise<Answer>,
): Promise<Answer> {
  const asked = partitions.flatMap((partition) => {
    const leader = routes.leaderOf(topic, partition);
    return leader?.endpoint === endpoint ? [{ partition, leaderEpoch: leader.leaderEpoch }] : [];
  });
  if (asked.length === 0 && signal !== undefined) return work(signal);
  const over = new AbortController();
  const unbind = signal === undefined ? () => undefined : abortWith(over, signal);
  const gone = createDeferred<never>();
  let isOver = false;
  let stopTimer: Cancel | undefined;

  const arm = (afterMs: number) => {
    stopTimer = scheduler.after(afterMs, () => {
      // An answer that has come in meanwhile is taken first.
      stopTimer = scheduler.afterInput(look);
    });
  };
  const look = () => {
    arm(silenceMs);
    // Who cannot be asked now is asked again.
    if (!leaveReplaced()) topics.ask(topic).then(leaveReplaced, () => undefined);
  };
  const leaveReplaced = (): boolean => {
    const isReplaced = asked.some(({ partition, leaderEpoch }) => {
      const now = routes.leaderOf(topic, partition);
      return now !== undefined && now.leaderEpoch > leaderEpoch && now.endpoint !== endpoint;
    });
    if (isReplaced && !isOver) {
      gone.reject(replaced(endpoint));
      over.abort();
    }
    return isReplaced;
  };

  if (asked.length > 0) arm(waitMs + silenceMs);
  try {
    return await Promise.race([work(over.signal), gone.promise]);
  } finally {
    isOver = true;
    stopTimer?.();
    unbind();
  }
}

function replaced(endpoint: string): TidemarkError {
  return new TidemarkError({
    reason: Reason.NOT_LEADER,
    message: `${endpoint} did not answer before another broker took its place`,
  });
}
