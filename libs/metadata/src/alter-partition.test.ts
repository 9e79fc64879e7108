import { brokerEpoch, brokerId, leaderEpoch, partitionIndex } from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import { describe, expect, it, test } from "vitest";
import { alterPartitions, type IsrProposal } from "./alter-partition.ts";
import { electPreferred, rebalanceLeaders } from "./elect-preferred.ts";
import type { MetadataImage } from "./image.ts";
import type { BrokerSession } from "./model.ts";
import { beginShutdown } from "./shutdown.ts";
import {
  context,
  directoryOf,
  follow,
  idOf,
  imageOf,
  ordersId,
  partitionIn,
  partitionOf,
  sessionOf,
  shapeOf,
} from "./testing/world.ts";

const run = (sessions: readonly Partial<BrokerSession>[] = [{}, {}, {}]) =>
  sessions.map((fields, index) => sessionOf(index + 1, fields));

/** A proposal on leader epoch 4 and partition epoch 7, members as `id` or `id@epoch`. */
function proposal(isr: readonly (number | string)[], fields: Partial<IsrProposal> = {}): IsrProposal {
  return {
    topicId: ordersId,
    partition: partitionIndex(0),
    leaderEpoch: leaderEpoch(4),
    partitionEpoch: 7,
    isr: isr.map((member) => {
      const [id, epoch = "1"] = String(member).split("@");
      return { brokerId: brokerId(Number(id)), brokerEpoch: brokerEpoch(Number(epoch)) };
    }),
    recovered: false,
    ...fields,
  };
}

function alter(image: MetadataImage, ...proposals: readonly IsrProposal[]) {
  return alterPartitions(
    image,
    { brokerId: brokerId(1), brokerEpoch: brokerEpoch(1), proposals },
    context.controllerEpoch,
  );
}

function outcomeOf(image: MetadataImage, given: IsrProposal) {
  const decision = alter(image, given);
  if (decision.kind === "refused") return decision.refusal.reason;
  const [result] = decision.answer;
  return result?.kind === "refused" ? result.refusal.reason : result?.partition;
}

describe("a proposal of in-sync replicas", () => {
  test.each([
    { says: "shrinks the ISR", before: partitionOf(), isr: [1, 2], after: { isr: [1, 2], elr: [] } },
    {
      says: "keeps who leaves below min ISR as eligible (R13)",
      before: partitionOf(),
      isr: [1],
      after: { isr: [1], elr: [2, 3] },
    },
    {
      says: "grows the ISR and empties the ELR",
      before: partitionOf({ isr: [1], elr: [2] }),
      isr: [2, 1],
      after: { isr: [1, 2], elr: [] },
    },
    {
      says: "that changes nothing raises the partition epoch all the same (R6)",
      before: partitionOf(),
      isr: [1, 2, 3],
      after: { isr: [1, 2, 3], elr: [] },
    },
  ])("$says", ({ before, isr, after }) => {
    const image = imageOf(run(), [before]);
    const changed = partitionIn(follow(image, alter(image, proposal(isr))).image);
    expect(shapeOf(changed)).toEqual({ leader: 1, leaderEpoch: 4, partitionEpoch: 8, ...after });
    expect(changed.controllerEpoch).toBe(context.controllerEpoch);
  });

  test.each<readonly [string, IsrProposal, Reason]>([
    ["of an older leader epoch", proposal([1], { leaderEpoch: leaderEpoch(3) }), Reason.FENCED_LEADER_EPOCH],
    [
      "of a leader epoch that has not begun",
      proposal([1], { leaderEpoch: leaderEpoch(5) }),
      Reason.UNKNOWN_LEADER_EPOCH,
    ],
    ["on an older partition epoch", proposal([1], { partitionEpoch: 5 }), Reason.INVALID_PARTITION_EPOCH],
    [
      "on a partition epoch one behind, of another ISR",
      proposal([1], { partitionEpoch: 6 }),
      Reason.INVALID_PARTITION_EPOCH,
    ],
    ["repeated two partition epochs late", proposal([1, 2], { partitionEpoch: 5 }), Reason.INVALID_PARTITION_EPOCH],
    ["on a newer partition epoch", proposal([1], { partitionEpoch: 8 }), Reason.INVALID_PARTITION_EPOCH],
    ["of an unknown topic id", proposal([1], { topicId: idOf(1) }), Reason.UNKNOWN_TOPIC_ID],
    ["of an unknown partition", proposal([1], { partition: partitionIndex(9) }), Reason.UNKNOWN_PARTITION],
    ["without the leader", proposal([2, 3]), Reason.INVALID_ARGUMENT],
    ["with a broker that has no replica", proposal([1, 4]), Reason.INVALID_ARGUMENT],
    ["with a broker twice", proposal([1, 2, 2]), Reason.INVALID_ARGUMENT],
    // Epochs are compared before eligibility: a refusal for a member must not be given to an old proposal (R6).
    [
      "that is old and of an ineligible member",
      proposal([1, "3@9"], { partitionEpoch: 5 }),
      Reason.INVALID_PARTITION_EPOCH,
    ],
  ])("%s is refused", (_, given, reason) => {
    expect(outcomeOf(imageOf(run(), [partitionOf({ isr: [1, 2], minIsr: 1 })]), given)).toBe(reason);
  });

  test.each<readonly [string, readonly BrokerSession[], string]>([
    [
      "with another broker epoch than the one that was proven (case 16)",
      run([{}, {}, { brokerEpoch: brokerEpoch(2) }]),
      "3@1",
    ],
    ["without a session", run([{}, {}]), "3@1"],
    ["that is fenced (case 17)", run([{}, {}, { state: "fenced" }]), "3@1"],
    ["that is stopping (case 17)", run([{}, {}, { state: "stopping" }]), "3@1"],
    ["that has not registered the directory", run([{}, {}, { directoryIds: [directoryOf(3, 1)] }]), "3@1"],
  ])("of a broker %s is ineligible (R10)", (_, sessions, member) => {
    const image = imageOf(sessions, [partitionOf({ isr: [1, 2] })]);
    expect(outcomeOf(image, proposal([1, 2, member]))).toBe(Reason.INELIGIBLE_REPLICA);
  });

  it("asks nothing anew of members that stay", () => {
    const image = imageOf(run([{}, { brokerEpoch: brokerEpoch(5), state: "stopping" }, {}]), [partitionOf()]);
    expect(outcomeOf(image, proposal([1, "2@1"]))).toMatchObject({ isr: [1, 2] });
  });

  it("repeated after its success was lost is a success and changes nothing (case 20b)", () => {
    const image = imageOf(run(), [partitionOf()]);
    const once = follow(image, alter(image, proposal([1, 2]))).image;
    const again = alter(once, proposal([1, 2]));
    expect(again).toMatchObject({ kind: "decided", changes: [], answer: [{ kind: "applied" }] });
  });

  it("of a broker that does not lead is refused", () => {
    const image = imageOf(run(), [partitionOf({ leader: 2 })]);
    expect(outcomeOf(image, proposal([1, 2, 3]))).toBe(Reason.NOT_LEADER);
  });

  it("of a broker whose session is another is refused as a whole", () => {
    const image = imageOf(run([{ brokerEpoch: brokerEpoch(2) }, {}, {}]), [partitionOf()]);
    expect(alter(image, proposal([1]))).toMatchObject({
      kind: "refused",
      refusal: { reason: Reason.STALE_BROKER_EPOCH },
    });
  });

  it("judges each partition by itself, and a second one of the same by what the first made", () => {
    const image = imageOf(run(), [partitionOf(), partitionOf({ partition: partitionIndex(1) })]);
    const decision = alter(
      image,
      proposal([1], { partition: partitionIndex(1) }),
      proposal([1], { partitionEpoch: 0 }),
      proposal([1, 2], { partition: partitionIndex(1) }),
    );
    expect(decision).toMatchObject({
      kind: "decided",
      changes: [{ partition: 1 }],
      answer: [
        { kind: "applied", partition: { isr: [1] } },
        { kind: "refused", refusal: { reason: Reason.INVALID_PARTITION_EPOCH } },
        { kind: "refused", refusal: { reason: Reason.INVALID_PARTITION_EPOCH } },
      ],
    });
  });

  it("ends recovering when the leader has flushed its epoch's start (D2)", () => {
    const image = imageOf(run(), [partitionOf({ isr: [1], minIsr: 1, recovering: true })]);
    const still = follow(image, alter(image, proposal([1]))).image;
    expect(partitionIn(still).recovering).toBe(true);
    const done = follow(still, alter(still, proposal([1], { partitionEpoch: 8, recovered: true }))).image;
    expect(partitionIn(done).recovering).toBe(false);
  });

  it("that would end recovering is no repeat of a change that left it as it was", () => {
    const image = imageOf(run(), [partitionOf({ isr: [1], minIsr: 1, recovering: true })]);
    const late = { partitionEpoch: 6, recovered: true };
    expect(outcomeOf(image, proposal([1], late))).toBe(Reason.INVALID_PARTITION_EPOCH);
    expect(outcomeOf(image, proposal([1], { ...late, recovered: false }))).toMatchObject({ partitionEpoch: 7 });
  });
});

describe("a preferred election", () => {
  const preferred = (image: MetadataImage, partitions?: readonly number[]) =>
    electPreferred(image, { name: "orders", partitions: partitions?.map(partitionIndex) }, context);

  it("gives leadership back to the first replica, in a new leader epoch", () => {
    const image = imageOf(run(), [partitionOf({ leader: 2 })]);
    const { image: after, answer } = follow(image, preferred(image));
    expect(shapeOf(partitionIn(after))).toMatchObject({ leader: 1, leaderEpoch: 5, isr: [1, 2, 3] });
    expect(answer).toMatchObject([{ refusal: undefined }]);
  });

  test.each<readonly [string, MetadataImage, readonly number[] | undefined, Reason]>([
    ["out of sync", imageOf(run(), [partitionOf({ isr: [2, 3] })]), undefined, Reason.PREFERRED_LEADER_NOT_AVAILABLE],
    [
      "stopping",
      imageOf(run([{ state: "stopping" }, {}, {}]), [partitionOf({ leader: 2 })]),
      undefined,
      Reason.PREFERRED_LEADER_NOT_AVAILABLE,
    ],
    ["the leader already, and named", imageOf(run(), [partitionOf()]), [0], Reason.ELECTION_NOT_NEEDED],
    ["of a partition that there is not", imageOf(run(), [partitionOf()]), [4], Reason.UNKNOWN_PARTITION],
  ])("of a replica that is %s changes nothing", (_, image, partitions, reason) => {
    expect(preferred(image, partitions)).toMatchObject({
      kind: "decided",
      changes: [],
      answer: [{ refusal: { reason } }],
    });
  });

  it("of more partitions than there can be is refused before each of them is answered", () => {
    const named = Array.from({ length: 50_001 }, (_, index) => index);
    expect(preferred(imageOf(run(), [partitionOf()]), named)).toMatchObject({
      kind: "refused",
      refusal: { reason: Reason.INVALID_ARGUMENT },
    });
  });

  it("of a whole topic passes over what is right", () => {
    const image = imageOf(run(), [partitionOf(), partitionOf({ partition: partitionIndex(1), leader: 3 })]);
    expect(preferred(image)).toMatchObject({ changes: [{ partition: 1 }], answer: [{ partition: 1 }] });
  });
});

describe("a rebalance of leaders (D4)", () => {
  const partitions = (...leaders: readonly number[]) =>
    leaders.map((leader, index) => partitionOf({ partition: partitionIndex(index), leader }));
  const rebalance = (image: MetadataImage, imbalancePercentageMax: number) =>
    rebalanceLeaders(image, { imbalancePercentageMax }, context);

  test.each([
    ["above its share, all that it can lead is given back", 24, [2, 1, 1, 1], 1],
    ["at its share, nothing moves", 25, [2, 1, 1, 1], 0],
    ["with a share of 0, the first one is enough", 0, [1, 1, 1, 3], 1],
    ["balanced, nothing moves", 0, [1, 1, 1, 1], 0],
  ])("%s", (_, share, leaders, moved) => {
    const image = imageOf(run(), partitions(...leaders));
    const { answer, image: after } = follow(image, rebalance(image, share));
    expect(answer).toBe(moved);
    expect(moved === 0 || leaders.every((_leader, index) => partitionIn(after, index).leader === 1)).toBe(true);
  });

  it("moves nothing to a replica that is out of sync or about to stop", () => {
    const outOfSync = partitionOf({ isr: [2, 3] });
    expect(follow(imageOf(run(), [outOfSync]), rebalance(imageOf(run(), [outOfSync]), 0)).answer).toBe(0);
    const image = imageOf(run([{ state: "stopping" }, {}, {}]), partitions(2));
    expect(follow(image, rebalance(image, 0)).answer).toBe(0);
  });
});

describe("a controlled shutdown (D5)", () => {
  const command = { brokerId: brokerId(1), brokerEpoch: brokerEpoch(1) };
  const begun = (image: MetadataImage) => follow(image, beginShutdown(image, command, context)).image;

  it("moves leaderships and leaves every ISR", () => {
    const partitions = [partitionOf(), partitionOf({ partition: partitionIndex(1), isr: [2, 1] })];
    const after = begun(imageOf(run(), partitions));
    expect(after.sessions.get(brokerId(1))?.state).toBe("stopping");
    expect(shapeOf(partitionIn(after))).toMatchObject({ leader: 2, isr: [2, 3], leaderEpoch: 5 });
    expect(shapeOf(partitionIn(after, 1))).toMatchObject({ leader: 2, isr: [2], elr: [1], leaderEpoch: 4 });
  });

  it("leaves it where it is the last member: it leads to its end", () => {
    const after = begun(imageOf(run(), [partitionOf({ isr: [1], minIsr: 1 })]));
    expect(shapeOf(partitionIn(after))).toMatchObject({ leader: 1, isr: [1], leaderEpoch: 4 });
  });

  it("has it wait while another replica of what it leads alone may catch up, and for nobody who is not running", () => {
    const mayStop = (image: MetadataImage) => follow(image, beginShutdown(image, command, context)).answer.mayStop;
    const alone = partitionOf({ isr: [1], minIsr: 1 });
    expect(mayStop(imageOf(run(), [alone]))).toBe(false);
    expect(mayStop(imageOf([sessionOf(1), sessionOf(2, { state: "stopping" })], [alone]))).toBe(true);
    expect(mayStop(imageOf([sessionOf(1)], [alone]))).toBe(true);
    expect(mayStop(imageOf(run(), [partitionOf()]))).toBe(true);
  });

  it("moves leaderships before it leaves the ISRs of others", () => {
    const followed = partitionOf({ isr: [2, 1] });
    const led = partitionOf({ partition: partitionIndex(1) });
    const decision = beginShutdown(imageOf(run(), [followed, led]), command, context);
    const changed = decision.kind === "decided" ? decision.changes : [];
    expect(changed.map((change) => (change.kind === "partition" ? change.partition : change.kind))).toEqual([
      "brokerSession",
      1,
      0,
    ]);
  });

  it("repeated changes nothing, unless something has become movable", () => {
    const image = begun(imageOf(run(), [partitionOf({ isr: [1], minIsr: 1 })]));
    expect(beginShutdown(image, command, context)).toMatchObject({ kind: "decided", changes: [] });
    const back = follow(image, alter(image, proposal([1, 2]))).image;
    expect(shapeOf(partitionIn(begun(back)))).toMatchObject({ leader: 2, isr: [2] });
  });

  it("is refused for a session that is another", () => {
    const stale = { ...command, brokerEpoch: brokerEpoch(9) };
    expect(beginShutdown(imageOf(run()), stale, context)).toMatchObject({ kind: "refused" });
  });
});
