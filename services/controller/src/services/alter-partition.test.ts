import type { AppendOutcome, Consensus } from "@tidemark/consensus";
import { findPartition } from "@tidemark/metadata";
import { AlterPartitionRequestSchema } from "@tidemark/proto/cluster/v1";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { expect, it, onTestFinished } from "vitest";
import { callContext, createTopic, describeTopic, joinBroker, request } from "../testing/calls.ts";
import { createWorld } from "../testing/world.ts";
import { readPartition, readTopicId } from "./requests.ts";

/** The first `taken` appends behind `arm` go on, and all later ones find another leader. */
function withFenceBehind(consensus: Consensus, taken: number): { readonly handle: Consensus; arm(): void } {
  let left = Number.POSITIVE_INFINITY;
  const append: Consensus["append"] = async (epoch, changes): Promise<AppendOutcome> => {
    left -= 1;
    if (left >= 0) return consensus.append(epoch, changes);
    return { kind: "refused", reason: "FENCED", message: "another controller leads" };
  };
  const arm = () => {
    left = taken;
  };
  return { handle: { ...consensus, append }, arm };
}

it.each([
  { taken: 0, outcome: Outcome.NOT_APPLIED, isr: 3 },
  { taken: 1, outcome: Outcome.UNKNOWN, isr: 1 },
])("proposals of which $taken parts were committed when the leadership ended have the outcome $outcome", async (of) => {
  const w = await createWorld();
  onTestFinished(() => w.close());
  let arm: () => void = () => undefined;
  const node = await w.start(1, {
    wrap(consensus) {
      const fenced = withFenceBehind(consensus, of.taken);
      arm = fenced.arm;
      return fenced.handle;
    },
  });
  await w.active();
  const [first] = [await joinBroker(w, node, 1), await joinBroker(w, node, 2), await joinBroker(w, node, 3)];
  await w.settle(createTopic(node, "t", { partitions: 6, replicationFactor: 3 }));
  const { topicId, partitions } = await w.settle(describeTopic(node, "t"));
  const [one, other] = partitions.filter(({ leader }) => leader === 1).map(({ partition }) => partition);
  const alone = { topicId, partitionEpoch: 0, leaderEpoch: 0, isr: [{ brokerId: 1, brokerEpoch: 0 }] };
  const shrunk = (partition = -1) => ({ ...alone, partition });
  // A hundred are decided together: the last one is decided behind them.
  const stale = Array.from({ length: 99 }, () => ({ ...shrunk(one), partitionEpoch: 7 }));
  const call = request(AlterPartitionRequestSchema, { ...first, partitions: [shrunk(one), ...stale, shrunk(other)] });
  arm();
  const answer = w.settle(node.controller.cluster.alterPartition(call, callContext()));
  await expect(answer).rejects.toMatchObject({ reason: Reason.NOT_CONTROLLER, outcome: of.outcome });
  const isrOf = (partition = -1) =>
    findPartition(node.controller.image, readTopicId(topicId), readPartition(partition))?.isr.length;
  expect(isrOf(one)).toBe(of.isr);
  expect(isrOf(other)).toBe(3);
});
