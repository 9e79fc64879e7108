import { create } from "@bufbuild/protobuf";
import { type BrokerEpoch, brokerEpoch, brokerId, leaderEpoch, partitionEpoch } from "@tidemark/ids";
import { ErrorDetailSchema, Outcome, Reason } from "@tidemark/proto/common/v1";
import type { AlterPartition, AlterPartitionAnswer, ProposalAttempt } from "@tidemark/replication";
import { TidemarkError } from "@tidemark/rpc";
import { describe, expect, it, test } from "vitest";
import { createIsrChanges } from "./isr-changes.ts";
import { eventually, replica, runtime, self, startController } from "./testing/scripted-controller.ts";

const proposal = (attempt: number, change: Partial<AlterPartition["proposal"]> = {}): AlterPartition => ({
  attempt: attempt as ProposalAttempt,
  proposal: {
    leaderEpoch: leaderEpoch(3),
    partitionEpoch: partitionEpoch(7),
    isr: [
      { replica: self, brokerEpoch: brokerEpoch(5) },
      { replica: brokerId(2), brokerEpoch: undefined },
    ],
    recovering: false,
    reason: "",
    ...change,
  },
});

async function startChanges() {
  const { state, server, controller } = await startController();
  const changes = createIsrChanges({
    controller,
    scheduler: runtime.scheduler,
    brokerId: self,
    brokerEpoch: () => 5 as BrokerEpoch,
    onHeard: () => undefined,
  });
  const answers = new Map<number, AlterPartitionAnswer>();
  const propose = (partition: number, request = proposal(partition)) => {
    changes.propose(replica(partition), request, (answer) => answers.set(request.attempt, answer));
  };
  return { state, server, answers, propose };
}

const failure = (partition: number, reason: Reason) => ({
  ...replica(partition),
  error: create(ErrorDetailSchema, { reason }),
});

describe("proposals of one moment", () => {
  it("travel in one request, with no broker epoch for a member that proved none", async () => {
    const { state, answers, propose } = await startChanges();
    for (const partition of [0, 1, 2]) propose(partition);
    await eventually(() => answers.size).toBe(3);
    expect(state.alters).toHaveLength(1);
    expect(state.alters[0]).toMatchObject({
      brokerId: 1,
      brokerEpoch: 5,
      partitions: [
        {
          partition: 0,
          leaderEpoch: 3,
          partitionEpoch: 7,
          isr: [
            { brokerId: 1, brokerEpoch: 5 },
            { brokerId: 2, brokerEpoch: 0 },
          ],
          recovered: true,
        },
        { partition: 1 },
        { partition: 2 },
      ],
    });
  });

  it("settle by their own reasons, and an unknown one settles nothing", async () => {
    const { state, answers, propose } = await startChanges();
    const reasons: [Reason, AlterPartitionAnswer["kind"]][] = [
      [Reason.INELIGIBLE_REPLICA, "INELIGIBLE_REPLICA"],
      [Reason.NOT_ATTEMPTED, "NOT_ATTEMPTED"],
      [Reason.INVALID_PARTITION_EPOCH, "PARTITION_EPOCH_MISMATCH"],
      [Reason.FENCED_LEADER_EPOCH, "LEADER_EPOCH_MISMATCH"],
      [Reason.UNKNOWN_LEADER_EPOCH, "LEADER_EPOCH_MISMATCH"],
      [Reason.NOT_LEADER, "LEADER_EPOCH_MISMATCH"],
      [Reason.INTERNAL, "UNKNOWN"],
      [Reason.UNKNOWN_TOPIC_ID, "UNKNOWN"],
    ];
    state.alter = () => reasons.map(([reason], partition) => failure(partition, reason));
    for (const partition of reasons.keys()) propose(partition);
    propose(reasons.length);
    await eventually(() => answers.size).toBe(reasons.length + 1);
    expect([...answers.values()].map(({ kind }) => kind)).toEqual([...reasons.map(([, kind]) => kind), "UNKNOWN"]);
    expect(answers.get(0)).toMatchObject({ controllerEpoch: 4 });
  });

  it("of one partition have each its own answer: what settles one says nothing of the other", async () => {
    const { state, answers, propose } = await startChanges();
    state.alter = () => [failure(0, Reason.INELIGIBLE_REPLICA), failure(0, Reason.INVALID_PARTITION_EPOCH)];
    for (const attempt of [1, 2]) propose(0, proposal(attempt));
    const kinds = () => [1, 2].map((attempt) => answers.get(attempt)?.kind);
    await eventually(kinds).toEqual(["INELIGIBLE_REPLICA", "PARTITION_EPOCH_MISMATCH"]);
  });

  it("that were applied bring the state", async () => {
    const { state, answers, propose } = await startChanges();
    state.alter = () => [
      {
        ...replica(0),
        state: { ...replica(0), replicas: [{ brokerId: 1 }], isr: [1], minIsr: 1, leader: 1, partitionEpoch: 8 },
      },
    ];
    propose(0);
    await eventually(() => answers.size).toBe(1);
    expect(answers.get(0)).toMatchObject({ kind: "applied", state: { isr: [1], partitionEpoch: 8 } });
  });

  test.each([
    [Reason.NOT_CONTROLLER, Outcome.NOT_APPLIED, "NOT_CONTROLLER"],
    [Reason.METADATA_OUTCOME_UNKNOWN, Outcome.UNKNOWN, "UNKNOWN"],
  ] as const)("fail as a whole (%i) as what is known of the call, and are sent once", async (reason, outcome, kind) => {
    const { state, answers, propose } = await startChanges();
    state.alter = () => {
      throw new TidemarkError({ reason, outcome, message: "no" });
    };
    propose(0);
    await eventually(() => answers.size).toBe(1);
    expect(answers.get(0)).toEqual({ kind });
    expect(state.alters).toHaveLength(1);
  });

  it("20j: whose answer is lost with the connection are in doubt", async () => {
    const { state, server, answers, propose } = await startChanges();
    let arrived = false;
    state.alter = () => {
      arrived = true;
      server.stop(0).catch(() => undefined);
      throw new TidemarkError({ reason: Reason.UNAVAILABLE, outcome: Outcome.UNKNOWN, message: "gone" });
    };
    propose(0);
    await eventually(() => answers.size).toBe(1);
    expect([arrived, answers.get(0)]).toEqual([true, { kind: "UNKNOWN" }]);
  });
});
