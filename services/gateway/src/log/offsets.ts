/** What is asked of the leaders besides records: offsets, how logs stand, why an offset is not committed. */
import { create } from "@bufbuild/protobuf";
import {
  type DescribeLogRequest,
  type DescribeLogResponse,
  DescribeLogResponseSchema,
  type ExplainOffsetRequest,
  type ExplainOffsetResponse,
  ListedOffsetSchema,
  type ListOffsetsRequest,
  type ListOffsetsResponse,
  ListOffsetsResponseSchema,
  LogDescriptionSchema,
} from "@tidemark/proto/log/v1";
import { type CallContext, type CallOptions, type TidemarkError, toErrorDetail } from "@tidemark/rpc";
import { askPatiently, type LeaderGroup, type PartitionAnswer, throwIfOnlyFailed } from "../routing/ask-leaders.ts";
import { callLeader } from "../routing/call-leader.ts";
import type { LogClient } from "../routing/leaders.ts";
import { asCallerSees, type LogContext, passOn, readPauses } from "./context.ts";
import { askedPartitions } from "./partitions.ts";

export function createListOffsets(context: LogContext) {
  return async (request: ListOffsetsRequest, call: CallContext): Promise<ListOffsetsResponse> => {
    const offsets = await askAll(context, request, call, {
      ask: async (client, group, options) =>
        (await client.listOffsets({ ...request, ...namesOf(group) }, options)).offsets,
      failed: (partition, error) => create(ListedOffsetSchema, failure(partition, asCallerSees(error, call))),
    });
    return create(ListOffsetsResponseSchema, { offsets });
  };
}

export function createDescribeLog(context: LogContext) {
  return async (request: DescribeLogRequest, call: CallContext): Promise<DescribeLogResponse> => {
    const logs = await askAll(context, request, call, {
      ask: async (client, group, options) =>
        (await client.describeLog({ ...request, ...namesOf(group) }, options)).logs,
      failed: (partition, error) => create(LogDescriptionSchema, failure(partition, asCallerSees(error, call))),
    });
    return create(DescribeLogResponseSchema, { logs });
  };
}

export function createExplainOffset(context: LogContext) {
  const { table, leaders } = context;
  return (request: ExplainOffsetRequest, call: CallContext): Promise<ExplainOffsetResponse> =>
    callLeader(context, readPauses(context, call), {
      signal: call.signal,
      locate: () => table.partition(table.topic(request.topic, ""), request.partition),
      effect: "read",
      attempt: ({ route }, _, over) =>
        leaders.client(route.endpoint, "fetch").explainOffset(request, { ...passOn(call), signal: over }),
    });
}

interface Question<Item extends PartitionAnswer> {
  readonly ask: (client: LogClient, group: LeaderGroup, options: CallOptions) => Promise<readonly Item[]>;
  readonly failed: (partition: number, error: TidemarkError) => Item;
}

/** One item a partition, in the order in which they were asked for. */
async function askAll<Item extends PartitionAnswer>(
  context: LogContext,
  request: { readonly topic: string; readonly topicId: string; readonly partitions: readonly number[] },
  call: CallContext,
  { ask, failed }: Question<Item>,
): Promise<Item[]> {
  const { table, leaders } = context;
  const partitions = askedPartitions(table, table.topic(request.topic, request.topicId), request.partitions);
  const answers = await askPatiently(
    {
      table,
      runtime: context.runtime,
      partitions,
      failed,
      signal: call.signal,
      ask: (group, _, over) => ask(leaders.client(group.endpoint, "fetch"), group, { ...passOn(call), signal: over }),
    },
    readPauses(context, call),
  );
  throwIfOnlyFailed(answers);
  return partitions.flatMap(({ partition }) => answers.get(partition) ?? []);
}

function namesOf({ partitions }: LeaderGroup): { readonly topicId: string; readonly partitions: number[] } {
  return { topicId: partitions[0]?.topicId ?? "", partitions: partitions.map(({ partition }) => partition) };
}

function failure(partition: number, error: TidemarkError) {
  return { partition, error: toErrorDetail(error), message: error.message };
}
