import { bytes, duration, integer, ratio } from "./numbers.ts";
import { resolveConfig, shownValue } from "./resolve.ts";
import { createSchema } from "./schema.ts";
import { optional, type Values } from "./setting.ts";
import type { Problem } from "./source.ts";
import { cleanupPolicy, flushMode, noLimit, timestampType } from "./topic-kinds.ts";
import { boolean } from "./words.ts";

/** What a topic can be told. A setting that a topic does not have is that of the cluster or of its broker. */
export const topicSchema = createSchema(
  "topic",
  {
    "cleanup.policy": optional(cleanupPolicy(), "Whether old segments are deleted, compacted, or both."),
    "delete.retention.ms": optional(
      duration(),
      "How long compaction keeps the delete marker of a key, for readers that are behind.",
    ),
    flush: optional(flushMode(), "sync: a record counts when it is on stable storage. async: when it is written."),
    "max.message.bytes": optional(
      bytes({ min: 1024, max: 2 ** 30 }),
      "The largest record batch that is accepted, as encoded.",
    ),
    "message.timestamp.type": optional(timestampType(), "Whose time records carry: the producer's or the log's."),
    "min.cleanable.dirty.ratio": optional(
      ratio(),
      "How much of a partition must be new since the last compaction before it is compacted again.",
    ),
    "min.compaction.lag.ms": optional(duration(), "Younger records are not compacted yet."),
    "min.insync.replicas": optional(
      integer({ min: 1, max: 1000 }),
      "Replicas that must have a record before acks=all is answered; at most the replication factor.",
    ),
    "retention.bytes": optional(
      bytes({ min: 0, except: noLimit }),
      "Of a larger partition the oldest segments are removed.",
    ),
    "retention.ms": optional(duration({ min: 1, except: noLimit }), "Older segments are removed."),
    "segment.bytes": optional(bytes({ min: 1024, max: 2 ** 31 - 1 }), "A segment is closed before it grows larger."),
    "segment.ms": optional(duration({ min: 1 }), "A segment whose first record is older is closed."),
    "unclean.leader.election.enable": optional(
      boolean(),
      "Whether a replica outside ISR and ELR may lead when no other lives.",
    ),
  },
  [
    {
      needs: ["max.message.bytes", "segment.bytes"],
      check: ({ "max.message.bytes": batch = 0, "segment.bytes": segment = Infinity }) =>
        batch <= segment
          ? []
          : [
              {
                keys: ["max.message.bytes", "segment.bytes"],
                reason: "must be at most segment.bytes",
                remedy: "Raise segment.bytes: a batch is never split over two segments.",
                severity: "error",
              },
            ],
    },
  ],
);

export type TopicSettings = Values<(typeof topicSchema)["settings"]>;

export type ParsedTopicSettings =
  | {
      readonly ok: true;
      readonly settings: TopicSettings;
      /** What was given, each value in its shortest text: the form to keep. */
      readonly texts: Readonly<Record<string, string>>;
    }
  /** Every problem there is, never only the first. */
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Checks the settings of a topic as a client gives them, at its creation or when they are altered. */
export function parseTopicSettings(given: Readonly<Record<string, string>>): ParsedTopicSettings {
  const entries = Object.entries(given).map(([key, text]) => ({ key, text, source: { kind: "request" } as const }));
  const resolved = resolveConfig(topicSchema, {
    readings: [{ entries, problems: [] }],
    foreignKeys: [],
    context: { baseDirectory: "/" },
  });
  if (!resolved.ok) return resolved;
  const values: Readonly<Record<string, unknown>> = resolved.config.values;
  const texts = Object.keys(given).map((key) => [key, shownValue(topicSchema, key, values[key])] as const);
  return { ok: true, settings: resolved.config.values, texts: Object.fromEntries(texts) };
}
