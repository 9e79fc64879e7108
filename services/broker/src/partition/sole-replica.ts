import { crc32c } from "@tidemark/compression";
import type { LeaderEpoch, Offset, PartitionIndex, TopicId } from "@tidemark/ids";
import type { Log, LogEvent } from "@tidemark/log";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { nextOffsetOf, stampBatch, stampLogAppendTime } from "@tidemark/record";
import { TidemarkError } from "@tidemark/rpc";
import type { Clock } from "@tidemark/runtime";
import { fromLogError } from "../errors.ts";
import type { CheckedBatches, Partition, PendingProduce, ProduceRequest } from "./partition.ts";
import type { TopicLogSettings } from "./topic-log-settings.ts";

/** Which partition it is, and in which leader epoch this broker leads it. */
export interface LedPartition {
  readonly topic: string;
  readonly topicId: TopicId;
  readonly index: PartitionIndex;
  readonly leaderEpoch: LeaderEpoch;
  readonly settings: TopicLogSettings;
}

/** A partition whose only replica is here, for whoever drives its log. */
export interface SoleReplica extends Partition {
  /** To be told of every event of the log. */
  onLogEvent(event: LogEvent): void;
  /** Settings of the topic changed. */
  configure(settings: TopicLogSettings): void;
  /** This broker does not lead it any more: what is pending ends as unknown. */
  leave(error: TidemarkError): void;
}

interface Pending {
  readonly upTo: Offset;
  readonly baseOffset: Offset;
  request: ProduceRequest | undefined;
}

/**
 * The leader of a partition with one replica. What it has flushed is committed: acks leader and all are the same.
 *
 * Acks are answered in the order of the appends, by the log's events, without a promise each.
 */
export function createSoleReplica(led: LedPartition, log: Log, clock: Clock): SoleReplica {
  let settings = led.settings;
  let isLed = true;
  const pending: Pending[] = [];
  const listeners = new Set<() => void>();
  const place = { topic: led.topic, partition: led.index };
  log.beginEpoch(led.leaderEpoch);
  log.setHighWatermark(log.flushedOffset);

  const stamp = ({ bytes, headers }: CheckedBatches): Offset => {
    const first = log.logEndOffset;
    let next = first;
    for (const header of headers) {
      if (settings.timestampType === "LogAppendTime") {
        stampLogAppendTime(bytes, header, { timestamp: BigInt(clock.wallMs()), crc32c });
      }
      stampBatch(bytes, header.position, { baseOffset: next, leaderEpoch: led.leaderEpoch });
      next = (next + (nextOffsetOf(header) - header.baseOffset)) as Offset;
    }
    return first;
  };

  const settleBelow = (flushed: Offset, nowMs: number) => {
    let settled = 0;
    for (const { upTo, baseOffset, request } of pending) {
      if (upTo > flushed) break;
      settled++;
      if (request === undefined) continue;
      if (request.timeline !== undefined) request.timeline.flushedMs = nowMs;
      request.settle({ kind: "acknowledged", baseOffset, leaderEpoch: led.leaderEpoch });
    }
    pending.splice(0, settled);
  };

  const markWritten = (upTo: Offset, nowMs: number) => {
    for (const each of pending) {
      if (each.upTo > upTo) return;
      if (each.request?.timeline !== undefined) each.request.timeline.writtenMs ??= nowMs;
    }
  };

  const failFrom = (from: Offset, error: TidemarkError) => {
    const kept = pending.findIndex((each) => each.upTo > from);
    if (kept === -1) return;
    for (const { request } of pending.splice(kept)) request?.settle({ kind: "failed", error });
  };

  const tellListeners = () => {
    for (const listener of listeners) listener();
  };

  const produce = (request: ProduceRequest): PendingProduce => {
    try {
      const baseOffset = stamp(request.batches);
      const { nextOffset } = log.append(request.batches.bytes);
      if (request.timeline !== undefined) request.timeline.appendedMs = clock.monotonicMs();
      const entry: Pending = { upTo: nextOffset, baseOffset, request };
      if (request.acks === "none") {
        request.settle({ kind: "acknowledged", baseOffset, leaderEpoch: led.leaderEpoch });
        return { baseOffset, abandon: () => undefined };
      }
      pending.push(entry);
      return {
        baseOffset,
        abandon: () => {
          entry.request = undefined;
        },
      };
    } catch (error) {
      request.settle({ kind: "failed", error: fromLogError(error, place) });
      return { baseOffset: undefined, abandon: () => undefined };
    }
  };

  return {
    topic: led.topic,
    topicId: led.topicId,
    index: led.index,
    leaderEpoch: led.leaderEpoch,
    log,
    get settings() {
      return settings;
    },
    get highWatermark() {
      return log.highWatermark;
    },
    get isLed() {
      return isLed;
    },
    produce,
    onHighWatermark(listener) {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
    onLogEvent(event) {
      switch (event.kind) {
        case "written":
          markWritten(event.upTo, clock.monotonicMs());
          return;
        case "flushed":
          log.setHighWatermark(event.upTo);
          settleBelow(event.upTo, clock.monotonicMs());
          tellListeners();
          return;
        case "refused":
          failFrom(event.from, fromLogError(event.error, place));
          return;
        case "failed":
          failFrom(log.flushedOffset, fromLogError(event.error, place, Outcome.UNKNOWN));
          tellListeners();
          return;
        case "offline":
          failFrom(log.flushedOffset, offline(event.damage.detail));
          tellListeners();
          return;
        case "cut":
        case "logStart":
          return;
      }
    },
    configure(changed) {
      settings = changed;
      log.configure(changed.log);
    },
    leave(error) {
      isLed = false;
      failFrom(0n as Offset, error);
      tellListeners();
    },
  };

  function offline(detail: string): TidemarkError {
    return new TidemarkError({
      reason: Reason.LOG_DIRECTORY_FAILED,
      message: `The log of ${led.topic}-${led.index} is damaged: ${detail}`,
      outcome: Outcome.UNKNOWN,
      ...place,
    });
  }
}
