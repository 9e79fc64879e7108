import { describe, expect, it } from "vitest";
import type { AlterPartitionAnswer, ProposalAttempt } from "./controller-messages.ts";
import { createIsrProposals } from "./isr-proposals.ts";
import { broker, brokers, context, controller, incarnation, state } from "./testing/values.ts";

const attempt = (value: number) => value as ProposalAttempt;
const refused = (epoch = 1): AlterPartitionAnswer => ({ kind: "NOT_ATTEMPTED", controllerEpoch: controller(epoch) });
const mismatch: AlterPartitionAnswer = { kind: "PARTITION_EPOCH_MISMATCH", controllerEpoch: controller(1) };

/** Broker 1 leads with 2 in sync and has proposed 3, by attempt 1 at time 0. */
function proposed() {
  const owner = context(1);
  let last = 0;
  const committed = state({ isr: brokers(1, 2) });
  const proposals = createIsrProposals(owner, { next: () => attempt(++last) }, committed);
  const isr = brokers(1, 2, 3).map((replica) => ({ replica, brokerEpoch: incarnation(1) }));
  proposals.propose({ isr, recovering: false, reason: "3 is back" }, 0);
  return { owner, proposals, committed, sent: () => owner.out.send.splice(0) };
}

describe("an ISR change", () => {
  it("counts both ISRs from the moment it is proposed", () => {
    expect(proposed().proposals.maximal()).toEqual([1, 2, 3]);
  });

  it("is settled as not applied by a refusal, when every attempt is answered", () => {
    const { proposals } = proposed();
    proposals.answered(attempt(1), refused(), 10);
    expect(proposals.open()).toBeUndefined();
    expect(proposals.maximal()).toEqual([1, 2]);
  });

  it("is not made again right after a refusal; others are free", () => {
    const { proposals } = proposed();
    proposals.answered(attempt(1), refused(), 10);
    expect(proposals.mayPropose(broker(3), 1_009)).toBe(false);
    expect(proposals.mayPropose(broker(3), 1_010)).toBe(true);
    expect(proposals.mayPropose(broker(4), 11)).toBe(true);
  });

  it("is sent again, the same, when its pause is over", () => {
    const { proposals, sent } = proposed();
    const [first] = sent();
    proposals.retry(999);
    expect(sent()).toEqual([]);
    proposals.retry(1_000);
    expect(sent()).toEqual([
      { ...first, request: { ...(first?.kind === "alterPartition" ? first.request : undefined), attempt: 2 } },
    ]);
  });

  it("stays open after a refusal while an attempt is unanswered, and is cleared by the ISR as it is", () => {
    const { proposals, sent } = proposed();
    proposals.retry(1_000);
    sent();
    proposals.answered(attempt(2), refused(), 1_001);
    expect(proposals.open()?.kind).toBe("clearing");
    expect(proposals.maximal()).toEqual([1, 2, 3]);
    const [clearing] = sent();
    expect(clearing).toMatchObject({
      request: { attempt: 3, proposal: { isr: [{ replica: 1 }, { replica: 2 }], partitionEpoch: 1 } },
    });
    // Once all three are refused nothing of it can be applied any more.
    proposals.answered(attempt(3), refused(), 1_002);
    expect(proposals.maximal()).toEqual([1, 2, 3]);
    proposals.answered(attempt(1), refused(), 1_003);
    expect(proposals.maximal()).toEqual([1, 2]);
  });

  it("is not settled by a refusal of an older controller", () => {
    const { proposals, owner } = proposed();
    owner.controllerEpoch = controller(2);
    proposals.answered(attempt(1), refused(1), 10);
    expect(proposals.maximal()).toEqual([1, 2, 3]);
  });

  it("is not settled by a mismatch, and not sent again: only newer metadata tells", () => {
    const { proposals, committed, sent } = proposed();
    sent();
    proposals.answered(attempt(1), mismatch, 10);
    proposals.retry(60_000);
    expect(sent()).toEqual([]);
    expect(proposals.maximal()).toEqual([1, 2, 3]);
    proposals.commit({ ...committed, isr: brokers(1) });
    expect(proposals.maximal()).toEqual([1]);
  });

  it("is sent again after a mismatch that an older controller tells of: it knows no newer state", () => {
    const { proposals, owner, sent } = proposed();
    owner.controllerEpoch = controller(2);
    const [first] = sent();
    proposals.answered(attempt(1), { kind: "LEADER_EPOCH_MISMATCH", controllerEpoch: controller(1) }, 10);
    expect(proposals.maximal()).toEqual([1, 2, 3]);
    proposals.retry(1_000);
    expect(sent()).toMatchObject([{ kind: first?.kind, request: { attempt: 2 } }]);
  });

  it.each(["NOT_CONTROLLER", "UNKNOWN"] as const)("is not settled by %s, and sent again", (kind) => {
    const { proposals, sent } = proposed();
    sent();
    proposals.answered(attempt(1), { kind }, 10);
    expect(proposals.maximal()).toEqual([1, 2, 3]);
    proposals.retry(1_000);
    expect(sent()).toHaveLength(1);
  });

  it("that ended as unknown counts as unanswered for ever", () => {
    const { proposals } = proposed();
    proposals.answered(attempt(1), { kind: "UNKNOWN" }, 10);
    proposals.retry(1_000);
    proposals.answered(attempt(2), refused(), 1_001);
    expect(proposals.open()?.kind).toBe("clearing");
  });

  it("takes no more memory however long no controller answers", () => {
    const { proposals } = proposed();
    for (let turn = 1; turn <= 100; turn++) {
      proposals.answered(attempt(turn), { kind: "UNKNOWN" }, turn * 1_000 - 1);
      proposals.retry(turn * 1_000);
    }
    expect(proposals.open()).toMatchObject({ isInDoubt: true, unanswered: new Set([101]) });
    expect(proposals.maximal()).toEqual([1, 2, 3]);
  });

  it("is not settled by a late answer to an attempt of an earlier change", () => {
    const { proposals, committed } = proposed();
    proposals.commit(committed);
    const isr = brokers(1).map((replica) => ({ replica, brokerEpoch: incarnation(1) }));
    proposals.propose({ isr, recovering: false, reason: "2 is slow" }, 20);
    proposals.answered(attempt(1), refused(), 30);
    expect(proposals.open()?.unanswered).toEqual(new Set([2]));
  });

  it("is one at a time", () => {
    const { proposals } = proposed();
    expect(() => {
      proposals.propose({ isr: [], recovering: false, reason: "" }, 1);
    }).toThrow("one ISR change is in flight");
  });
});
