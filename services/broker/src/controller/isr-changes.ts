/**
 * AlterPartition, for all partitions that this broker leads: what is proposed in one moment travels in one request.
 *
 * An attempt reaches the controller at most once: nothing is repeated here, the partition itself proposes again when its
 * pause is over (R6). What an error leaves open is told as UNKNOWN; what certainly never arrived as NOT_CONTROLLER, which
 * settles nothing either.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ActiveController } from "@tidemark/controller-link";
import type { BrokerEpoch, BrokerId, ControllerEpoch } from "@tidemark/ids";
import type { ReplicaId } from "@tidemark/log";
import { readPartition } from "@tidemark/metadata";
import {
  type AlterPartitionItemSchema,
  type AlterPartitionResponse,
  type AlterPartitionResult,
  ClusterService,
} from "@tidemark/proto/cluster/v1";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import type { AlterPartition, AlterPartitionAnswer } from "@tidemark/replication";
import { createRpcClient, TidemarkError } from "@tidemark/rpc";
import type { Scheduler } from "@tidemark/runtime";
import { partitionStateOf } from "../table/partition-state-of.ts";

export interface IsrChanges {
  /** Sends a proposal. `answered` is called once. */
  propose(replica: ReplicaId, request: AlterPartition, answered: (answer: AlterPartitionAnswer) => void): void;
}

export interface IsrChangesOptions {
  readonly controller: ActiveController;
  readonly scheduler: Scheduler;
  readonly brokerId: BrokerId;
  /** Undefined before the first registration. */
  readonly brokerEpoch: () => BrokerEpoch | undefined;
  /** An answer came from the active controller. */
  readonly onHeard: () => void;
}

interface Proposal {
  readonly replica: ReplicaId;
  readonly request: AlterPartition;
  readonly answered: (answer: AlterPartitionAnswer) => void;
}

/** How long an answer is waited for, in milliseconds; then the outcome is unknown. */
const answerTimeoutMs = 5000;
/** Proposals of one request. */
const proposalsMax = 1000;

export function createIsrChanges(options: IsrChangesOptions): IsrChanges {
  let waiting: Proposal[] = [];

  const sendAll = () => {
    const all = waiting;
    waiting = [];
    for (let from = 0; from < all.length; from += proposalsMax) {
      const some = all.slice(from, from + proposalsMax);
      const { endpoint } = options.controller;
      call(options, some).then(
        (response) => {
          settle(some, response);
        },
        (error: unknown) => {
          if (error instanceof TidemarkError) options.controller.learnFrom(error, endpoint);
          settleFailed(some, error);
        },
      );
    }
  };

  return {
    propose(replica, request, answered) {
      if (waiting.length === 0) options.scheduler.afterInput(sendAll);
      waiting.push({ replica, request, answered });
    },
  };
}

async function call(
  { controller, brokerId, brokerEpoch, onHeard }: IsrChangesOptions,
  proposals: readonly Proposal[],
): Promise<AlterPartitionResponse> {
  const client = createRpcClient(ClusterService, controller.channel("control"));
  const response = await client.alterPartition(
    { brokerId, brokerEpoch: brokerEpoch() ?? 0, partitions: proposals.map(itemOf) },
    { timeoutMs: answerTimeoutMs, signal: controller.givenUp },
  );
  onHeard();
  return response;
}

function itemOf({ replica, request }: Proposal): MessageInitShape<typeof AlterPartitionItemSchema> {
  const { leaderEpoch, partitionEpoch, isr, recovering } = request.proposal;
  return {
    topicId: replica.topicId,
    partition: replica.partition,
    leaderEpoch,
    partitionEpoch,
    // No broker epoch is 0: such a member can stay in the ISR, and never enter it (R10).
    isr: isr.map((member) => ({ brokerId: member.replica, brokerEpoch: member.brokerEpoch ?? 0 })),
    recovered: !recovering,
  };
}

/** Of two attempts for one partition the first has the first result. */
function settle(proposals: readonly Proposal[], { controllerEpoch, results }: AlterPartitionResponse): void {
  const left = [...results];
  for (const { replica, request, answered } of proposals) {
    const at = left.findIndex((each) => each.topicId === replica.topicId && each.partition === replica.partition);
    const [result] = at === -1 ? [] : left.splice(at, 1);
    answered(
      result === undefined ? { kind: "UNKNOWN" } : answerOf(result, request, controllerEpoch as ControllerEpoch),
    );
  }
}

/** What a result settles is decided by its reason alone: an unknown one settles nothing. */
function answerOf(
  { state, error }: AlterPartitionResult,
  { proposal }: AlterPartition,
  controllerEpoch: ControllerEpoch,
): AlterPartitionAnswer {
  if (state !== undefined) {
    try {
      return { kind: "applied", controllerEpoch, state: partitionStateOf(readPartition(state)) };
    } catch {
      return { kind: "UNKNOWN" };
    }
  }
  switch (error?.reason) {
    case Reason.INELIGIBLE_REPLICA:
      return { kind: "INELIGIBLE_REPLICA", controllerEpoch, replicas: proposal.isr.map((member) => member.replica) };
    case Reason.NOT_ATTEMPTED:
      return { kind: "NOT_ATTEMPTED", controllerEpoch };
    case Reason.INVALID_PARTITION_EPOCH:
      return { kind: "PARTITION_EPOCH_MISMATCH", controllerEpoch };
    case Reason.FENCED_LEADER_EPOCH:
    case Reason.UNKNOWN_LEADER_EPOCH:
    case Reason.NOT_LEADER:
      return { kind: "LEADER_EPOCH_MISMATCH", controllerEpoch };
    default:
      return { kind: "UNKNOWN" };
  }
}

function settleFailed(proposals: readonly Proposal[], error: unknown): void {
  const neverArrived = error instanceof TidemarkError && error.outcome === Outcome.NOT_APPLIED;
  for (const { answered } of proposals) answered({ kind: neverArrived ? "NOT_CONTROLLER" : "UNKNOWN" });
}
