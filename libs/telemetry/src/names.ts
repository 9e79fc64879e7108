/**
 * Every span and attribute that the suite emits, by name. A tree of one sampled batch, of one election:
 *
 * ```
 * tidemark.produce                       producer            tidemark.fetch  (links to the produce)   consumer
 * └─ gateway route                       client              └─ broker fetch                          server
 *    └─ broker produce                   server
 *       ├─ append
 *       ├─ flush                                             election
 *       ├─ replicate                     one per follower    ├─ session end
 *       │  └─ replica receive            in the follower     ├─ decide
 *       │     ├─ append                                      ├─ commit batch
 *       │     └─ flush                                       ├─ publish              one per broker
 *       ├─ high watermark advance                            └─ partition            one per partition
 *       └─ ack                                                  └─ become leader     in the broker
 * ```
 *
 * Names say what is done and carry no ids, so that a search for a name finds all of its kind; which follower, broker
 * or partition it was stands in the attributes.
 */
export const spanNames = {
  /** In the client: from handing the batch over to its acknowledgement. */
  produce: "tidemark.produce",
  /** In the client: from asking to having the records. Links to the produce of each sampled batch it received. */
  fetch: "tidemark.fetch",
  /** In the gateway: one attempt at one leader. */
  gatewayRoute: "gateway route",
  /** In the leader: from the arrival of the batch to its answer. */
  brokerProduce: "broker produce",
  /** In the leader, or in a follower: from the call to the batch being written. */
  append: "append",
  /** In the leader, or in a follower: the wait for the group's turn and the fdatasync that covered the batch. */
  flush: "flush",
  /** In the leader: from the first fetch that carried the batch to the fetch that showed it flushed. */
  replicate: "replicate",
  /** In the follower: one fetch's answer received, written and flushed. Serves many batches, which link to it. */
  replicaFetch: "replica fetch",
  /** In the follower: the share of a sampled batch in a replica fetch. */
  replicaReceive: "replica receive",
  /** In the leader: from the append to the high watermark passing the batch. */
  highWatermarkAdvance: "high watermark advance",
  /** In the leader: what the producer waited for, and what it was told. */
  ack: "ack",
  /** In the leader: the wait of the long poll, and the reading. */
  brokerFetch: "broker fetch",
  /** In the controller: one cause, and every leader that changed because of it. */
  election: "election",
  sessionEnd: "session end",
  decide: "decide",
  commitBatch: "commit batch",
  publish: "publish",
  partition: "partition",
  /** In the broker: from learning of its leadership to the first produce that it accepted. */
  becomeLeader: "become leader",
  isrShrink: "isr shrink",
  isrExpand: "isr expand",
  /** In a follower: a cut of its log, so that it agrees with its leader's. */
  truncate: "truncate",
  /** In a controller: from losing the active one to the first action of the next. */
  controllerElection: "controller election",
  controllerLost: "controller lost",
  campaign: "campaign",
  catchUp: "catch up",
  grantSessions: "grant sessions",
  firstAction: "first action",
  raftAppend: "raft append",
  raftQuorum: "raft quorum",
  /** In a controller: a snapshot being saved, or being sent to a follower. */
  raftSnapshot: "raft snapshot",
  etcdTransaction: "etcd transaction",
  /** In a controller: while no watch of etcd stood. What was committed meanwhile is told behind it. */
  etcdWatchGap: "etcd watch gap",
} as const;

export type SpanName = (typeof spanNames)[keyof typeof spanNames];

/**
 * Attributes of spans. The `messaging.*` ones are OpenTelemetry's semantic conventions for messaging; what these
 * have no word for is `tidemark.*`, with the unit last.
 */
export const attributeNames = {
  /** Always "tidemark". */
  system: "messaging.system",
  /** The topic. */
  topic: "messaging.destination.name",
  /** The partition's index, as text. */
  partition: "messaging.destination.partition.id",
  /** produce or fetch. */
  operation: "messaging.operation.name",
  /** send, receive: the convention's own set. */
  operationType: "messaging.operation.type",
  /** Records of the batch. */
  records: "messaging.batch.message_count",
  /** Bytes of the encoded batch. */
  bytes: "messaging.message.body.size",
  serverAddress: "server.address",
  /** A reason of the suite's closed set of errors. */
  error: "error.type",

  acks: "tidemark.acks",
  attempt: "tidemark.attempt",
  baseOffset: "tidemark.base_offset",
  offset: "tidemark.offset",
  highWatermark: "tidemark.high_watermark",
  highWatermarkFrom: "tidemark.high_watermark.from",
  highWatermarkTo: "tidemark.high_watermark.to",
  /** The replica whose report let the high watermark move. */
  lastReplica: "tidemark.last_replica",
  maximalIsr: "tidemark.maximal_isr",
  leader: "tidemark.leader",
  oldLeader: "tidemark.leader.old",
  leaderEpoch: "tidemark.leader_epoch",
  partitionEpoch: "tidemark.partition_epoch",
  controllerEpoch: "tidemark.controller_epoch",
  brokerEpoch: "tidemark.broker_epoch",
  epochStartOffset: "tidemark.epoch_start_offset",
  follower: "tidemark.follower",
  broker: "tidemark.broker",
  controller: "tidemark.controller",
  /** Sessions of brokers. */
  sessions: "tidemark.sessions",
  isr: "tidemark.isr",
  elr: "tidemark.elr",
  /** Whether this try's route came from metadata that the leader refused; a further try for another reason does not say so. */
  staleMetadata: "tidemark.stale_metadata",
  /** Base offset of the segment. */
  segment: "tidemark.segment",
  /** Pieces that were read: each lies in one segment. */
  segmentsRead: "tidemark.segments_read",
  /** Byte position within the segment: of the write that carried the batch. */
  position: "tidemark.position",
  queueMs: "tidemark.queue_ms",
  writeMs: "tidemark.write_ms",
  /** Time of the fdatasync itself. */
  syncMs: "tidemark.sync_ms",
  /** Appends that shared one flush. */
  groupSize: "tidemark.group_size",
  waitedMs: "tidemark.waited_ms",
  replicasCounted: "tidemark.replicas_counted",
  /** APPLIED, NOT_APPLIED or UNKNOWN. */
  outcome: "tidemark.outcome",
  /** Why a leader changed: connection lost, session timeout, shutdown, unclean command, preferred, reassignment. */
  cause: "tidemark.cause",
  lastHeartbeatMs: "tidemark.last_heartbeat_ms",
  revision: "tidemark.revision",
  backend: "tidemark.backend",
  /** Of the controllers' own quorum; a term is no epoch of anything else. */
  raftTerm: "tidemark.raft.term",
  raftIndex: "tidemark.raft.index",
  /** Bytes of a snapshot. */
  snapshotBytes: "tidemark.snapshot.bytes",
  batchIndex: "tidemark.batch.index",
  batchCount: "tidemark.batch.count",
  partitions: "tidemark.partitions",
  partitionsWithoutLeader: "tidemark.partitions.without_leader",
  unclean: "tidemark.unclean",
  /** The rule that chose a leader. */
  rule: "tidemark.rule",
  /** Of an ISR change: how long the follower had not been caught up. Of a publish: how long it took. */
  lagMs: "tidemark.lag_ms",
  /** How many records the follower lacked. */
  lagRecords: "tidemark.lag_records",
  /** How long ago the follower fetched, or said how far it is. */
  lastFetchMs: "tidemark.last_fetch_ms",
  /** The log's end before a cut, and behind it. */
  truncatedFrom: "tidemark.truncated.from",
  truncatedTo: "tidemark.truncated.to",
  belowHighWatermark: "tidemark.truncated.below_high_watermark",
  /** Links beyond those that a span carries. */
  linksDropped: "tidemark.links.dropped",
} as const;

export type AttributeName = (typeof attributeNames)[keyof typeof attributeNames];

/** The value of `messaging.system` on every span that has a topic. */
export const messagingSystem = "tidemark";

/** What the processes call themselves in `service.name`. */
export type ServiceName = "tidemark-broker" | "tidemark-controller" | "tidemark-gateway" | "tidemark-client";
