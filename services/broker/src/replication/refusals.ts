import { ReplicaRefusal as WireRefusal } from "@tidemark/proto/replica/v1";
import type { ReplicaRefusal } from "@tidemark/replication";

const toWire: Readonly<Record<ReplicaRefusal, WireRefusal>> = {
  NOT_LEADER: WireRefusal.NOT_LEADER,
  FENCED_LEADER_EPOCH: WireRefusal.FENCED_LEADER_EPOCH,
  UNKNOWN_LEADER_EPOCH: WireRefusal.UNKNOWN_LEADER_EPOCH,
  STALE_BROKER_EPOCH: WireRefusal.STALE_BROKER_EPOCH,
  STALE_SESSION: WireRefusal.STALE_SESSION,
  NOT_A_REPLICA: WireRefusal.NOT_A_REPLICA,
  REPLICA_OFFLINE: WireRefusal.REPLICA_OFFLINE,
  METADATA_REGRESSED: WireRefusal.METADATA_REGRESSED,
  UNKNOWN_TOPIC_ID: WireRefusal.UNKNOWN_TOPIC_ID,
};
const fromWire = new Map<number, ReplicaRefusal>(
  Object.entries(toWire).map(([name, value]) => [value, name as ReplicaRefusal]),
);

export function refusalToWire(refusal: ReplicaRefusal): WireRefusal {
  return toWire[refusal];
}

/** One that a newer version made up is read as NOT_LEADER: the follower waits a little and asks again. */
export function refusalFromWire(refusal: number): ReplicaRefusal {
  return fromWire.get(refusal) ?? "NOT_LEADER";
}
