import type { NodeId, RaftStatus } from "@tidemark/raft";
import type { Clock } from "@tidemark/runtime";
import type { NodeEventSink } from "./events.ts";
import type { Durations } from "./timing.ts";

/** How often it is said again, in milliseconds. */
const repeatMs = 5_000;

/** Says every few seconds that there is no leader, and which voters are silent. */
export interface QuorumWatch {
  noteHeard(peer: NodeId): void;
  tick(status: RaftStatus): void;
}

export function createQuorumWatch(options: {
  readonly clock: Clock;
  readonly durations: Durations;
  readonly onEvent: NodeEventSink;
}): QuorumWatch {
  const { clock, durations, onEvent } = options;
  const heardMs = new Map<NodeId, number>();
  const patienceMs = 4 * durations.electionTimeoutMs;
  let leaderSeenMs = clock.monotonicMs();
  let saidMs = Number.NEGATIVE_INFINITY;

  const silentIn = ({ id, membership }: RaftStatus, now: number) =>
    membership.voters
      .map((voter) => voter.id)
      .filter((voter) => voter !== id && now - (heardMs.get(voter) ?? Number.NEGATIVE_INFINITY) > patienceMs);

  return {
    noteHeard: (peer) => heardMs.set(peer, clock.monotonicMs()),
    tick(status) {
      const now = clock.monotonicMs();
      if (status.leader !== undefined) leaderSeenMs = now;
      if (now - leaderSeenMs < patienceMs || now - saidMs < repeatMs) return;
      saidMs = now;
      onEvent({ kind: "noQuorum", ms: now - leaderSeenMs, silent: silentIn(status, now) });
    },
  };
}
