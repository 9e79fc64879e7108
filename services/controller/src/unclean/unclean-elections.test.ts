import { create } from "@bufbuild/protobuf";
import { brokerEpoch, brokerId, controllerEpoch, directoryId, partitionIndex, topicId } from "@tidemark/ids";
import { applyChanges, emptyImage, type MetadataChange, readPartition } from "@tidemark/metadata";
import { PartitionRecordSchema } from "@tidemark/proto/metadata/v1";
import { createDeferred, createManualTime, createSeededRandom } from "@tidemark/runtime";
import { expect, it } from "vitest";
import type { ActiveTerm } from "../commands/role.ts";
import type { DescribedReplicas } from "./describe-replicas.ts";
import { createUncleanElections } from "./unclean-elections.ts";

const topic = "aaaaaaaa-0000-4000-8000-000000000001";
const disk = "dddddddd-0000-4000-8000-000000000001";

/** A partition that nobody leads, whose topic allows anybody to; broker 2 lives. */
const leaderless: readonly MetadataChange[] = [
  {
    kind: "brokerSession",
    brokerId: brokerId(2),
    value: {
      brokerId: brokerId(2),
      brokerEpoch: brokerEpoch(1),
      incarnationId: "",
      directoryIds: [directoryId(disk)],
      endpoints: [],
      rack: "",
      state: "running",
    },
  },
  {
    kind: "partition",
    topicId: topicId(topic),
    partition: partitionIndex(0),
    value: readPartition(
      create(PartitionRecordSchema, {
        topicId: topic,
        replicas: [{ brokerId: 2, directoryId: disk }],
        minIsr: 1,
      }),
    ),
  },
  {
    kind: "topic",
    name: "t",
    value: {
      name: "t",
      topicId: topicId(topic),
      partitions: 1,
      replicationFactor: 1,
      settings: new Map([["unclean.leader.election.enable", "true"]]),
    },
  },
];

const termOf = (epoch: number): ActiveTerm => ({
  epoch: controllerEpoch(epoch),
  signal: new AbortController().signal,
});

it("a question that is answered after its term leaves the timer of the next term alone", async () => {
  const time = createManualTime();
  const applied = applyChanges(emptyImage, leaderless);
  const [first, second] = [termOf(1), termOf(2)];
  const role: { term: ActiveTerm | undefined } = { term: first };
  const questions: ReturnType<typeof createDeferred<DescribedReplicas>>[] = [];
  const elections = createUncleanElections(
    {
      settings: { sessionTimeoutMs: 2400, uncleanElection: false, uncleanRecoveryWaitMs: 60_000 },
      runtime: { ...time, random: createSeededRandom(1) },
      follower: {
        image: applied.image,
        onStep: (listener: (step: typeof applied) => void) => {
          listener(applied);
          return () => undefined;
        },
      },
      queue: {},
      role,
      sessions: { absentForMs: () => 10_000 },
    } as unknown as Parameters<typeof createUncleanElections>[0],
    () => {
      const question = createDeferred<DescribedReplicas>();
      questions.push(question);
      return question.promise;
    },
  );
  elections.begin(first);
  await time.advance(200);
  expect(questions).toHaveLength(1);
  elections.end();
  role.term = second;
  elections.begin(second);
  questions[0]?.reject(new Error("No connection"));
  await time.advance(200);
  expect(questions).toHaveLength(2);
});
