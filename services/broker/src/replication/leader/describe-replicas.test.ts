import { type LeaderEpoch, leaderEpoch, offset } from "@tidemark/ids";
import type { Log } from "@tidemark/log";
import { Reason } from "@tidemark/proto/common/v1";
import { ReplicaCondition, ReplicaService } from "@tidemark/proto/replica/v1";
import { createChannel, createRpcClient } from "@tidemark/rpc";
import { describe, expect, it } from "vitest";
import type { ReplicaInspection } from "../replica-inspection.ts";
import { cleanUp, createFakeServing, replica, runtime, startLeader } from "../testing/replica-harness.ts";

const soundLog = {
  status: { kind: "online" },
  latestLeaderEpoch: leaderEpoch(5),
  logStartOffset: offset(10n),
  storedLogStart: offset(9n),
  logEndOffset: offset(100n),
  flushedOffset: offset(90n),
  highWatermark: offset(80n),
  endOffsetFor: (asked: LeaderEpoch) =>
    asked > 5 ? undefined : { leaderEpoch: leaderEpoch(4), endOffset: offset(60n) },
} as unknown as Log;
const damage = "a batch at 7 is not what its checksum says";
const damagedLog = { status: { kind: "offline", damage: { detail: damage } } } as unknown as Log;

/** Of a topic that was deleted. */
const foreign = "00000000-0000-4000-8000-0000000000ff";

/** Partition 0 is led here and sound, 1 is damaged, and there is no other. */
const inspection: ReplicaInspection = {
  brokerEpoch: () => 6 as never,
  replicas: () => [replica(0), replica(1)],
  log: ({ partition }) => [soundLog, damagedLog][partition],
  trouble: ({ partition }) => (partition === 3 ? "its directory is not there" : undefined),
  regressedFrom: ({ partition }) => (partition === 0 ? leaderEpoch(9) : undefined),
  isForeign: ({ topicId }) => topicId === foreign,
  ledIn: ({ partition }) => (partition === 0 ? leaderEpoch(5) : undefined),
};

async function ask() {
  const { endpoint } = await startLeader(createFakeServing(), { inspection });
  const channel = createChannel(endpoint, { trafficClass: "admin", runtime });
  cleanUp(channel.close);
  return createRpcClient(ReplicaService, channel);
}

describe("questions about replicas", () => {
  it("are answered with how each replica stands: sound, damaged, not there, or in a directory that is out of service", async () => {
    const client = await ask();
    const { brokerId, brokerEpoch, replicas } = await client.describeReplica({ partitions: [0, 1, 2, 3].map(replica) });
    expect([brokerId, brokerEpoch]).toEqual([1, 6]);
    expect(replicas).toMatchObject([
      {
        partition: 0,
        condition: ReplicaCondition.ONLINE,
        lastLeaderEpoch: 5,
        regressedFrom: 9,
        logStart: 10n,
        storedLogStart: 9n,
        logEnd: 100n,
        flushed: 90n,
        highWatermark: 80n,
        damage: "",
      },
      { partition: 1, condition: ReplicaCondition.OFFLINE, damage, logEnd: 0n },
      { partition: 2, condition: ReplicaCondition.ABSENT, damage: "" },
      { partition: 3, condition: ReplicaCondition.OFFLINE, damage: "its directory is not there" },
    ]);
  });

  it("concern every replica of the broker where none is named", async () => {
    const { replicas } = await (await ask()).describeReplica({});
    expect(replicas.map(({ partition }) => partition)).toEqual([0, 1]);
  });

  it("find the end of a leader epoch, and the log's end for one that is newer than all", async () => {
    const client = await ask();
    const questions = [4, 9].map((asked) => ({ ...replica(0), leaderEpoch: asked, currentLeaderEpoch: 5 }));
    const { ends } = await client.endOffsetForLeaderEpoch({ questions });
    expect(ends).toMatchObject([
      { leaderEpoch: 4, endOffset: 60n },
      { leaderEpoch: 5, endOffset: 100n },
    ]);
  });

  it("are refused one by one where the broker does not lead, or the caller's leader epoch or topic is another", async () => {
    const client = await ask();
    const question = { ...replica(0), leaderEpoch: 4 };
    const { ends } = await client.endOffsetForLeaderEpoch({
      questions: [
        question,
        { ...question, currentLeaderEpoch: 4 },
        { ...question, currentLeaderEpoch: 6 },
        { ...question, partition: 1 },
        { ...question, topicId: foreign },
      ],
    });
    expect(ends.map(({ error }) => error?.reason)).toEqual([
      undefined,
      Reason.FENCED_LEADER_EPOCH,
      Reason.UNKNOWN_LEADER_EPOCH,
      Reason.NOT_LEADER,
      Reason.UNKNOWN_TOPIC_ID,
    ]);
  });

  it("are refused as a whole where they cannot be meant, or are too many", async () => {
    const client = await ask();
    const wrong = [
      client.describeReplica({ partitions: [{ topicId: "no-uuid", partition: 0 }] }),
      client.describeReplica({ partitions: Array.from({ length: 10_001 }, () => replica(0)) }),
      client.endOffsetForLeaderEpoch({ questions: [{ ...replica(0), leaderEpoch: 2 ** 31 }] }),
    ];
    for (const call of wrong) await expect(call).rejects.toMatchObject({ reason: Reason.INVALID_ARGUMENT });
  });
});
