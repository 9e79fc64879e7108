/**
 * What stands in the metadata tree, as the domain reads it. Values are immutable: a change puts another value.
 */
import type {
  BrokerEpoch,
  BrokerId,
  ControllerEpoch,
  ControllerId,
  DirectoryId,
  LeaderEpoch,
  Offset,
  PartitionEpoch,
  PartitionIndex,
  TopicId,
} from "@tidemark/ids";

/** `/cluster`: what the whole store belongs to. No controller acts without it. */
export interface Cluster {
  /** A UUID in lower case, made once. */
  readonly clusterId: string;
  /** Version of the layout of keys and values, from 1. */
  readonly formatVersion: number;
  /** What all members of the cluster can do, from 1. */
  readonly featureLevel: number;
  /** True after an export that moves the cluster: nothing is committed here any more. */
  readonly sealed: boolean;
}

/** `/controller`: the active controller. `controllerId` is undefined where it resigned. */
export interface ActiveController {
  readonly controllerId: ControllerId | undefined;
  readonly directoryId: string;
  /** host:port for brokers and gateways. */
  readonly endpoint: string;
  readonly controllerEpoch: ControllerEpoch;
}

/** One listener of a process, as others reach it. */
export interface Endpoint {
  /** `client` or `internal`. */
  readonly listener: string;
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
}

/**
 * What a broker's session allows.
 *
 * | state    | may lead                      | may stand in an ISR | may join an ISR |
 * |----------|-------------------------------|---------------------|-----------------|
 * | running  | yes                           | yes                 | yes             |
 * | stopping | where nobody else can         | yes                 | no              |
 * | fenced   | no                            | no                  | no              |
 *
 * A broker is fenced while it lives without any log directory that works, or in a state of a newer version. That a new
 * session is not led by ahead of its metadata needs no fence: it acts on nothing older than its registration (D8).
 */
export type BrokerState = "running" | "stopping" | "fenced";

/** `/brokers/ids/<id>`: a living session. It ends when the key goes. */
export interface BrokerSession {
  readonly brokerId: BrokerId;
  readonly brokerEpoch: BrokerEpoch;
  /** Made at each start of the process, a UUID. */
  readonly incarnationId: string;
  /** Its log directories that work. */
  readonly directoryIds: readonly DirectoryId[];
  readonly endpoints: readonly Endpoint[];
  /** Empty: not known. */
  readonly rack: string;
  readonly state: BrokerState;
}

/** `/brokers/known/<id>`: what outlives the sessions of a broker. */
export interface KnownBroker {
  readonly brokerId: BrokerId;
  /** The highest broker epoch given out. */
  readonly brokerEpoch: BrokerEpoch;
  /** The log directories of its last registration, behind the latest of those that it had before. */
  readonly directoryIds: readonly DirectoryId[];
  /** Boot of its machine at its last registration. Empty: not known. */
  readonly bootId: string;
  /** Whether it has `flush=async` where a topic does not say, as of its last registration. */
  readonly flushAsync: boolean;
}

/** `/topics/<name>`. Written last at creation, removed first at deletion: a topic exists while this key does. */
export interface Topic {
  readonly name: string;
  readonly topicId: TopicId;
  /** Partitions are numbered from 0 to this, exclusive. A partition's key beyond it is not visible yet. */
  readonly partitions: number;
  /** As it was asked for at creation. */
  readonly replicationFactor: number;
  /** Settings that differ from the defaults, by key. */
  readonly settings: ReadonlyMap<string, string>;
  /** True once `flush=async` was in force, also if it is not any more. Absent: it never was, or its setting says so. */
  readonly wasAsync?: true;
}

/** One replica and the log directory that holds it. */
export interface Replica {
  readonly brokerId: BrokerId;
  /** Undefined until one was chosen. */
  readonly directoryId: DirectoryId | undefined;
  /**
   * Broker epoch in which its broker found it damaged (L10). While that is the broker's epoch the replica neither leads
   * nor joins the ISR; a later registration is the word that it is being copied again. Absent: never.
   */
  readonly damagedIn?: BrokerEpoch;
  /**
   * Broker epoch in which its broker said that it cannot serve it, though nothing is known to be lost. While that is the
   * broker's epoch the replica neither leads nor joins the ISR. Absent: never, or it is served again.
   */
  readonly offlineIn?: BrokerEpoch;
}

/** `/partitions/<topic id>/<n>`. */
export interface Partition {
  readonly topicId: TopicId;
  readonly partition: PartitionIndex;
  /** Assigned replicas; the first is the preferred leader. */
  readonly replicas: readonly Replica[];
  /** In-sync replicas in the order of `replicas`, the leader included. Empty where there is no leader. */
  readonly isr: readonly BrokerId[];
  /** Eligible leader replicas: out of the ISR, yet they hold everything below the high watermark (R13). */
  readonly elr: readonly BrokerId[];
  /** Min ISR in force (R4), from 1. */
  readonly minIsr: number;
  /** Undefined: none. */
  readonly leader: BrokerId | undefined;
  readonly leaderEpoch: LeaderEpoch;
  readonly partitionEpoch: PartitionEpoch;
  /** Controller epoch of the last change. */
  readonly controllerEpoch: ControllerEpoch;
  /** Replicas that a reassignment adds. */
  readonly adding: readonly BrokerId[];
  /** Replicas that a reassignment removes. */
  readonly removing: readonly BrokerId[];
  /** True after an unclean election until the leader has flushed the start of its leader epoch (D2). */
  readonly recovering: boolean;
  /** First offset that exists, as the leader last reported. */
  readonly logStart: Offset;
  /**
   * The newest leader epoch that a replica has seen, where this state was older when it was told, as a restored one is.
   * Nobody is elected until an unclean election is commanded. Absent: none.
   */
  readonly regressedFrom?: LeaderEpoch;
}

/** `/deleted/<topic id>`: a deletion that not every known broker has confirmed (D7). */
export interface DeletedTopic {
  readonly topicId: TopicId;
  /** The name it had. */
  readonly name: string;
  readonly awaited: readonly BrokerId[];
}

/** Where a replica stood when it was asked before an unclean election. */
export interface ReplicaPosition {
  readonly brokerId: BrokerId;
  /** Of its last batch; -1: it has none. */
  readonly lastLeaderEpoch: number;
  readonly logEnd: Offset;
  readonly logStart: Offset;
}

/** What one replica cut because of an unclean election: the offsets from `firstOffset` to `logEnd`, exclusive. */
export interface ReplicaCut {
  readonly brokerId: BrokerId;
  readonly firstOffset: Offset;
  /** `firstOffset` where nothing had to be cut. */
  readonly logEnd: Offset;
  /**
   * True: its log was damaged, or lost with its disk, before it said what it cut, and is copied anew: what it cut is not
   * known, and both offsets are 0. Absent: they are what it cut.
   */
  readonly copiedAnew?: true;
}

/** `/receipts/<topic id>/<n>`: the last unclean election of a partition and what it cost (D3). */
export interface Receipt {
  readonly topicId: TopicId;
  readonly partition: PartitionIndex;
  /** The one that the unclean election began. */
  readonly leaderEpoch: LeaderEpoch;
  readonly leader: BrokerId;
  /** False where the topic's settings allowed it. */
  readonly commanded: boolean;
  /** When it was decided: milliseconds since 1970 by the controller's wall clock. */
  readonly timeMs: number;
  readonly positions: readonly ReplicaPosition[];
  readonly cuts: readonly ReplicaCut[];
  /** Replicas that have not said what they cut. Empty: the receipt is complete. */
  readonly awaited: readonly BrokerId[];
}

/** `/producers/next`: producer ids are given out in blocks. */
export interface ProducerIds {
  /** First id of the next block. */
  readonly nextProducerId: bigint;
}
