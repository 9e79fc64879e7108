import type { BrokerId } from "@tidemark/ids";
import { leaderEpoch, noLeaderEpoch, type Offset, offset } from "@tidemark/ids";
import type { PartitionAnswer, ReplicaRecords } from "@tidemark/proto/replica/v1";
import type { Crc32c } from "@tidemark/record";
import type { FetchSession, ReplicaResponse } from "@tidemark/replication";
import { refusalFromWire } from "../refusals.ts";
import type { ReplicaTrace } from "../replica-exchange.ts";
import type { AnswerPieces } from "./answer-pieces.ts";
import { readRanges } from "./batch-ranges.ts";

/** An answer of a leader, whole. */
export interface ReadAnswer {
  readonly response: ReplicaResponse;
  /** The batches of the response; empty where it has none. */
  readonly bytes: Uint8Array;
  /** Bytes that count against the leader's credit: also those of batches that turned out to be corrupt. */
  readonly cost: number;
  /** The leader's log end. Undefined unless there are records. */
  readonly logEnd: Offset | undefined;
  /** Batches among these that are recorded. */
  readonly traces: readonly ReplicaTrace[];
  /** What is wrong with the batches; the response is a refusal then, and the follower asks again. */
  readonly corruption: string | undefined;
  /** The leader goes on answering the fetch, from here. Undefined: the fetch is over. */
  readonly goesOnFrom: Offset | undefined;
}

const nothing = new Uint8Array(0);
const noTraces: readonly ReplicaTrace[] = [];

/**
 * Reads one answer, or one piece: undefined while more of it is to come. Throws a RangeError for what no leader sends:
 * the stream cannot go on.
 */
export function readAnswer(
  wire: PartitionAnswer,
  pieces: AnswerPieces,
  { leader, crc32c }: { readonly leader: BrokerId; readonly crc32c: Crc32c },
): ReadAnswer | undefined {
  const { content } = wire;
  const respond = (found: ReplicaResponse["content"]): ReplicaResponse => ({
    from: leader,
    leaderEpoch: leaderEpoch(wire.leaderEpoch),
    session: wire.session as FetchSession,
    content: found,
  });
  const without = (found: ReplicaResponse["content"]): ReadAnswer => ({
    response: respond(found),
    bytes: nothing,
    cost: 0,
    logEnd: undefined,
    traces: noTraces,
    corruption: undefined,
    goesOnFrom: undefined,
  });
  switch (content.case) {
    case "records": {
      const bytes = pieces.take(wire, content.value);
      if (bytes === undefined) return undefined;
      const ranges = readRanges(bytes, crc32c);
      if (ranges.kind === "corrupt") {
        const refused = without({ kind: "refused", reason: "NOT_LEADER" });
        return { ...refused, cost: bytes.length, corruption: ranges.why };
      }
      const { batches } = ranges;
      const highWatermark = offset(content.value.highWatermark);
      const response = respond({ kind: "records", batches, highWatermark, logStart: offset(content.value.logStart) });
      const traces = readTraces(content.value);
      const logEnd = offset(content.value.logEnd);
      const goesOnFrom = wire.stands ? batches.at(-1)?.endOffset : undefined;
      return { response, bytes, cost: bytes.length, logEnd, traces, corruption: undefined, goesOnFrom };
    }
    case "diverging": {
      const epoch = content.value.leaderEpoch;
      const divergence = {
        leaderEpoch: epoch === undefined ? noLeaderEpoch : leaderEpoch(epoch),
        endOffset: offset(content.value.endOffset),
      };
      return without({ kind: "diverging", divergence });
    }
    case "behindLogStart":
      return without({ kind: "behindLogStart", logStart: offset(content.value) });
    case "refused":
      return without({ kind: "refused", reason: refusalFromWire(content.value) });
    case undefined:
      throw new RangeError("an answer is empty");
  }
}

function readTraces({ traces }: ReplicaRecords): readonly ReplicaTrace[] {
  if (traces.length === 0) return noTraces;
  return traces.map(({ traceparent, endOffset }) => ({ traceparent, endOffset: offset(endOffset) }));
}
