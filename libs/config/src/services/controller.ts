import { endpoint, listeners } from "../addresses.ts";
import { backendIsUsable, backendReference } from "../consensus-backend.ts";
import { etcdPrefixPattern } from "../etcd-location.ts";
import {
  advertisedCanBeDialled,
  etcdUserIsWhole,
  identityIsWhole,
  portsDiffer,
  tlsIsWhole,
  warnPlaintext,
} from "../listener-rules.ts";
import { duration, integer } from "../numbers.ts";
import { createSchema } from "../schema.ts";
import { defaulted, optional, secret } from "../setting.ts";
import { queuesNest } from "../size-rules.ts";
import {
  etcdLeaseIsWholeSeconds,
  etcdRenewalFitsLease,
  graceFitsSession,
  heartbeatFitsSession,
  raftHeartbeatFitsElection,
  requestTimeoutFitsCap,
  sessionFitsLag,
} from "../timer-rules.ts";
import { boolean, list, oneOf, path, text } from "../words.ts";
import {
  clientListenerSettings,
  internalListenerSettings,
  messageSizeSettings,
  nodeIdSettings,
  serviceSettings,
  sessionSettings,
} from "./common.ts";

const names = ["client", "internal"] as const;

const placeSettings = {
  listeners: defaulted(
    listeners({ anyPort: true, names }),
    [
      { name: "client", host: "127.0.0.1", port: 4650 },
      { name: "internal", host: "127.0.0.1", port: 4651 },
    ],
    "Where this process listens. Port 0 takes a free one.",
  ),
  "advertised.listeners": optional(
    listeners({ anyPort: false, names }),
    "Where others reach this process. Unset: where it listens.",
  ),
} as const;

const consensusSettings = {
  "consensus.backend": defaulted(
    backendReference(),
    { name: "single", location: undefined },
    "What keeps the metadata: a file of this process (single), the controllers together (raft), or an etcd cluster.",
  ),
  "metadata.log.dir": optional(
    path(),
    "Directory of the metadata. Unset: the path of a single:///path or raft:///path in consensus.backend.",
  ),
  "consensus.etcd.endpoints": optional(list(endpoint({ anyPort: false }), { min: 1 }), "Members of the etcd cluster."),
  "consensus.etcd.prefix": defaulted(
    text({ pattern: etcdPrefixPattern, form: "/part/part" }),
    "/tidemark",
    "Above every key that is kept in etcd. One for each cluster.",
  ),
  "consensus.etcd.username": optional(text(), "User of etcd. Unset: none."),
  "consensus.etcd.password": secret(optional(text(), "Password of consensus.etcd.username.")),
  "consensus.etcd.tls.ca": optional(path(), "PEM file of the authorities by which etcd is checked. Unset: cleartext."),
  "consensus.etcd.tls.cert": optional(path(), "PEM file of the certificate that etcd is shown."),
  "consensus.etcd.tls.key": optional(path(), "PEM file of the key of consensus.etcd.tls.cert."),
  "consensus.etcd.start.timeout.ms": defaulted(
    duration({ min: 1 }),
    30_000,
    "How long etcd may take to answer when a controller starts.",
  ),
  "consensus.etcd.compact.enable": defaulted(
    boolean(),
    true,
    "Whether the active controller compacts etcd's history. It concerns all of etcd: off where others use it, too.",
  ),
  "consensus.etcd.compact.interval.ms": defaulted(duration({ min: 1000 }), 300_000, "How often it is compacted."),
  "consensus.etcd.compact.retain.revisions": defaulted(
    integer({ min: 0 }),
    10_000,
    "How many of the newest revisions stay: who was away for less goes on without a snapshot.",
  ),
  "consensus.etcd.lease.ms": defaulted(
    duration({ min: 1000 }),
    3000,
    "A controller that does not renew for so long stops being the active one. Whole seconds.",
  ),
  "consensus.etcd.renewal.ms": defaulted(duration({ min: 1 }), 1000, "How often the active controller renews."),
  "consensus.raft.election.timeout.ms": defaulted(
    duration({ min: 10 }),
    500,
    "A follower that hears no leader for this long, up to twice as long by chance, campaigns.",
  ),
  "consensus.raft.heartbeat.ms": defaulted(duration({ min: 1 }), 100, "How often a leader is heard."),
} as const;

const electionSettings = {
  "broker.connection.grace.ms": defaulted(
    duration({ min: 0 }),
    300,
    "From a broker's lost connection to the probe of its port; only a refused connection ends a session early.",
  ),
  "unclean.leader.election.enable": defaulted(
    boolean(),
    false,
    "Whether a replica outside ISR and ELR may lead when no other lives. Acknowledged records may be lost.",
  ),
  "leader.selection": defaulted(
    oneOf("random", "assigned-order"),
    "random",
    "Which live ISR member is elected: any of them, or the first in the order of assignment.",
  ),
  "auto.leader.rebalance.enable": defaulted(
    boolean(),
    true,
    "Whether preferred leaders are elected again by themselves.",
  ),
  "leader.imbalance.per.broker.percentage": defaulted(
    integer({ min: 0, max: 100, unit: "percent" }),
    10,
    "Above what share of a broker's preferred partitions led elsewhere leaders are moved back.",
  ),
  "leader.imbalance.check.interval.seconds": defaulted(
    integer({ min: 1, unit: "seconds" }),
    300,
    "How often it is checked whether leaders are to be moved back.",
  ),
  "unclean.recovery.wait.ms": defaulted(
    duration({ min: 0 }),
    3000,
    "How long an unclean election waits for the answers of the live replicas about their logs.",
  ),
} as const;

const topicDefaultSettings = {
  "num.partitions": defaulted(integer({ min: 1, max: 50_000 }), 1, "Partitions of a topic that does not say how many."),
  "default.replication.factor": defaulted(
    integer({ min: 1, max: 1000 }),
    3,
    "Replicas of a topic that does not say how many; fewer where fewer brokers are registered.",
  ),
  "min.insync.replicas": defaulted(
    integer({ min: 1, max: 1000 }),
    2,
    "Replicas that must have a record before acks=all is answered; at most the replication factor.",
  ),
  "max.topics": defaulted(integer({ min: 1 }), 10_000, "Topics of the cluster."),
  "max.partitions": defaulted(integer({ min: 1 }), 50_000, "Partitions of the cluster."),
} as const;

/** Every setting of a controller. */
export const controllerSchema = createSchema(
  "controller",
  {
    ...serviceSettings,
    ...nodeIdSettings,
    ...placeSettings,
    ...clientListenerSettings,
    ...internalListenerSettings,
    ...sessionSettings,
    ...messageSizeSettings(4 * 2 ** 20),
    ...consensusSettings,
    ...electionSettings,
    ...topicDefaultSettings,
  },
  [
    heartbeatFitsSession,
    graceFitsSession,
    sessionFitsLag,
    etcdRenewalFitsLease,
    etcdLeaseIsWholeSeconds,
    raftHeartbeatFitsElection,
    requestTimeoutFitsCap,
    backendIsUsable,
    queuesNest,
    portsDiffer,
    advertisedCanBeDialled,
    tlsIsWhole("client"),
    tlsIsWhole("internal"),
    identityIsWhole("peer"),
    identityIsWhole("consensus.etcd"),
    etcdUserIsWhole,
    warnPlaintext("client"),
    warnPlaintext("internal"),
  ],
);
