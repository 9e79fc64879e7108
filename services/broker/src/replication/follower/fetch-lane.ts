/**
 * One stream of a follower to one leader, over a connection of its own, for as long as anything is asked.
 *
 * | happens                                    | does                                                                  |
 * |--------------------------------------------|-----------------------------------------------------------------------|
 * | a fetch, a report                          | leaves with everything else of this turn of the event loop            |
 * | no stream is open                          | opens one, no sooner than the pause after the last failure is over    |
 * | an answer is whole                         | is handed to its partition; the leader may send as many bytes again   |
 * | much of a partition is not written yet     | its next fetch waits until it is                                      |
 * | much of all partitions is not written yet  | the leader gets credit only for what is                               |
 * | the stream ends, the leader's address changes | each fetch without an answer is answered with NOT_LEADER           |
 * | no fetch for long                          | closes the connection                                                 |
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { BrokerId } from "@tidemark/ids";
import type { ReplicaId } from "@tidemark/log";
import {
  type FetchRequestSchema,
  type FetchResponse,
  type PartitionAnswer,
  ReplicaService,
} from "@tidemark/proto/replica/v1";
import type { Crc32c } from "@tidemark/record";
import type { ReplicaFetch, ReplicaFlushed } from "@tidemark/replication";
import { openRawStream, type RawStream, type RpcChannel, type TrafficClass } from "@tidemark/rpc";
import type { Cancel, Runtime } from "@tidemark/runtime";
import type { Logger } from "@tidemark/telemetry";
import type { StreamLimits } from "../limits.ts";
import type { ReplicaReceiving } from "../replica-exchange.ts";
import { createLanePartitions, type LanePartition } from "./lane-partitions.ts";
import { type ReadAnswer, readAnswer } from "./read-answer.ts";
import { reconnectMs } from "./reconnect.ts";

export interface LaneOptions {
  readonly brokerId: BrokerId;
  readonly leader: BrokerId;
  readonly trafficClass: TrafficClass;
  /** host:port of the leader's internal listener; undefined: not known. */
  readonly endpointOf: (leader: BrokerId) => string | undefined;
  readonly openChannel: (endpoint: string, trafficClass: TrafficClass) => RpcChannel;
  readonly runtime: Runtime;
  readonly crc32c: Crc32c;
  readonly limits: StreamLimits;
  /** How long the leader may let a fetch wait, in milliseconds. */
  readonly waitMs: number;
  readonly logger: Logger;
  readonly receiving: ReplicaReceiving;
  /** Told of each answer before its partition is. */
  readonly onAnswer: (id: ReplicaId, answer: ReadAnswer) => void;
}

export interface FetchLane {
  fetch(id: ReplicaId, fetch: ReplicaFetch): void;
  flushed(id: ReplicaId, report: ReplicaFlushed): void;
  /** Breaks the stream where the leader is elsewhere now. */
  endpointChanged(): void;
  /** Closes the connection. What has no answer gets none. */
  stop(): void;
}

interface Connection {
  readonly endpoint: string;
  readonly channel: RpcChannel;
  stream: RawStream<MessageInitShape<typeof FetchRequestSchema>> | undefined;
  canWrite: boolean;
  /** Bytes that the leader has not been told of. */
  creditOwed: number;
  cancelIdleCheck: Cancel;
}

/** A connection on which nothing was asked for so long is closed, in milliseconds. */
const idleMs = 10_000;

export function createFetchLane(options: LaneOptions): FetchLane {
  const { brokerId, leader, runtime, limits, logger, receiving } = options;
  const { clock, scheduler } = runtime;
  const partitions = createLanePartitions(limits.unwrittenBytes);
  /** Of all partitions, and of older streams too. */
  let unwritten = 0;
  let connection: Connection | undefined;
  let failures = 0;
  let reopenAtMs = 0;
  let cancelOpen: Cancel | undefined;
  let isScheduled = false;
  let isStopped = false;
  let askedSinceCheck = false;

  const schedule = () => {
    if (isScheduled || isStopped) return;
    isScheduled = true;
    scheduler.afterInput(() => {
      isScheduled = false;
      if (isStopped) return;
      if (connection === undefined) openSoon();
      else send(connection);
    });
  };

  const openSoon = () => {
    // A report alone is of no use to a leader that was shown nothing yet.
    if (cancelOpen !== undefined || !partitions.hasFetches) return;
    const pauseMs = reopenAtMs - clock.monotonicMs();
    if (pauseMs <= 0) open();
    else {
      cancelOpen = scheduler.after(pauseMs, () => {
        cancelOpen = undefined;
        open();
      });
    }
  };

  const open = () => {
    const endpoint = options.endpointOf(leader);
    if (endpoint === undefined) {
      refuseAll();
      return;
    }
    const channel = options.openChannel(endpoint, options.trafficClass);
    const made: Connection = {
      endpoint,
      channel,
      stream: undefined,
      canWrite: true,
      creditOwed: limits.creditBytes,
      cancelIdleCheck: scheduler.after(idleMs, () => closeIdle(made)),
    };
    connection = made;
    const isCurrent = () => connection === made;
    made.stream = openRawStream(channel, ReplicaService.method.fetch, () => ({
      onMessage(message) {
        if (!isCurrent()) return;
        failures = 0;
        take(made, message);
      },
      onDrain() {
        made.canWrite = true;
        schedule();
      },
      onClose(error) {
        if (isCurrent()) lose(made, error?.message ?? "the leader ended it");
      },
    }));
    send(made);
  };

  const send = (to: Connection) => {
    while (to.canWrite && to.stream !== undefined && connection === to) {
      const isCreditDue = to.creditOwed >= limits.creditBytes / 4;
      if (!partitions.hasItems && !isCreditDue) return;
      const creditBytes = to.creditOwed;
      to.creditOwed = 0;
      to.canWrite = to.stream.write({
        follower: brokerId,
        leader,
        creditBytes,
        maxWaitMs: options.waitMs,
        ...partitions.takeItems(),
      });
    }
  };

  const take = (from: Connection, { answers }: FetchResponse) => {
    for (const wire of answers) {
      const partition = partitions.byHandle(wire.handle);
      const answer = partition === undefined ? `no partition has handle ${wire.handle}` : read(wire, partition);
      if (typeof answer === "string") lose(from, `broker ${leader} answered what cannot be: ${answer}`);
      else if (partition !== undefined && answer !== undefined) deliver(from, partition, answer);
      // It may have been lost, or stopped by who got the answer.
      if (connection !== from) return;
    }
  };

  /** Undefined while more of the answer is to come; in words what makes it impossible. */
  const read = (wire: PartitionAnswer, { pieces }: LanePartition): ReadAnswer | string | undefined => {
    try {
      return readAnswer(wire, pieces, { leader, crc32c: options.crc32c });
    } catch (error) {
      if (error instanceof RangeError) return error.message;
      throw error;
    }
  };

  const deliver = (from: Connection, partition: LanePartition, answer: ReadAnswer) => {
    const { response, bytes, cost } = answer;
    if (!partition.isFetchDue && partition.fetch?.session === response.session) partition.fetch = undefined;
    if (answer.corruption !== undefined) {
      const { topicId, partition: index } = partition.id;
      logger.warn(`Broker ${leader} sent batches of ${topicId}-${index} that are not taken: ${answer.corruption}`);
    }
    options.onAnswer(partition.id, answer);
    const release = hold(from, partition, cost);
    receiving.response(partition.id, response, bytes, release);
    // Nobody holds its bytes.
    if (bytes.length === 0) release();
  };

  /** Counts bytes that came until the result is called: the leader may send as many again, at once if all is well. */
  const hold = (from: Connection, partition: LanePartition, bytes: number): (() => void) => {
    unwritten += bytes;
    partitions.hold(partition, bytes);
    const isCredited = unwritten <= limits.unwrittenBytesOfAll;
    let isReleased = false;
    const credit = () => {
      if (connection === from) from.creditOwed += bytes;
      if (from.creditOwed >= limits.creditBytes / 4) schedule();
    };
    if (isCredited) credit();
    return () => {
      if (isReleased) return;
      isReleased = true;
      unwritten -= bytes;
      partitions.letGo(partition, bytes);
      if (!isCredited) credit();
      if (partitions.hasFetches) schedule();
    };
  };

  const lose = (lost: Connection, why: string) => {
    logger.debug("A replica stream ended", { leader, endpoint: lost.endpoint, why });
    disconnect(lost);
    reopenAtMs = clock.monotonicMs() + reconnectMs(failures, runtime.random);
    failures += 1;
    refuseAll();
  };

  const disconnect = (from: Connection) => {
    if (connection === from) connection = undefined;
    from.cancelIdleCheck();
    from.channel.close();
  };

  const refuseAll = () => {
    const open = partitions.forgetAll();
    // Not from within the call that made the fetch, nor from within metadata that is being applied.
    scheduler.afterInput(() => {
      if (isStopped) return;
      for (const { id, fetch } of open) {
        const { leaderEpoch, session } = fetch;
        const content = { kind: "refused", reason: "NOT_LEADER" } as const;
        receiving.response(id, { from: leader, leaderEpoch, session, content }, nothing, () => undefined);
      }
    });
  };

  const closeIdle = (idle: Connection) => {
    if (connection !== idle) return;
    if (askedSinceCheck || partitions.openFetches() > 0) {
      askedSinceCheck = false;
      idle.cancelIdleCheck = scheduler.after(idleMs, () => closeIdle(idle));
      return;
    }
    disconnect(idle);
    partitions.forgetAll();
  };

  return {
    fetch(id, fetch) {
      askedSinceCheck = true;
      partitions.fetch(id, fetch);
      schedule();
    },
    flushed(id, report) {
      partitions.flushed(id, report);
      schedule();
    },
    endpointChanged() {
      if (connection === undefined || options.endpointOf(leader) === connection.endpoint) return;
      failures = 0;
      lose(connection, "the leader's address changed");
    },
    stop() {
      isStopped = true;
      cancelOpen?.();
      if (connection !== undefined) disconnect(connection);
    },
  };
}

const nothing = new Uint8Array(0);
