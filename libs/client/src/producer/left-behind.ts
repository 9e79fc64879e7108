/**
 * Batches without an answer, and what becomes of them when another leads their partition. A leader that is frozen or cut off
 * says nothing, and its connection looks whole until its keepalive ends, long after the next one was elected. So once a
 * batch waits for `silenceMs` it is asked who leads, again and again while it waits. As soon as another endpoint is known to
 * lead in a newer leader epoch, nobody waits for the former one: its batches of that partition end as unknown, all
 * together, and whoever sent them sends them to the next leader. A batch without a producer id may then stand twice, as
 * after any lost answer; one with an id does not (R11).
 */
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "@tidemark/rpc";
import type { Cancel, Runtime } from "@tidemark/runtime";
import type { KnownLeader } from "../routes.ts";

/** How long an answer is waited for before it is asked who leads, and between two such questions, in milliseconds. */
export const silenceMs = 1000;

/** A partition by its name. */
interface PartitionName {
  readonly topic: string;
  readonly partition: number;
}

export interface LeftBehindOptions {
  readonly runtime: Pick<Runtime, "clock" | "scheduler">;
  /** Who leads, as far as it is known; undefined where requests go by the bootstrap endpoint, which knows by itself. */
  readonly leaderOf: (topic: string, partition: number) => KnownLeader | undefined;
  /** Asks who leads the partitions of a topic: `leaderOf` knows it when this resolves. */
  readonly ask: (topic: string) => Promise<unknown>;
}

/** The batches of one producer that wait for their answers. */
export interface LeftBehind {
  /** The answer of a batch that went to `endpoint`, or REASON_NOT_LEADER with outcome unknown once that one is left. */
  heard<Answer>(place: PartitionName, endpoint: string, answer: Promise<Answer>): Promise<Answer>;
}

interface Waiting extends PartitionName {
  readonly sentMs: number;
  /** The leader that it went to. */
  readonly leader: KnownLeader;
  readonly leave: (error: TidemarkError) => void;
}

export function createLeftBehind({ runtime, leaderOf, ask }: LeftBehindOptions): LeftBehind {
  const { clock, scheduler } = runtime;
  const all = new Set<Waiting>();
  let stopTimer: Cancel | undefined;

  const arm = () => {
    stopTimer ??= scheduler.after(silenceMs, () => scheduler.afterInput(look));
  };

  const look = () => {
    stopTimer = undefined;
    if (all.size === 0) return;
    arm();
    const untilMs = clock.monotonicMs() - silenceMs;
    const silent = [...all].filter(({ sentMs }) => sentMs <= untilMs);
    leaveReplaced(silent);
    for (const topic of new Set(silent.filter((each) => all.has(each)).map((each) => each.topic))) {
      // Who cannot be asked now is asked again.
      ask(topic).then(
        () => leaveReplaced(silent),
        () => undefined,
      );
    }
  };

  /** What went to the same leader after a silent batch is behind it in the same stream, and goes with it. */
  const leaveReplaced = (silent: readonly Waiting[]) => {
    for (const { topic, partition, leader } of silent.filter((each) => all.has(each) && isReplaced(each))) {
      for (const each of [...all]) {
        if (each.topic !== topic || each.partition !== partition || each.leader.endpoint !== leader.endpoint) continue;
        all.delete(each);
        each.leave(replaced(leader.endpoint));
      }
    }
  };

  const isReplaced = ({ topic, partition, leader }: Waiting): boolean => {
    const now = leaderOf(topic, partition);
    return now !== undefined && now.leaderEpoch > leader.leaderEpoch && now.endpoint !== leader.endpoint;
  };

  return {
    heard({ topic, partition }, endpoint, answer) {
      const leader = leaderOf(topic, partition);
      if (leader?.endpoint !== endpoint) return answer;
      return new Promise((resolve, reject) => {
        const waiting = { topic, partition, leader, sentMs: clock.monotonicMs(), leave: reject };
        all.add(waiting);
        arm();
        answer.then(resolve, reject).finally(() => {
          all.delete(waiting);
          if (all.size > 0) return;
          stopTimer?.();
          stopTimer = undefined;
        });
      });
    },
  };
}

function replaced(endpoint: string): TidemarkError {
  return new TidemarkError({
    reason: Reason.NOT_LEADER,
    message: `${endpoint} did not answer before another broker took its place: whether the batch is stored is not known`,
    outcome: Outcome.UNKNOWN,
  });
}
