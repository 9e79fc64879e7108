import {
  type brokerSchema,
  type FlushMode,
  parseTopicSettings,
  type TimestampType,
  type TopicSettings,
  type Values,
} from "@tidemark/config";
import { defaultLogSettings, type LogSettings } from "@tidemark/log";
import { type KeepingDefaults, keepingSettings } from "../upkeep/keeping-settings.ts";

/** What the settings of a topic, over those of its broker, say of one log. */
export interface TopicLogSettings {
  readonly log: LogSettings;
  /** Largest batch that is accepted, in bytes. */
  readonly maxBatchBytes: number;
  readonly timestampType: TimestampType;
  /**
   * Whether a replica outside ISR and ELR may be elected: then no leader is safe from being replaced. Undefined: as the
   * controller has it for the cluster.
   */
  readonly uncleanElection: boolean | undefined;
}

/** The broker's own settings that topics fall back to. */
export type TopicDefaults = Pick<
  Values<(typeof brokerSchema)["settings"]>,
  "log.segment.bytes" | "log.roll.ms" | "log.flush" | "log.message.timestamp.type" | "message.max.bytes"
> &
  KeepingDefaults;

/** What cannot be read of a topic's settings falls back to the broker's: the controller checked them at creation. */
export function topicLogSettings(topic: ReadonlyMap<string, string>, defaults: TopicDefaults): TopicLogSettings {
  const parsed = parseTopicSettings(Object.fromEntries(topic));
  const own: Partial<TopicSettings> = parsed.ok ? parsed.settings : {};
  const flush: FlushMode = own.flush ?? defaults["log.flush"];
  return {
    log: {
      ...defaultLogSettings,
      segmentBytes: own["segment.bytes"] ?? defaults["log.segment.bytes"],
      segmentMs: own["segment.ms"] ?? defaults["log.roll.ms"],
      flush,
      ...keepingSettings(own, defaults),
    },
    maxBatchBytes: own["max.message.bytes"] ?? defaults["message.max.bytes"],
    uncleanElection: own["unclean.leader.election.enable"],
    timestampType: own["message.timestamp.type"] ?? defaults["log.message.timestamp.type"],
  };
}
