/** The controller of a test: the real decisions over an image, without a store, and answers that can be lost. */
import {
  type BrokerId,
  brokerEpoch,
  controllerEpoch,
  type LeaderEpoch,
  leaderEpoch,
  offset,
  type PartitionEpoch,
  partitionEpoch,
  partitionIndex,
  revision,
  topicId,
} from "@tidemark/ids";
import {
  alterPartitions,
  applyChanges,
  type BrokerSession,
  emptyImage,
  findPartition,
  type MetadataChange,
  type MetadataImage,
  type Partition,
} from "@tidemark/metadata";
import { Reason } from "@tidemark/proto/common/v1";
import type { AlterPartition, AlterPartitionAnswer } from "@tidemark/replication";
import { reasonName } from "@tidemark/rpc";
import { partitionStateOf } from "../table/partition-state-of.ts";
import type { TableUpdate } from "../table/table-state.ts";

export const theTopic = topicId("00000000-0000-4000-8000-000000000001");
export const thePartition = { topicId: theTopic, partition: partitionIndex(0) };

export interface FakeController {
  readonly image: MetadataImage;
  readonly revision: bigint;
  update(): TableUpdate;
  partition(): Partition;
  /** Changes the partition, partition epoch + 1. */
  change(of: Partial<Partition>): void;
  /** Makes `leader` the leader of the next leader epoch. */
  elect(leader: BrokerId | undefined, isr: readonly BrokerId[], elr?: readonly BrokerId[]): void;
  /** A new session of the broker. Returns its registration. */
  register(broker: BrokerId, directoryIds: readonly string[]): { brokerEpoch: number; revision: bigint };
  commit(changes: readonly MetadataChange[]): void;
  alter(from: BrokerId, request: AlterPartition): AlterPartitionAnswer;
  /** Every proposal that arrived. */
  readonly proposals: { readonly from: BrokerId; readonly isr: readonly BrokerId[] }[];
}

export function createFakeController(of: {
  readonly replicas: readonly BrokerId[];
  readonly minIsr: number;
  readonly settings?: Readonly<Record<string, string>>;
}): FakeController {
  let image = emptyImage;
  let at = 0n;
  const proposals: { readonly from: BrokerId; readonly isr: readonly BrokerId[] }[] = [];

  const commit = (changes: readonly MetadataChange[]) => {
    image = applyChanges(image, changes).image;
    at++;
  };
  const partition = (): Partition => {
    const found = findPartition(image, theTopic, thePartition.partition);
    if (found === undefined) throw new Error("no partition");
    return found;
  };
  const put = (value: Partition) => {
    commit([{ kind: "partition", topicId: theTopic, partition: value.partition, value }]);
  };
  const change = (more: Partial<Partition>) => {
    const before = partition();
    put({ ...before, ...more, partitionEpoch: (before.partitionEpoch + 1) as PartitionEpoch });
  };

  const made: Partition = {
    topicId: theTopic,
    partition: thePartition.partition,
    replicas: of.replicas.map((brokerId) => ({ brokerId, directoryId: undefined })),
    isr: of.replicas,
    elr: [],
    minIsr: of.minIsr,
    leader: of.replicas[0],
    leaderEpoch: leaderEpoch(1),
    partitionEpoch: partitionEpoch(1),
    controllerEpoch: controllerEpoch(1),
    adding: [],
    removing: [],
    recovering: false,
    logStart: offset(0n),
  };
  commit([
    { kind: "partition", topicId: theTopic, partition: made.partition, value: made },
    {
      kind: "topic",
      name: "t",
      value: {
        name: "t",
        topicId: theTopic,
        partitions: 1,
        replicationFactor: of.replicas.length,
        settings: new Map(Object.entries(of.settings ?? {})),
      },
    },
  ]);

  return {
    get image() {
      return image;
    },
    get revision() {
      return at;
    },
    proposals,
    update: () => ({ image, revision: revision(at), controllerEpoch: controllerEpoch(1) }),
    partition,
    change,
    commit,
    elect(leader, isr, elr = []) {
      change({ leader, isr, elr, leaderEpoch: (partition().leaderEpoch + 1) as LeaderEpoch });
    },
    register(broker, directoryIds) {
      const epoch = brokerEpoch((image.sessions.get(broker)?.brokerEpoch ?? 0) + 1);
      const value: BrokerSession = {
        ...({ fenced: undefined } as object),
        brokerId: broker,
        brokerEpoch: epoch,
        incarnationId: "i",
        directoryIds: directoryIds as BrokerSession["directoryIds"],
        endpoints: [{ listener: "client", host: "127.0.0.1", port: 4660 + broker }],
        rack: "",
        state: "running",
      };
      commit([{ kind: "brokerSession", brokerId: broker, value }]);
      return { brokerEpoch: epoch, revision: at };
    },
    alter(from, { proposal }) {
      proposals.push({ from, isr: proposal.isr.map(({ replica }) => replica) });
      const session = image.sessions.get(from);
      if (session === undefined) return { kind: "NOT_CONTROLLER" };
      const decision = alterPartitions(
        image,
        {
          brokerId: from,
          brokerEpoch: session.brokerEpoch,
          proposals: [
            {
              ...thePartition,
              leaderEpoch: proposal.leaderEpoch,
              partitionEpoch: proposal.partitionEpoch,
              isr: proposal.isr.map((member) => ({
                brokerId: member.replica,
                brokerEpoch: member.brokerEpoch ?? brokerEpoch(0),
              })),
              recovered: !proposal.recovering,
            },
          ],
        },
        controllerEpoch(1),
      );
      if (decision.kind !== "decided") return { kind: "NOT_CONTROLLER" };
      commit(decision.changes);
      const [result] = decision.answer;
      if (result?.kind === "applied") {
        return { kind: "applied", controllerEpoch: controllerEpoch(1), state: partitionStateOf(result.partition) };
      }
      const reason = result?.refusal.reason ?? Reason.INTERNAL;
      switch (reason) {
        case Reason.INELIGIBLE_REPLICA:
          return { kind: "INELIGIBLE_REPLICA", controllerEpoch: controllerEpoch(1), replicas: [] };
        case Reason.INVALID_PARTITION_EPOCH:
          return { kind: "PARTITION_EPOCH_MISMATCH", controllerEpoch: controllerEpoch(1) };
        case Reason.FENCED_LEADER_EPOCH:
        case Reason.UNKNOWN_LEADER_EPOCH:
        case Reason.NOT_LEADER:
          return { kind: "LEADER_EPOCH_MISMATCH", controllerEpoch: controllerEpoch(1) };
        default:
          throw new Error(`not foreseen: ${reasonName(reason)}`);
      }
    },
  };
}
