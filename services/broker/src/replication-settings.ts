import type { brokerSchema, Values } from "@tidemark/config";
import { defaultSettings, type ProducerSettings, type ReplicationSettings } from "@tidemark/replication";

/** What the machines of a broker's partitions take from its settings. */
export function replicationSettings(values: Values<(typeof brokerSchema)["settings"]>): ReplicationSettings {
  return {
    ...defaultSettings,
    lagTimeMaxMs: values["replica.lag.time.max.ms"],
    lagRecordsMax: values["replica.lag.records.max"],
    sessionTimeoutMs: values["broker.session.timeout.ms"],
    fetchWaitMaxMs: values["replica.fetch.wait.max.ms"],
    fetchTimeoutMs: Math.max(defaultSettings.fetchTimeoutMs, 4 * values["replica.fetch.wait.max.ms"]),
  };
}

/** What a broker remembers of idempotent producers. */
export function producerSettings(values: Values<(typeof brokerSchema)["settings"]>): ProducerSettings {
  return { windowBatches: values["producer.window.batches"], expirationMs: values["producer.id.expiration.ms"] };
}
