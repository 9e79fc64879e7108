/**
 * Unclean elections as the active controller carries them out (D2): every live replica is asked, then one decision.
 *
 * By themselves they happen where the topic allows them, and only once each eligible member has been away for a full
 * session timeout by this controller's own observation: an early verdict never leads to one. On command they happen at
 * once: whoever commands has looked.
 */
import type { BrokerId } from "@tidemark/ids";
import {
  electUnclean,
  findTopicById,
  type Partition,
  type ReplicaId,
  type UncleanElectionResult,
} from "@tidemark/metadata";
import type { Cancel } from "@tidemark/runtime";
import type { ActiveTerm } from "../commands/role.ts";
import type { ControllerCore } from "../core.ts";
import { askReplicas } from "./ask-replicas.ts";
import type { DescribeReplicas } from "./describe-replicas.ts";
import { allowsUnclean, followLeaderless, hasLiveReplica } from "./leaderless.ts";

export interface UncleanElections {
  /** Elects where a partition still has no leader and no eligible replica. One result for each partition that exists. */
  command(partitions: readonly ReplicaId[], signal?: AbortSignal): Promise<readonly UncleanElectionResult[]>;
  /** Watches for partitions that allow it, while the term lasts. */
  begin(term: ActiveTerm): void;
  end(): void;
}

type Core = Pick<ControllerCore, "settings" | "runtime" | "follower" | "queue" | "role" | "sessions">;

/** How often it looks within one session timeout. */
const looksPerTimeout = 24;

export function createUncleanElections(core: Core, describe: DescribeReplicas): UncleanElections {
  const { settings, runtime, follower, role } = core;
  const leaderless = followLeaderless(follower);
  const pauseMs = Math.max(1, settings.sessionTimeoutMs / looksPerTimeout);
  let cancel: Cancel = () => undefined;

  const elect = async (partitions: readonly ReplicaId[], isCommanded: boolean, signal?: AbortSignal) => {
    const waitMs = settings.uncleanRecoveryWaitMs;
    const positions = await askReplicas(follower.image, partitions, { describe, scheduler: runtime.scheduler, waitMs });
    if (positions.size === 0 && !isCommanded) return [];
    const command = { partitions, positions, commanded: isCommanded, timeMs: runtime.clock.wallMs() };
    const { answer } = await core.queue.submit(
      {
        name: "elect unclean leaders",
        decide: (image, controllerEpoch) => electUnclean(image, command, { controllerEpoch }),
      },
      signal,
    );
    return answer;
  };
  const isGone = (member: BrokerId): boolean => {
    // One that is stopping may lead as soon as it is back.
    if (follower.image.sessions.get(member)?.state === "stopping") return false;
    return core.sessions.absentForMs(member) >= settings.sessionTimeoutMs;
  };
  const isDue = (partition: Partition): boolean => {
    const topic = findTopicById(follower.image, partition.topicId);
    if (partition.regressedFrom !== undefined) return false;
    if (topic === undefined || !allowsUnclean(topic, settings.uncleanElection)) return false;
    if (!hasLiveReplica(follower.image, partition)) return false;
    return partition.elr.every((member) => isGone(member));
  };
  const look = (term: ActiveTerm) => {
    if (role.term !== term) return;
    const due = [...leaderless.partitions].filter(isDue).map(({ topicId, partition }) => ({ topicId, partition }));
    const again = () => schedule(term);
    if (due.length === 0) again();
    else elect(due, false).then(again, again);
  };
  const schedule = (term: ActiveTerm) => {
    // What is asked for by a term that is over must not stop the timer of the one that came after it.
    if (role.term !== term) return;
    cancel();
    cancel = runtime.scheduler.after(pauseMs, () => {
      cancel = runtime.scheduler.afterInput(() => look(term));
    });
  };
  return {
    command: (partitions, signal) => elect(partitions, true, signal),
    begin: schedule,
    end: () => cancel(),
  };
}
