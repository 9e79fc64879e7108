import { eachPartition, listPartitions, listTopics, type MetadataImage, type Partition } from "@tidemark/metadata";
import type { SimCluster } from "../cluster/cluster.ts";
import type { SimNode } from "../cluster/node.ts";
import type { ReplicaWatch } from "./replica-watch.ts";

/** What a machine is as far as the report of a failure needs it. */
type Machine = Pick<SimNode, "name" | "identity" | "device" | "process" | "service">;

/** What is told of, at one moment. */
export interface ClusterAtAMoment {
  readonly cluster: {
    readonly [role in keyof Pick<SimCluster, "controllers" | "brokers" | "gateways" | "etcds">]: readonly Machine[];
  };
  /** The metadata as they are known to somebody whom no fault reaches. */
  readonly image: MetadataImage;
  /** Controller epoch in which the controller in this process is active. Undefined: it is not. */
  readonly activeIn: (process: string) => number | undefined;
  readonly replicas: Pick<ReplicaWatch, "describe">;
  readonly engine: { readonly nowMs: number };
}

/**
 * A cluster as it stands, so that a failed run can be read without a second one: which machines run and what is done to
 * them; which controllers are active; which brokers have no session, or one that is fenced; of every partition leader,
 * ISR, ELR and replicas, and beneath it what its living replicas know. A line each.
 */
export function describeCluster(given: ClusterAtAMoment): readonly string[] {
  const { cluster, image, engine } = given;
  const { controllers, brokers, gateways, etcds } = cluster;
  const lineOf = (machine: Machine, more: readonly string[]) =>
    [`${machine.name} ${describeMachine(machine, engine.nowMs)}`, ...more].join("; ");
  return [
    ...etcds.map((machine) => lineOf(machine, [])),
    ...controllers.map((machine) => lineOf(machine, [describeActivity(machine, given)])),
    `the metadata name ${image.controller?.endpoint ?? "nobody"} as active, in controller epoch ${image.controller?.controllerEpoch ?? "none"}`,
    ...brokers.map((machine) => lineOf(machine, [describeSession(machine, image)])),
    ...gateways.map((machine) => lineOf(machine, [])),
    ...describePartitions(image, given.replicas),
  ];
}

function describeMachine({ process, service, device }: Machine, nowMs: number): string {
  const { faults } = device;
  const life =
    process === undefined ? "does not run" : `${service === undefined ? "starts" : "runs"} as ${process.name}`;
  return [
    process?.isPaused === true ? `${life}, paused` : life,
    ...(faults.stalledUntilMs > nowMs ? ["its flushes stand still"] : []),
    ...(faults.failedSyncs > 0 ? ["its flushes fail"] : []),
    ...(Number.isFinite(faults.capacity) ? ["its disk is full"] : []),
    ...(faults.failing === undefined ? [] : [`${faults.failing.directory} fails`]),
    ...(device.wasLost ? ["its disk was replaced"] : []),
    ...(device.wasDamaged ? ["its disk was damaged"] : []),
  ].join(", ");
}

function describeActivity({ process }: Machine, { activeIn }: ClusterAtAMoment): string {
  const epoch = process === undefined ? undefined : activeIn(process.name);
  return epoch === undefined ? "not active" : `active in controller epoch ${epoch}`;
}

function describeSession({ identity }: Machine, { sessions, knownBrokers }: MetadataImage): string {
  const session = [...sessions.values()].find(({ brokerId }) => brokerId === identity.id);
  if (session !== undefined) {
    const { state, brokerEpoch, directoryIds } = session;
    return `registered, ${state}, in broker epoch ${brokerEpoch} with ${directoryIds.length} log directories`;
  }
  const known = [...knownBrokers.values()].find(({ brokerId }) => brokerId === identity.id);
  return known === undefined ? "never registered" : `unregistered, last in broker epoch ${known.brokerEpoch}`;
}

function describePartitions(image: MetadataImage, replicas: ClusterAtAMoment["replicas"]): readonly string[] {
  const told = new Set([...eachPartition(image)].map(({ partition }) => nameOf(partition)));
  const lines = listTopics(image).flatMap(({ name, topicId }) =>
    listPartitions(image, topicId).flatMap((partition) => [
      `${name}-${partition.partition} (${nameOf(partition)}) ${describePartition(partition)}`,
      ...replicas.describe((key) => key === nameOf(partition)).map((line) => `  ${line}`),
    ]),
  );
  const others = replicas.describe((key) => !told.has(key));
  return others.length === 0 ? lines : [...lines, "replicas of what the metadata do not show:", ...others];
}

function nameOf({ topicId, partition }: Partition): string {
  return `${topicId}-${partition}`;
}

function describePartition(partition: Partition): string {
  const { leader, leaderEpoch, partitionEpoch, isr, elr, minIsr, replicas, recovering, regressedFrom } = partition;
  const assigned = replicas.map(
    ({ brokerId, damagedIn }) => `${brokerId}${damagedIn === undefined ? "" : " (damaged)"}`,
  );
  return [
    `is led by ${leader ?? "nobody"} in leader epoch ${leaderEpoch}`,
    `partition epoch ${partitionEpoch}`,
    `ISR ${listOf(isr)}`,
    `ELR ${listOf(elr)}`,
    `replicas ${listOf(assigned)}`,
    `min ISR ${minIsr}`,
    ...(partition.adding.length === 0 ? [] : [`adding ${listOf(partition.adding)}`]),
    ...(partition.removing.length === 0 ? [] : [`removing ${listOf(partition.removing)}`]),
    ...(recovering ? ["recovering"] : []),
    ...(regressedFrom === undefined ? [] : [`fallen behind leader epoch ${regressedFrom}`]),
  ].join(", ");
}

function listOf(members: readonly (string | number)[]): string {
  return members.length === 0 ? "none" : members.join(",");
}
