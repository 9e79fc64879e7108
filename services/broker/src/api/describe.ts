import { create } from "@bufbuild/protobuf";
import type { BrokerId, Offset } from "@tidemark/ids";
import {
  type DescribeLogRequest,
  type DescribeLogResponse,
  DescribeLogResponseSchema,
  type ExplainOffsetRequest,
  type ExplainOffsetResponse,
  ExplainOffsetResponseSchema,
  type LogDescription,
  LogDescriptionSchema,
  OffsetState,
} from "@tidemark/proto/log/v1";
import { explainOffset, type OffsetExplanation, type PartitionView } from "@tidemark/replication";
import { TidemarkError, toErrorDetail } from "@tidemark/rpc";
import type { Partition } from "../partition/partition.ts";
import type { PartitionLookup } from "../table/partition-table.ts";
import { checkNamed } from "./named-partitions.ts";

/** How the logs of a topic stand here, on whichever broker is asked: led here or followed. */
export function createDescribeLog(table: PartitionLookup, brokerId: BrokerId) {
  return (request: DescribeLogRequest): DescribeLogResponse => {
    const { topic, topicId } = request;
    checkNamed(request.partitions);
    table.partitionCount(topic);
    const asked = request.partitions.length > 0 ? request.partitions : table.heldOf(topic);
    const logs = asked.map((partition) => {
      try {
        return describe(table.findHeld({ topic, topicId, partition }), brokerId);
      } catch (error) {
        if (!(error instanceof TidemarkError) || asked.length === 1) throw error;
        return create(LogDescriptionSchema, { partition, error: toErrorDetail(error), message: error.message });
      }
    });
    return create(DescribeLogResponseSchema, { logs });
  };
}

function describe(partition: Partition, broker: BrokerId): LogDescription {
  const { log } = partition;
  return create(LogDescriptionSchema, {
    partition: partition.index,
    broker,
    logStart: log.logStartOffset,
    highWatermark: partition.highWatermark,
    logEnd: log.logEndOffset,
    flushed: log.flushedOffset,
    sizeBytes: BigInt(log.sizeInBytes),
    segments: log.segmentCount,
    leaderEpoch: partition.leaderEpoch,
    leads: partition.isLed,
    directoryId: partition.directoryId,
  });
}

/** Why an offset is, or is not, committed: what the leader waits for. */
export function createExplainOffset(table: PartitionLookup) {
  return (request: ExplainOffsetRequest): ExplainOffsetResponse => {
    const partition = table.find({ topic: request.topic, topicId: "", partition: request.partition });
    const view = partition.view();
    const replicas = view.leadership?.replicas ?? [];
    return create(ExplainOffsetResponseSchema, {
      ...explain(view, explainOffset(view, request.offset as Offset)),
      highWatermark: view.highWatermark,
      logEnd: view.logEnd,
      logStart: view.logStart,
      replicas: replicas.map(({ replica, flushed, lagMs, inIsr }) => ({
        broker: replica,
        inSync: inIsr,
        lagMs: BigInt(Math.max(0, Math.round(lagMs))),
        ...(flushed === undefined ? {} : { flushed }),
      })),
      minIsr: view.state?.minIsr ?? 1,
      leaderEpoch: partition.leaderEpoch,
    });
  };
}

function explain(
  view: PartitionView,
  found: OffsetExplanation,
): { readonly state: OffsetState; readonly explanation: string } {
  switch (found.kind) {
    case "belowLogStart":
      return { state: OffsetState.REMOVED, explanation: `The log begins at ${found.logStart}: it was removed.` };
    case "notWritten":
      return { state: OffsetState.NOT_APPENDED, explanation: `The log ends at ${found.logEnd}: nothing is there yet.` };
    case "committed":
      return {
        state: OffsetState.COMMITTED,
        explanation: "It is below the high watermark: flushed on every in-sync replica.",
      };
    case "notLeader":
      return {
        state: OffsetState.UNSPECIFIED,
        explanation: `Broker ${view.self} does not lead this partition any more: only its leader knows.`,
      };
    case "waiting":
      return { state: OffsetState.UNCOMMITTED, explanation: whyWaiting(view, found) };
  }
}

function whyWaiting(view: PartitionView, waiting: Extract<OffsetExplanation, { kind: "waiting" }>): string {
  const { isr, minIsr, belowMinIsr, unsettled, waitingFor } = waiting;
  const parts: string[] = [];
  if (belowMinIsr) parts.push(`only ${isr.length} replicas are in sync and the min ISR is ${minIsr}`);
  for (const { replica, flushed, lagMs, inIsr } of waitingFor) {
    const who = replica === view.self ? `the leader, broker ${replica},` : `broker ${replica}`;
    const membership = inIsr ? "" : ", whose place among the in-sync replicas is being settled,";
    const how = flushed === undefined ? "has not reported yet" : `has flushed up to ${flushed}`;
    const lag = lagMs > 0 ? ` and has not been caught up for ${Math.round(lagMs)} ms` : "";
    parts.push(`${who}${membership} ${how}${lag}`);
  }
  if (unsettled) parts.push("the new leader does not know yet what its predecessor had committed");
  return `It is appended and not committed: ${parts.length === 0 ? "it is about to be" : parts.join("; ")}.`;
}
