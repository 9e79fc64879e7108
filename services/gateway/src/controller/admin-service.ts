import type { TopicId } from "@tidemark/ids";
import { findTopicById, type MetadataImage } from "@tidemark/metadata";
import { AdminService } from "@tidemark/proto/admin/v1";
import { MetadataService } from "@tidemark/proto/admin/v1/metadata";
import type { CallContext, ServiceImpl } from "@tidemark/rpc";
import type { RouteTable } from "../routing/route-table.ts";
import { type PassThroughOptions, passThrough } from "./pass-through.ts";

type Options = Pick<PassThroughOptions<never>, "controller" | "runtime">;

/**
 * How long an answer waits for this gateway's own metadata, in milliseconds: longer than the longest pause before the
 * stream of them is opened again.
 */
const catchUpMs = 3000;

/**
 * The controller's AdminService. A topic that was made, enlarged or deleted through this gateway is known to it when the
 * answer goes out, so the caller's next request finds what the last one made. DeleteRecords goes to the leaders.
 */
export function createAdminService(
  options: Options,
  table: RouteTable,
  deleteRecords: ServiceImpl<typeof AdminService>["deleteRecords"],
): ServiceImpl<typeof AdminService> {
  const passed = passThrough(AdminService, {
    ...options,
    reads: ["describeTopics", "listTopics", "describeCluster", "listBrokers", "describeElections", "describeReceipts"],
  });
  const caughtUp = async <Answer>(
    answer: Answer,
    call: CallContext,
    holds: (image: MetadataImage, answer: Answer) => boolean,
  ): Promise<Answer> => {
    await waitUntil(table, options.runtime, { signal: call.signal, holds: (image) => holds(image, answer) });
    return answer;
  };
  const hasPartitions = (image: MetadataImage, topic: { topicId: string; partitions: unknown[] } | undefined) =>
    topic === undefined || (findTopicById(image, topic.topicId as TopicId)?.partitions ?? 0) >= topic.partitions.length;

  return {
    ...passed,
    deleteRecords,
    async createTopic(request, call) {
      const answer = await passed.createTopic(request, call);
      // What was only checked never comes to be known.
      if (request.validateOnly) return answer;
      return caughtUp(answer, call, (image, { topic }) => hasPartitions(image, topic));
    },
    addPartitions: async (request, call) =>
      caughtUp(await passed.addPartitions(request, call), call, (image, { topic }) => hasPartitions(image, topic)),
    deleteTopic: async (request, call) =>
      caughtUp(
        await passed.deleteTopic(request, call),
        call,
        (image, { topicId }) => findTopicById(image, topicId as TopicId) === undefined,
      ),
  };
}

/** The controller's MetadataService. */
export function createMetadataService(options: Options): ServiceImpl<typeof MetadataService> {
  return passThrough(MetadataService, { ...options, reads: ["get", "list", "describeQuorum"] });
}

/** Resolves when the metadata are as wanted, after `catchUpMs`, or when the caller leaves: whichever is first. */
function waitUntil(
  table: RouteTable,
  { scheduler }: Options["runtime"],
  { signal, holds }: { readonly signal: AbortSignal; readonly holds: (image: MetadataImage) => boolean },
): Promise<void> {
  return new Promise((resolve) => {
    if (holds(table.image) || signal.aborted) {
      resolve();
      return;
    }
    const finish = () => {
      cancel();
      unwatch();
      signal.removeEventListener("abort", finish);
      resolve();
    };
    const cancel = scheduler.after(catchUpMs, finish);
    const unwatch = table.onChange(() => {
      if (holds(table.image)) finish();
    });
    signal.addEventListener("abort", finish, { once: true });
  });
}
