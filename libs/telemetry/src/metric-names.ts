/**
 * Every metric of the suite, by name. The names are the same in Prometheus and in OTLP; the unit stands last, before
 * `_total`. The familiar ones of Kafka have its words.
 */
export const metricNames = {
  underReplicatedPartitions: "tidemark_under_replicated_partitions",
  underMinIsrPartitions: "tidemark_under_min_isr_partitions",
  offlinePartitions: "tidemark_offline_partitions",
  /** 1 in the active controller, 0 in the others. */
  activeController: "tidemark_active_controller",
  isrShrinks: "tidemark_isr_shrinks_total",
  isrExpands: "tidemark_isr_expands_total",
  leaderElections: "tidemark_leader_elections_total",
  uncleanLeaderElections: "tidemark_unclean_leader_elections_total",
  producedRecords: "tidemark_produced_records_total",
  producedBytes: "tidemark_produced_bytes_total",
  fetchedRecords: "tidemark_fetched_records_total",
  fetchedBytes: "tidemark_fetched_bytes_total",
  produceDuration: "tidemark_produce_duration_seconds",
  fetchDuration: "tidemark_fetch_duration_seconds",
  flushDuration: "tidemark_flush_duration_seconds",
  highWatermarkLag: "tidemark_high_watermark_lag_records",
  /** What waits to be sent, and the requests that are worked on: what `queued.max.bytes` limits. */
  queuedBytes: "tidemark_queued_bytes",
  /** How much later than planned timers ran: the event loop was busy that long. */
  eventLoopLag: "tidemark_event_loop_lag_seconds",
  /** Spans that were recorded and never arrived, by reason: queue_full or export_failed. */
  lostSpans: "tidemark_lost_spans_total",
  /** Pushes of metrics by OTLP that failed: what was counted is in the next one, what a gauge was is not. */
  failedMetricPushes: "tidemark_failed_metric_pushes_total",
  processCpu: "process_cpu_seconds_total",
  processResidentMemory: "process_resident_memory_bytes",
  processStartTime: "process_start_time_seconds",
  heapUsed: "nodejs_heap_size_used_bytes",
  heapTotal: "nodejs_heap_size_total_bytes",
} as const;
