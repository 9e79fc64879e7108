import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { reasonName, TidemarkError } from "@tidemark/rpc";
import { createDeferred } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { createPartitionLane, type PartitionLane } from "./partition-lane.ts";

interface Message {
  readonly name: string;
  /** Of the producer 7. */
  readonly sequence?: number;
}

const refusal = () => new TidemarkError({ reason: Reason.NOT_LEADER, message: "elsewhere" });
const lost = () => new TidemarkError({ reason: Reason.UNAVAILABLE, message: "gone", outcome: Outcome.UNKNOWN });
const corrupt = () => new TidemarkError({ reason: Reason.CORRUPT_BATCH, message: "no" });

/** A lane whose leader and clock are the test. */
function world(
  options: {
    readonly send?: (message: Message, lane: PartitionLane<Message>) => "sent" | "later" | TidemarkError;
  } = {},
) {
  const log: string[] = [];
  const pauses: { readonly held: readonly string[]; readonly end: (again: boolean) => void }[] = [];
  const lane: PartitionLane<Message> = createPartitionLane<Message>({
    send(message) {
      const sent = options.send?.(message, lane) ?? "sent";
      if (sent === "sent") log.push(`send ${message.name}`);
      return sent;
    },
    isIdempotent: ({ sequence }) => sequence !== undefined,
    settle: (message, error) => {
      const unknown = error.outcome === Outcome.UNKNOWN && message.sequence !== undefined ? " unknown" : "";
      log.push(`failed ${message.name} ${reasonName(error.reason)}${unknown}`);
    },
    pause(held) {
      const over = createDeferred<boolean>();
      pauses.push({ held: held.map(({ name }) => name), end: over.resolve });
      return over.promise;
    },
  });
  const messages = (...names: string[]) => names.map((name) => ({ name }));
  /** Ends the pause that runs and lets what follows from it happen. */
  const endPause = async (again: boolean) => {
    pauses.at(-1)?.end(again);
    await Promise.resolve();
    await Promise.resolve();
  };
  return { log, pauses, lane, messages, endPause };
}

describe("the lane of a partition", () => {
  it("sends without waiting for answers, in the order of the stream", () => {
    const { lane, log, messages } = world();
    for (const message of messages("a", "b", "c")) lane.add(message);
    expect(log).toEqual(["send a", "send b", "send c"]);
  });

  it("sends what was refused again before anything that came later, once nothing is in flight", async () => {
    const { lane, log, messages, pauses, endPause } = world();
    const [a, b, c] = messages("a", "b", "c") as [Message, Message, Message];
    lane.add(a);
    lane.add(b);
    lane.onFailed(a, refusal());
    lane.add(c);
    expect(pauses).toHaveLength(0);
    lane.onFailed(b, refusal());
    expect(pauses.map(({ held }) => held)).toEqual([["a", "b"]]);
    await endPause(true);
    expect(log).toEqual(["send a", "send b", "send a", "send b", "send c"]);
  });

  it("does not send again what was refused before something that was applied", async () => {
    const { lane, log, messages, pauses } = world();
    const [a, b] = messages("a", "b") as [Message, Message];
    lane.add(a);
    lane.add(b);
    lane.onFailed(a, refusal());
    lane.onApplied(b);
    expect(log).toEqual(["send a", "send b", "failed a REASON_NOT_LEADER"]);
    expect(pauses).toHaveLength(0);
  });

  it("does not send again what is refused after something behind it was applied", () => {
    const { lane, log, messages, pauses } = world();
    const [a, b] = messages("a", "b") as [Message, Message];
    lane.add(a);
    lane.add(b);
    lane.onApplied(b);
    lane.onFailed(a, refusal());
    expect(log.at(-1)).toBe("failed a REASON_NOT_LEADER");
    expect(pauses).toHaveLength(0);
  });

  it("does not send again what was refused before something of unknown outcome", () => {
    const { lane, log, messages, pauses } = world();
    const [a, b] = messages("a", "b") as [Message, Message];
    lane.add(a);
    lane.add(b);
    lane.onFailed(a, refusal());
    lane.onFailed(b, lost());
    expect(log.slice(2)).toEqual(["failed b REASON_UNAVAILABLE", "failed a REASON_NOT_LEADER"]);
    expect(pauses).toHaveLength(0);
  });

  it("sends again what was refused behind something that was applied", async () => {
    const { lane, log, messages, endPause } = world();
    const [a, b] = messages("a", "b") as [Message, Message];
    lane.add(a);
    lane.add(b);
    lane.onFailed(b, refusal());
    lane.onApplied(a);
    await endPause(true);
    expect(log).toEqual(["send a", "send b", "send b"]);
  });

  it("never sends again what may have been applied (P12)", () => {
    const { lane, log, messages, pauses } = world();
    const [a] = messages("a") as [Message];
    lane.add(a);
    lane.onFailed(a, lost());
    expect(log).toEqual(["send a", "failed a REASON_UNAVAILABLE"]);
    expect(pauses).toHaveLength(0);
  });

  it("goes on behind what can never be stored", () => {
    const { lane, log, messages } = world();
    const [a, b] = messages("a", "b") as [Message, Message];
    lane.add(a);
    lane.onFailed(a, corrupt());
    lane.add(b);
    expect(log).toEqual(["send a", "failed a REASON_CORRUPT_BATCH", "send b"]);
  });

  it("tells of each refused message when time is up, and goes on with the next", async () => {
    const { lane, log, messages, endPause } = world();
    const [a, b] = messages("a", "b") as [Message, Message];
    lane.add(a);
    lane.onFailed(a, refusal());
    lane.add(b);
    await endPause(false);
    expect(log).toEqual(["send a", "failed a REASON_NOT_LEADER", "send b"]);
  });

  it("holds everything while there is no leader, and keeps the order", async () => {
    let hasLeader = false;
    const noLeader = new TidemarkError({ reason: Reason.LEADER_NOT_AVAILABLE, message: "none" });
    const { lane, log, messages, endPause } = world({ send: () => (hasLeader ? "sent" : noLeader) });
    for (const message of messages("a", "b")) lane.add(message);
    expect(log).toEqual([]);
    hasLeader = true;
    await endPause(true);
    expect(log).toEqual(["send a", "send b"]);
  });

  it("waits where the way to the leader is full, until it is pumped", () => {
    let isFull = true;
    const { lane, log, messages } = world({ send: () => (isFull ? "later" : "sent") });
    for (const message of messages("a", "b")) lane.add(message);
    isFull = false;
    lane.pump();
    expect(log).toEqual(["send a", "send b"]);
  });

  it("bears a failure that is told while it sends", async () => {
    let isBroken = true;
    const { lane, log, messages, endPause } = world({
      send(message, own) {
        if (isBroken) own.onFailed(message, refusal());
        return "sent";
      },
    });
    for (const message of messages("a", "b")) lane.add(message);
    isBroken = false;
    await endPause(true);
    expect(log).toEqual(["send a", "send a", "send b"]);
  });

  it("settles what waits when it is abandoned, and lets what is in flight be answered", () => {
    const { lane, log, messages } = world({ send: (message) => (message.name === "a" ? "sent" : "later") });
    const [a, b] = messages("a", "b") as [Message, Message];
    lane.add(a);
    lane.add(b);
    lane.abandon(new TidemarkError({ reason: Reason.SHUTTING_DOWN, message: "stopping" }));
    lane.onFailed(a, refusal());
    expect(log).toEqual(["send a", "failed b REASON_SHUTTING_DOWN", "failed a REASON_NOT_LEADER"]);
  });
});

describe("messages with a producer id", () => {
  const outOfOrder = () => new TidemarkError({ reason: Reason.OUT_OF_ORDER_SEQUENCE, message: "gap" });
  const [a, b, c] = [0, 1, 2].map((sequence) => ({ name: "abc"[sequence] ?? "", sequence })) as [
    Message,
    Message,
    Message,
  ];

  it("are sent again after an unknown outcome, before anything that came later", async () => {
    const { lane, log, endPause } = world();
    for (const message of [a, b]) lane.add(message);
    lane.onFailed(a, lost());
    lane.onFailed(b, lost());
    lane.add(c);
    await endPause(true);
    expect(log).toEqual(["send a", "send b", "send a", "send b", "send c"]);
  });

  it("are sent again though a later one was applied, which says that they are there", async () => {
    const { lane, log, endPause } = world();
    for (const message of [a, b]) lane.add(message);
    lane.onFailed(a, lost());
    lane.onApplied(b);
    await endPause(true);
    expect(log).toEqual(["send a", "send b", "send a"]);
  });

  it("wait with what ran ahead of one that is held, and are refused for good where nothing is", async () => {
    const { lane, log, endPause } = world();
    for (const message of [a, b]) lane.add(message);
    lane.onFailed(a, refusal());
    lane.onFailed(b, outOfOrder());
    await endPause(true);
    lane.onApplied(a);
    lane.onFailed(b, outOfOrder());
    expect(log).toEqual(["send a", "send b", "send a", "send b", "failed b REASON_OUT_OF_ORDER_SEQUENCE"]);
  });

  it("end as unknown where any try did, and no later one was applied (P12)", async () => {
    const { lane, log, endPause } = world();
    lane.add(a);
    lane.onFailed(a, lost());
    await endPause(true);
    lane.onFailed(a, corrupt());
    expect(log).toEqual(["send a", "send a", "failed a REASON_CORRUPT_BATCH unknown"]);
  });

  it("do not keep one without from being given up", () => {
    const { lane, log, messages } = world();
    const [plain] = messages("plain") as [Message];
    lane.add(plain);
    lane.add(a);
    lane.onFailed(plain, refusal());
    lane.onApplied(a);
    expect(log).toEqual(["send plain", "send a", "failed plain REASON_NOT_LEADER"]);
  });
});
