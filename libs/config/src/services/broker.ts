import { endpoint, listeners } from "../addresses.ts";
import { advertisedCanBeDialled, identityIsWhole, portsDiffer, tlsIsWhole, warnPlaintext } from "../listener-rules.ts";
import { bytes, duration, integer, ratio } from "../numbers.ts";
import { createSchema } from "../schema.ts";
import { defaulted, optional, required } from "../setting.ts";
import { largestBatchFitsSegment, largestBatchPasses, queuesNest } from "../size-rules.ts";
import { fetchWaitFitsLag, heartbeatFitsSession, requestTimeoutFitsCap, sessionFitsLag } from "../timer-rules.ts";
import { cleanupPolicy, flushMode, noLimit, timestampType } from "../topic-kinds.ts";
import { boolean, list, path, text } from "../words.ts";
import {
  batchSizeSettings,
  clientListenerSettings,
  internalListenerSettings,
  messageSizeSettings,
  nodeIdSettings,
  serviceSettings,
  sessionSettings,
} from "./common.ts";

const names = ["client", "internal"] as const;
const dayMs = 86_400_000;

const placeSettings = {
  listeners: defaulted(
    listeners({ anyPort: true, names }),
    [
      { name: "client", host: "127.0.0.1", port: 4660 },
      { name: "internal", host: "127.0.0.1", port: 4661 },
    ],
    "Where this process listens. Port 0 takes a free one.",
  ),
  "advertised.listeners": optional(
    listeners({ anyPort: false, names }),
    "Where others reach this process. Unset: where it listens.",
  ),
  "controller.endpoints": required(
    list(endpoint({ anyPort: false }), { min: 1 }),
    "Internal listeners of some controllers; from any of them the active one is found.",
  ),
  "broker.rack": optional(text(), "Where this broker stands: replicas of a partition are spread over racks."),
} as const;

/** What every reader takes (see libs/record): a leader that let more in would store what nobody can read. */
const readableRatioMax = 100;

const logSettings = {
  "decompression.ratio.max": defaulted(
    integer({ min: 1, max: readableRatioMax }),
    readableRatioMax,
    "How many times larger than it came the records of a compressed batch may become; producers' others are refused.",
  ),
  "log.dirs": required(list(path(), { min: 1 }), "Directories that hold the partitions. Each belongs to one process."),
  "log.segment.bytes": defaulted(
    bytes({ min: 1024, max: 2 ** 31 - 1 }),
    2 ** 30,
    "A segment is closed before it grows larger.",
  ),
  "log.roll.ms": defaulted(duration({ min: 1 }), 7 * dayMs, "A segment whose first record is older is closed."),
  "log.retention.ms": defaulted(duration({ min: 1, except: noLimit }), 7 * dayMs, "Older segments are removed."),
  "log.retention.bytes": defaulted(
    bytes({ min: 0, except: noLimit }),
    -1,
    "Of a larger partition the oldest segments are removed.",
  ),
  "log.cleanup.policy": defaulted(cleanupPolicy(), ["delete"], "Whether old segments are deleted, compacted, or both."),
  "log.message.timestamp.type": defaulted(
    timestampType(),
    "CreateTime",
    "Whose time records carry: the producer's or the log's.",
  ),
  "log.flush": defaulted(
    flushMode(),
    "sync",
    "sync: a record counts when it is on stable storage. async: when it is written, as in Kafka; a power cut may take it.",
  ),
  "log.flush.hang.ms": defaulted(
    duration({ min: 100 }),
    10_000,
    "A flush that takes longer counts as failed, and its directory with it.",
  ),
} as const;

/** What is done with logs from time to time, whatever happens to them. */
const upkeepSettings = {
  "log.retention.check.interval.ms": defaulted(
    duration({ min: 1 }),
    300_000,
    "How often partitions are looked through for segments that retention does not keep.",
  ),
  "log.cleaner.enable": defaulted(boolean(), true, "Whether topics with cleanup.policy compact are compacted here."),
  "log.cleaner.backoff.ms": defaulted(
    duration({ min: 1 }),
    15_000,
    "How often partitions are looked through for what is to be compacted.",
  ),
  "log.cleaner.dedupe.buffer.size": defaulted(
    bytes({ min: 64 * 1024, max: 2 ** 31 - 1 }),
    128 * 2 ** 20,
    "The most memory that a compaction takes for keys, 24 bytes for each.",
  ),
  "log.cleaner.min.cleanable.ratio": defaulted(
    ratio(),
    0.5,
    "How much of a partition must be new since the last compaction before it is compacted again.",
  ),
  "log.cleaner.min.compaction.lag.ms": defaulted(duration(), 0, "Younger records are not compacted yet."),
  "log.cleaner.delete.retention.ms": defaulted(
    duration(),
    dayMs,
    "How long compaction keeps the delete marker of a key, for readers that are behind.",
  ),
} as const;

const replicaSettings = {
  "replica.lag.records.max": optional(
    integer({ min: 1, unit: "records" }),
    "A follower that lags by more leaves the ISR at once. Unset: only time counts.",
  ),
  "replica.fetch.wait.max.ms": defaulted(duration({ min: 1 }), 500, "How long a follower's fetch waits for data."),
  "controlled.shutdown.max.ms": defaulted(
    duration({ min: 0 }),
    30_000,
    "How long a stop waits until the leaderships of this broker are moved.",
  ),
} as const;

const producerSettings = {
  "producer.window.batches": defaulted(
    integer({ min: 1, max: 65_536, unit: "batches" }),
    64,
    "How many batches of an idempotent producer a partition remembers: what is sent again is known among them.",
  ),
  "producer.ids.max.per.partition": defaulted(
    integer({ min: 1, max: 10_000_000, unit: "producers" }),
    10_000,
    "How many idempotent producers a partition remembers. A new one then takes the place of one that was silent for 15 minutes, or is refused. The same on every broker, or at most twice as many on one as on another.",
  ),
  "producer.id.expiration.ms": defaulted(
    duration({ min: 1000 }),
    dayMs,
    "An idempotent producer that sends nothing to a partition for longer is forgotten there.",
  ),
} as const;

/** Every setting of a broker. */
export const brokerSchema = createSchema(
  "broker",
  {
    ...serviceSettings,
    ...nodeIdSettings,
    ...placeSettings,
    ...clientListenerSettings,
    ...internalListenerSettings,
    ...sessionSettings,
    ...batchSizeSettings,
    ...messageSizeSettings(8 * 2 ** 20),
    ...logSettings,
    ...upkeepSettings,
    ...replicaSettings,
    ...producerSettings,
  },
  [
    heartbeatFitsSession,
    sessionFitsLag,
    fetchWaitFitsLag,
    requestTimeoutFitsCap,
    largestBatchPasses,
    largestBatchFitsSegment,
    queuesNest,
    portsDiffer,
    advertisedCanBeDialled,
    tlsIsWhole("client"),
    tlsIsWhole("internal"),
    identityIsWhole("peer"),
    warnPlaintext("client"),
    warnPlaintext("internal"),
  ],
);
