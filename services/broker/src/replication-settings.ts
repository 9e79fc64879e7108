import type { brokerSchema, Values } from "@tidemark/config";
import { defaultSettings, type ProducerSettings, type ReplicationSettings } from "@tidemark/replication";
import { idleTickMs } from "./partition/tick.ts";

/**
 * A fetch without an answer for longer is asked again, in milliseconds. That a leader is gone is told by its stream: by
 * its end, or within seconds by its keepalive. An answer that is on its way over a slow link, behind those of other
 * partitions, takes its time; to begin anew meanwhile would throw it away, and the next one too. Where one is lost all the
 * same, the follower is out of the ISR for as long.
 */
const answerTimeoutMs = 8_000;

/** What the machines of a broker's partitions take from its settings. */
export function replicationSettings(values: Values<(typeof brokerSchema)["settings"]>): ReplicationSettings {
  return {
    ...defaultSettings,
    lagTimeMaxMs: values["replica.lag.time.max.ms"],
    lagRecordsMax: values["replica.lag.records.max"],
    stallMs: Math.max(values["replica.lag.time.max.ms"] / 4, 2 * idleTickMs),
    sessionTimeoutMs: values["broker.session.timeout.ms"],
    fetchWaitMaxMs: values["replica.fetch.wait.max.ms"],
    fetchTimeoutMs: Math.max(answerTimeoutMs, 4 * values["replica.fetch.wait.max.ms"]),
  };
}

/** What a broker remembers of idempotent producers. */
export function producerSettings(values: Values<(typeof brokerSchema)["settings"]>): ProducerSettings {
  return {
    windowBatches: values["producer.window.batches"],
    expirationMs: values["producer.id.expiration.ms"],
    idsMax: values["producer.ids.max.per.partition"],
  };
}
