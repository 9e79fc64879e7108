/**
 * The leader's end of one follower's stream.
 *
 * | comes                    | does                                                                              |
 * |--------------------------|-----------------------------------------------------------------------------------|
 * | credit                   | reads for partitions whose replies have records                                   |
 * | a fetch                  | hands it to its partition, which replies when it can; replaces an older one        |
 * | a flush report           | hands it to its partition at once, behind the fetches of the same message          |
 * | a reply without records  | answers with the next message                                                     |
 * | a reply with records     | answers when its turn comes and the credit lasts                                  |
 * | such an answer to a fetch that stands | asks the partition on, from where the answer ends                    |
 * | what cannot be meant     | ends the stream with REASON_INVALID_ARGUMENT                                      |
 * | the follower's end, or its loss, or the stop of this process | cancels every fetch                           |
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { BrokerId } from "@tidemark/ids";
import type { ReplicaId } from "@tidemark/log";
import type { FetchRequest, FetchResponseSchema, PartitionFetch } from "@tidemark/proto/replica/v1";
import type { RawListener, RawStream } from "@tidemark/rpc";
import type { Clock, Scheduler } from "@tidemark/runtime";
import { invalidArgument } from "../../errors.ts";
import { creditDefaultBytes, type StreamLimits, waitDefaultMs, waitMaxMs } from "../limits.ts";
import type { ReplicaReply, ReplicaServing } from "../replica-exchange.ts";
import { createAnswerOutbox } from "./answer-outbox.ts";
import { createFairReads, type ReplyWithRecords, type Standing } from "./fair-reads.ts";
import { readFetch, readFetches, readFlushed, readFollower, readPartition } from "./fetch-request.ts";
import { createOpenFetches, type OpenFetch } from "./open-fetches.ts";

export interface FetchStreamOptions {
  readonly brokerId: BrokerId;
  readonly serving: ReplicaServing;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly limits: StreamLimits;
  /** Told why a log could not be read. */
  readonly onReadFailed: (partition: ReplicaId, error: unknown) => void;
}

/** Serves one stream; what it throws ends the stream. */
export function serveFetchStream(
  stream: RawStream<MessageInitShape<typeof FetchResponseSchema>>,
  options: FetchStreamOptions,
): RawListener<FetchRequest> {
  const { serving, clock, limits } = options;
  const fetches = createOpenFetches();
  const outbox = createAnswerOutbox({
    stream,
    scheduler: options.scheduler,
    messageBytes: limits.messageBytes,
    onSpace: () => reads.pump(),
  });
  const reads = createFairReads({
    limits,
    fetches,
    outbox,
    onReadFailed: (fetch, error) => options.onReadFailed(fetch.partition.id, error),
    onStands: (fetch, from) => goOn(fetch, from),
  });
  let follower: BrokerId | undefined;
  let waitMs = waitDefaultMs;

  const identify = (request: FetchRequest): BrokerId => {
    if (request.leader !== options.brokerId) {
      throw invalidArgument(`This is broker ${options.brokerId}, not ${request.leader}: refresh metadata`);
    }
    const speaker = readFollower(request.follower);
    if (follower === undefined) {
      if (speaker === options.brokerId) throw invalidArgument(`Broker ${speaker} does not follow itself`);
      reads.grant(request.creditBytes === 0 ? creditDefaultBytes : request.creditBytes);
    } else {
      if (speaker !== follower) throw invalidArgument(`follower is ${speaker}; the stream is that of ${follower}`);
      reads.grant(request.creditBytes);
    }
    return speaker;
  };

  const take = (request: FetchRequest) => {
    if (request.maxWaitMs > waitMaxMs) throw invalidArgument(`max_wait_ms is at most ${waitMaxMs}`);
    if (request.maxWaitMs > 0) waitMs = request.maxWaitMs;
    for (const each of request.partitions) fetches.name(readPartition(each));
    const most = fetches.named;
    if (request.fetches.length > most || request.flushed.length > most) {
      throw invalidArgument(`A message brings at most one fetch and one report for each of the ${most} partitions`);
    }
  };

  const handOver = (wire: PartitionFetch, speaker: BrokerId, deadlineMs: number) => {
    const partition = fetches.find(wire.handle);
    const asked = readFetch(speaker, wire);
    const open = fetches.open(partition, { asked, standsForBytes: wire.standsForBytes, goesOn: false });
    open.cancel = serving.fetch(partition.id, asked, deadlineMs, replyTo(open));
  };

  const goOn = ({ partition, asked }: OpenFetch, { fetchOffset, standsForBytes }: Standing) => {
    const { replica, brokerEpoch, leaderEpoch, session } = asked;
    const next = { replica, brokerEpoch, leaderEpoch, session, fetchOffset };
    const open = fetches.open(partition, { asked: next, standsForBytes, goesOn: true });
    open.cancel = serving.goOn(partition.id, next, clock.monotonicMs() + waitMs, replyTo(open));
  };

  const replyTo = (open: OpenFetch) => (reply: ReplicaReply) => {
    open.hasReplied = true;
    onReply(open, reply);
  };

  const onReply = (fetch: OpenFetch, reply: ReplicaReply) => {
    if (!fetches.isOpen(fetch)) return;
    if (hasRecords(reply)) {
      reads.ready(fetch, reply);
      return;
    }
    fetches.close(fetch);
    outbox.push(fetch, reply);
  };

  const cancelAll = () => {
    reads.stop();
    fetches.cancelAll();
  };

  return {
    onMessage(request) {
      follower = identify(request);
      take(request);
      const deadlineMs = clock.monotonicMs() + waitMs;
      for (const wire of request.fetches) handOver(wire, follower, deadlineMs);
      // Behind the fetches: what is flushed counts up to what a fetch has shown (R2).
      for (const wire of request.flushed) {
        serving.flushed(fetches.find(wire.handle).id, readFlushed(follower, wire), readFetches(wire));
      }
    },
    onEnd() {
      cancelAll();
      stream.end();
    },
    onDrain: outbox.drained,
    onStop() {
      cancelAll();
      outbox.flush();
      stream.end();
    },
    onClose() {
      cancelAll();
      outbox.clear();
    },
  };
}

function hasRecords(reply: ReplicaReply): reply is ReplyWithRecords {
  return reply.kind === "records" && reply.read !== undefined;
}
