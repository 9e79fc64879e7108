import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  AdminService,
  DeletedRecordsSchema,
  type DeleteRecordsRequest,
  type DeleteRecordsResponseSchema,
} from "@tidemark/proto/admin/v1";
import { type CallContext, createRpcClient, invalidArgument, toErrorDetail } from "@tidemark/rpc";
import { askPatiently, throwIfOnlyFailed } from "../routing/ask-leaders.ts";
import { asCallerSees, type LogContext, passOn, readPauses } from "./context.ts";
import { askedPartitions } from "./partitions.ts";

/**
 * DeleteRecords over all leaders. What was deleted once is deleted, so a leader that changed meanwhile is no reason to
 * give up: the next one is asked for the same.
 */
export function createDeleteRecords(context: LogContext) {
  const { table, leaders } = context;
  return async (
    request: DeleteRecordsRequest,
    call: CallContext,
  ): Promise<MessageInitShape<typeof DeleteRecordsResponseSchema>> => {
    if (request.partitions.length === 0) {
      throw invalidArgument("partitions is empty: name those of which records are to go");
    }
    const topic = table.topic(request.topic, request.topicId);
    const named = request.partitions.map(({ partition }) => partition);
    const answers = await askPatiently(
      {
        table,
        runtime: context.runtime,
        partitions: askedPartitions(table, topic, named),
        signal: call.signal,
        async ask({ endpoint, partitions }, _, over) {
          const own = partitions.map(({ partition }) => partition);
          const client = createRpcClient(AdminService, leaders.channel(endpoint, "fetch"));
          const wanted = request.partitions.filter(({ partition }) => own.includes(partition));
          const options = { ...passOn(call), signal: over };
          return (await client.deleteRecords({ ...request, topicId: topic.topicId, partitions: wanted }, options))
            .partitions;
        },
        failed(partition, caught) {
          const error = asCallerSees(caught, call);
          return create(DeletedRecordsSchema, { partition, error: toErrorDetail(error), message: error.message });
        },
      },
      readPauses(context, call),
    );
    throwIfOnlyFailed(answers);
    return { partitions: named.flatMap((partition) => answers.get(partition) ?? []) };
  };
}
