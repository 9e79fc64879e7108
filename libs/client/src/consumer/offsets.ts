import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type ListOffsetsRequest, Position } from "@tidemark/proto/log/v1";
import { fromErrorDetail } from "@tidemark/rpc";
import { delay } from "@tidemark/runtime";
import type { Connection } from "../connection.ts";
import { groupBy } from "../group-by.ts";
import { bear, type PartitionState } from "./partition-state.ts";
import { untilReplaced } from "./replaced-leader.ts";

/** Where to begin: a named place, an offset, or the first record of a time or later (milliseconds since 1970). */
export type Start = "earliest" | "latest" | { readonly offset: bigint } | { readonly timestampMs: number };

/** Partitions whose offsets are asked for. */
export interface OffsetsQuery {
  readonly topic: string;
  readonly topicId: string;
  readonly partitions: readonly number[];
}

export interface Patience {
  /** How long errors that pass are borne without a success, in milliseconds. */
  readonly retryTimeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** The offsets to begin at, by partition. A time that no record is as late as means: whatever comes. */
export async function startOffsets(
  connection: Connection,
  query: OffsetsQuery,
  from: Start,
  patience: Patience,
): Promise<ReadonlyMap<number, bigint>> {
  if (typeof from === "object" && "offset" in from) {
    return new Map(query.partitions.map((partition) => [partition, from.offset]));
  }
  const offsets = await listOffsets(connection, query, targetOf(from), patience);
  const missing = query.partitions.filter((partition) => !offsets.has(partition));
  if (missing.length === 0) return offsets;
  const ends = await highWatermarks(connection, { ...query, partitions: missing }, patience);
  return new Map([...offsets, ...ends]);
}

/** The first offsets that are not committed, by partition. */
export function highWatermarks(
  connection: Connection,
  query: OffsetsQuery,
  patience: Patience,
): Promise<ReadonlyMap<number, bigint>> {
  return listOffsets(connection, query, { case: "position", value: Position.LATEST }, patience);
}

type Target = ListOffsetsRequest["target"];

function targetOf(from: "earliest" | "latest" | { readonly timestampMs: number }): Target {
  if (from === "earliest") return { case: "position", value: Position.EARLIEST };
  if (from === "latest") return { case: "position", value: Position.LATEST };
  return { case: "timestamp", value: timestampFromMs(from.timestampMs) };
}

/** Asks until every partition has answered; those that answered are not asked again. */
async function listOffsets(
  connection: Connection,
  { topic, topicId, partitions }: OffsetsQuery,
  target: Target,
  { retryTimeoutMs, signal }: Patience,
): Promise<ReadonlyMap<number, bigint>> {
  const { runtime, routes } = connection;
  const found = new Map<number, bigint>();
  const failure: Pick<PartitionState, "failing"> = { failing: undefined };
  let open = partitions;
  while (open.length > 0) {
    const failed: number[] = [];
    let error: unknown;
    for (const [endpoint, asked] of groupBy(open, (partition) => routes.endpointOf(topic, partition))) {
      const fail = (partition: number, cause: unknown) => {
        error = cause;
        failed.push(partition);
        routes.heed({ topic, partition }, endpoint, cause);
      };
      try {
        const request = { topic, topicId, partitions: [...asked], target };
        const question = { topic, partitions: asked, endpoint, waitMs: 0, signal };
        const { offsets } = await untilReplaced(connection, question, (over) =>
          connection.fetchAt(endpoint).listOffsets(request, { signal: over }),
        );
        for (const listed of offsets) {
          if (listed.error !== undefined) fail(listed.partition, fromErrorDetail(listed.error, listed.message));
          else if (listed.offset !== undefined) found.set(listed.partition, listed.offset);
        }
      } catch (cause) {
        signal?.throwIfAborted();
        for (const partition of asked) fail(partition, cause);
      }
    }
    if (failed.length > 0) {
      bear(failure, error, runtime, retryTimeoutMs);
      await delay(runtime.scheduler, (failure.failing?.retryAtMs ?? 0) - runtime.clock.monotonicMs(), signal);
    }
    open = failed;
  }
  return found;
}
