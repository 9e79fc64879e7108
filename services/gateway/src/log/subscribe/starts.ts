import { create } from "@bufbuild/protobuf";
import {
  type FetchPartition,
  type ListedOffset,
  ListedOffsetSchema,
  Position,
  type SubscribeRequest,
} from "@tidemark/proto/log/v1";
import { type CallContext, fromErrorDetail, type TidemarkError, toErrorDetail } from "@tidemark/rpc";
import { askPatiently } from "../../routing/ask-leaders.ts";
import { createPauses } from "../../routing/patience.ts";
import type { RoutedPartition } from "../../routing/route-table.ts";
import { type LogContext, passOn } from "../context.ts";
import { askedPartitions } from "../partitions.ts";
import type { FollowedPartition } from "./followed-partition.ts";

/** How long the beginning of a subscription waits for leaders that are being elected, in milliseconds. */
const patienceMs = 30_000;

/** The partitions of a subscription, each at an offset: a named place is looked up now. Throws where one cannot be. */
export async function beginAt(
  context: LogContext,
  request: SubscribeRequest,
  call: CallContext,
): Promise<readonly FollowedPartition[]> {
  const { table } = context;
  const topic = table.topic(request.topic, request.topicId);
  const asked = new Map(request.partitions.map((each) => [each.partition, each]));
  const partitions = askedPartitions(table, topic, [...asked.keys()]);
  const places = new Map<number, Position>();
  for (const { partition } of partitions) {
    const start = asked.get(partition)?.start;
    if (start?.case !== "offset") places.set(partition, start?.value ?? Position.EARLIEST);
  }
  const offsets = await listOffsets(context, { call, partitions, places });
  return partitions.map((partition) =>
    followedFrom(partition, asked.get(partition.partition), offsets.get(partition.partition)),
  );
}

function followedFrom(
  partition: RoutedPartition,
  asked: FetchPartition | undefined,
  listed: ListedOffset | undefined,
): FollowedPartition {
  if (listed?.error !== undefined) throw fromErrorDetail(listed.error, listed.message);
  return {
    partition,
    offset: asked?.start.case === "offset" ? asked.start.value : (listed?.offset ?? 0n),
    leaderEpoch: asked?.leaderEpoch ?? listed?.leaderEpoch,
    lastReadLeaderEpoch: asked?.lastReadLeaderEpoch,
    isCaughtUp: false,
    failing: undefined,
    following: undefined,
    routedEpoch: undefined,
  };
}

/** By partition. Each place is asked of all leaders at once. */
async function listOffsets(
  context: LogContext,
  {
    call,
    partitions,
    places,
  }: {
    readonly call: CallContext;
    readonly partitions: readonly RoutedPartition[];
    readonly places: ReadonlyMap<number, Position>;
  },
): Promise<ReadonlyMap<number, ListedOffset>> {
  const { table, leaders, runtime } = context;
  const found = new Map<number, ListedOffset>();
  for (const position of new Set(places.values())) {
    const endsAt = runtime.clock.monotonicMs() + patienceMs;
    const remainingMs = () => Math.min(endsAt - runtime.clock.monotonicMs(), call.timeoutMs() ?? patienceMs);
    const answers = await askPatiently(
      {
        table,
        runtime,
        partitions: partitions.filter(({ partition }) => places.get(partition) === position),
        signal: call.signal,
        async ask({ endpoint, partitions: group }, _, over) {
          const [first] = group;
          const { offsets } = await leaders.client(endpoint, "fetch").listOffsets(
            {
              topic: first?.topic ?? "",
              topicId: first?.topicId ?? "",
              partitions: group.map(({ partition }) => partition),
              target: { case: "position", value: position },
            },
            { ...passOn(call), signal: over },
          );
          return offsets;
        },
        failed: (partition: number, error: TidemarkError) =>
          create(ListedOffsetSchema, { partition, error: toErrorDetail(error), message: error.message }),
      },
      createPauses(table, runtime, { signal: call.signal, remainingMs }),
    );
    for (const [partition, listed] of answers) found.set(partition, listed);
  }
  return found;
}
