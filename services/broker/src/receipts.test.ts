/** What replicas tell for the receipt of an unclean election (D3): exactly what they cut, whatever comes in between. */
import { brokerId, leaderEpoch, offset } from "@tidemark/ids";
import type { Receipt } from "@tidemark/metadata";
import { describe, expect, it } from "vitest";
import type { ProduceOutcome } from "./partition/partition.ts";
import { thePartition } from "./testing/fake-controller.ts";
import { createReplicaCluster, one, type ReplicaCluster, three, two } from "./testing/replica-cluster.ts";

async function acknowledged(cluster: ReplicaCluster, text: string, at = one): Promise<void> {
  let outcome: ProduceOutcome | undefined;
  cluster.produce(at, text).then(
    (settled) => {
      outcome = settled;
    },
    () => undefined,
  );
  await cluster.until(() => outcome !== undefined);
  expect(outcome).toMatchObject({ kind: "acknowledged" });
}

/** Opens a receipt of the present leader epoch, or completes it. */
function putReceipt({ controller }: ReplicaCluster, awaited: readonly number[]): void {
  const { leader, leaderEpoch: epoch } = controller.partition();
  const value: Receipt = {
    ...thePartition,
    leaderEpoch: epoch,
    leader: leader ?? three,
    commanded: true,
    timeMs: 0,
    positions: [],
    cuts: [],
    awaited: awaited.map(brokerId),
  };
  controller.commit([{ kind: "receipt", ...thePartition, value }]);
}

/** Broker 1 has two records that nobody else has; broker 3 was elected uncleanly before broker 1 came back. */
async function uncleanlyElected(): Promise<ReplicaCluster> {
  const cluster = await createReplicaCluster({ minIsr: 1 });
  await acknowledged(cluster, "a");
  for (const id of [two, three]) cluster.crash(id);
  await acknowledged(cluster, "lost");
  await acknowledged(cluster, "lost too");
  cluster.crash(one);
  cluster.controller.elect(three, [three]);
  putReceipt(cluster, [1, 2]);
  await cluster.start(three);
  await acknowledged(cluster, "b", three);
  await cluster.start(one);
  return cluster;
}

const hasCut = ({ events }: ReplicaCluster) => events.some((event) => event.startsWith("1: truncated"));

/** The same, and broker 1 has cut them. */
async function cutByUncleanElection(): Promise<ReplicaCluster> {
  const cluster = await uncleanlyElected();
  await cluster.until(() => hasCut(cluster));
  return cluster;
}

const told = (cluster: ReplicaCluster) => cluster.broker(one).table.truncations();
const theCut = { ...thePartition, firstOffset: offset(1n), logEnd: offset(3n) };

async function untilTold(cluster: ReplicaCluster) {
  await cluster.until(() => told(cluster).length > 0);
  return told(cluster);
}

/** What simulated seeds 3042 and 20001 found: it told from memory what it had cut. */
describe("a replica that cuts because of an unclean election", () => {
  it("tells what it cut", async () => {
    const cluster = await cutByUncleanElection();
    expect(await untilTold(cluster)).toEqual([{ ...theCut, leaderEpoch: leaderEpoch(2) }]);
  });

  it("does not tell that it cut nothing while it still cuts", async () => {
    const cluster = await uncleanlyElected();
    const release = cluster.broker(one).disk.holdSyncs();
    await cluster.until(() => hasCut(cluster));
    await cluster.advance(1000);
    expect(told(cluster)).toEqual([]);
    release();
    expect(await untilTold(cluster)).toEqual([{ ...theCut, leaderEpoch: leaderEpoch(2) }]);
  });

  it("tells it though its machine lost power before it had", async () => {
    const cluster = await cutByUncleanElection();
    await cluster.until(() => cluster.broker(one).partition().log.logEndOffset === 2n);
    cluster.crash(one);
    await cluster.start(one);
    expect(await untilTold(cluster)).toEqual([{ ...theCut, leaderEpoch: leaderEpoch(2) }]);
  });

  it("tells it though another leader was elected before it had", async () => {
    const cluster = await cutByUncleanElection();
    await untilTold(cluster);
    cluster.controller.elect(three, [three]);
    await cluster.publish();
    expect(await untilTold(cluster)).toEqual([{ ...theCut, leaderEpoch: leaderEpoch(3) }]);
  });

  it("tells it as a leader, where the receipt of the next unclean election waits for it too", async () => {
    const cluster = await cutByUncleanElection();
    await untilTold(cluster);
    cluster.controller.elect(one, [one]);
    putReceipt(cluster, [1, 2, 3]);
    await cluster.publish();
    expect(await untilTold(cluster)).toEqual([{ ...theCut, leaderEpoch: leaderEpoch(3) }]);
  });

  it("forgets it when the receipt has it, and tells the next one nothing of it", async () => {
    const cluster = await cutByUncleanElection();
    await untilTold(cluster);
    putReceipt(cluster, [2]);
    await cluster.publish();
    expect(told(cluster)).toEqual([]);
    cluster.controller.elect(three, [three]);
    putReceipt(cluster, [1, 2]);
    await cluster.publish();
    const nothing = { ...thePartition, leaderEpoch: leaderEpoch(3), firstOffset: offset(2n), logEnd: offset(2n) };
    expect(await untilTold(cluster)).toEqual([nothing]);
    await cluster.stop(one);
    await cluster.start(one);
    expect(await untilTold(cluster)).toEqual([nothing]);
  });
});
