/**
 * One stream of a follower to one leader, over a connection of its own, for as long as anything is asked.
 *
 * | happens                                    | does                                                                  |
 * |--------------------------------------------|-----------------------------------------------------------------------|
 * | a fetch, a report                          | leaves with everything else of this turn of the event loop            |
 * | no stream is open                          | opens one, no sooner than the pause after the last failure is over    |
 * | an answer is whole                         | is handed to its partition; the leader may send as many bytes again   |
 * | the fetch that it answers stands           | the partition's next fetch is not sent: it is answered unasked        |
 * | an answer goes on from elsewhere than the partition's fetch asks | is thrown away                  |
 * | much of a partition is not written yet     | its next fetch waits until it is                                      |
 * | much of all partitions is not written yet  | the leader gets credit only for what is                               |
 * | the stream ends, the leader's address changes | each fetch without an answer is answered with NOT_LEADER           |
 * | no fetch for long                          | closes the connection                                                 |
 */
import type { BrokerId } from "@tidemark/ids";
import type { ReplicaId } from "@tidemark/log";
import type { FetchResponse, PartitionAnswer } from "@tidemark/proto/replica/v1";
import type { Crc32c } from "@tidemark/record";
import type { ReplicaFetch, ReplicaFlushed } from "@tidemark/replication";
import type { RpcChannel, TrafficClass } from "@tidemark/rpc";
import type { Cancel, Runtime } from "@tidemark/runtime";
import type { Logger } from "@tidemark/telemetry";
import type { StreamLimits } from "../limits.ts";
import type { FlushedFetch, ReplicaReceiving } from "../replica-exchange.ts";
import { type LaneConnection, openLaneConnection } from "./lane-connection.ts";
import { createLanePartitions, type LanePartition } from "./lane-partitions.ts";
import { type ReadAnswer, readAnswer } from "./read-answer.ts";
import { reconnectMs } from "./reconnect.ts";
import { createUnwrittenBytes } from "./unwritten-bytes.ts";

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
  flushed(id: ReplicaId, report: ReplicaFlushed, fetchedIn?: readonly FlushedFetch[]): void;
  /** Whether the leader goes on by itself with a fetch of the partition. */
  goesOn(id: ReplicaId): boolean;
  /** Breaks the stream where the leader is elsewhere now. */
  endpointChanged(): void;
  /** Closes the connection. What has no answer gets none. */
  stop(): void;
}

/** A connection on which nothing was asked for so long is closed, in milliseconds. */
const idleMs = 10_000;
const nothing = new Uint8Array(0);

export function createFetchLane(options: LaneOptions): FetchLane {
  const { leader, runtime, limits, logger } = options;
  const { clock, scheduler } = runtime;
  const { unwrittenBytes } = limits;
  const partitions = createLanePartitions({
    unwrittenBytes,
    // A partition leaves the stream for catching up when it is near: its leader is to wait for where it asks next.
    standsForBytes: options.trafficClass === "catch-up" ? 0 : unwrittenBytes,
  });
  let connection: LaneConnection | undefined;
  let failures = 0;
  let reopenAtMs = 0;
  let cancelOpen: Cancel | undefined;
  let cancelIdleCheck: Cancel = () => undefined;
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
      else connection.send();
    });
  };
  const unwritten = createUnwrittenBytes({ partitions, limits, onChange: schedule });

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
    const made = openLaneConnection({
      ...options,
      endpoint,
      channel,
      partitions,
      onMessage: (message) => take(made, message),
      onWritable: schedule,
      onLost: (why) => {
        if (connection !== undefined) lose(connection, why);
      },
    });
    connection = made;
    cancelIdleCheck = scheduler.after(idleMs, closeIdle);
    // A transport may know at once that it cannot connect.
    if (made.isOpen) made.send();
    else lose(made, "no connection");
  };

  const take = (from: LaneConnection, { answers }: FetchResponse) => {
    failures = 0;
    for (const wire of answers) {
      const partition = partitions.byHandle(wire.handle);
      const answer =
        partition === undefined ? `no partition has handle ${wire.handle}` : read(options, wire, partition);
      if (typeof answer === "string") lose(from, `broker ${leader} answered what cannot be: ${answer}`);
      else if (partition !== undefined && answer !== undefined) {
        if (isExpected(partition, wire)) deliver(from, partition, answer);
        else unwritten.hold(from, partition, answer.cost)();
      }
      // It may have been lost, or stopped by who got the answer.
      if (!from.isOpen) return;
    }
  };

  const deliver = (from: LaneConnection, partition: LanePartition, answer: ReadAnswer) => {
    const { response, bytes, cost, traces, goesOnFrom } = answer;
    if (!partition.isFetchDue && partition.fetch?.session === response.session) {
      const { session, leaderEpoch } = response;
      partition.goesOn = goesOnFrom === undefined ? undefined : { session, leaderEpoch, from: goesOnFrom };
      partition.fetch = undefined;
    }
    if (answer.corruption !== undefined) {
      const { topicId, partition: index } = partition.id;
      logger.warn(`Broker ${leader} sent batches of ${topicId}-${index} that are not taken: ${answer.corruption}`);
    }
    options.onAnswer(partition.id, answer);
    const release = unwritten.hold(from, partition, cost);
    options.receiving.response(partition.id, response, bytes, release, traces);
    // Nobody holds its bytes.
    if (bytes.length === 0) release();
  };

  const lose = (lost: LaneConnection, why: string) => {
    logger.debug("A replica stream ended", { leader, endpoint: lost.endpoint, why });
    disconnect(lost);
    reopenAtMs = clock.monotonicMs() + reconnectMs(failures, runtime.random);
    failures += 1;
    refuseAll();
  };

  const disconnect = (from: LaneConnection) => {
    connection = undefined;
    cancelIdleCheck();
    from.close();
  };

  const refuseAll = () => {
    const open = partitions.forgetAll();
    // Not from within the call that made the fetch, nor from within metadata that is being applied.
    scheduler.afterInput(() => {
      if (isStopped) return;
      for (const { id, fetch } of open) {
        const { leaderEpoch, session } = fetch;
        const content = { kind: "refused", reason: "NOT_LEADER" } as const;
        options.receiving.response(id, { from: leader, leaderEpoch, session, content }, nothing, () => undefined);
      }
    });
  };

  const closeIdle = () => {
    if (connection === undefined) return;
    if (askedSinceCheck || partitions.openFetches() > 0) {
      askedSinceCheck = false;
      cancelIdleCheck = scheduler.after(idleMs, closeIdle);
      return;
    }
    disconnect(connection);
    partitions.forgetAll();
  };

  return {
    fetch(id, fetch) {
      askedSinceCheck = true;
      partitions.fetch(id, fetch);
      schedule();
    },
    flushed(id, report, fetchedIn) {
      partitions.flushed(id, report, fetchedIn);
      schedule();
    },
    goesOn: (id) => partitions.goesOn(id),
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

/** An answer to what was asked, or one that goes on where the partition's log ends: nothing can be missing between (L7). */
function isExpected({ fetch }: LanePartition, { goesOnFrom }: PartitionAnswer): boolean {
  return goesOnFrom === undefined || goesOnFrom === fetch?.fetchOffset;
}

/** Undefined while more of the answer is to come; in words what makes it impossible. */
function read(
  { leader, crc32c }: LaneOptions,
  wire: PartitionAnswer,
  { pieces }: LanePartition,
): ReadAnswer | string | undefined {
  try {
    return readAnswer(wire, pieces, { leader, crc32c });
  } catch (error) {
    if (error instanceof RangeError) return error.message;
    throw error;
  }
}
