import { create } from "@bufbuild/protobuf";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { ProduceStreamRequestSchema, type ProduceStreamResult } from "@tidemark/proto/log/v1";
import { createByteBudget, TidemarkError } from "@tidemark/rpc";
import { createManualTime } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { createStreamAnswers } from "./stream-answers.ts";

const MiB = 2 ** 20;
const message = (sequence: bigint, bytes = 10) =>
  create(ProduceStreamRequestSchema, { sequence, batches: new Uint8Array(bytes) });
const applied = { leaderEpoch: 1, baseOffset: 5n };

function world(budget = createByteBudget({ name: "process", limit: 64 * MiB })) {
  const time = createManualTime();
  const log: string[] = [];
  const writes: (readonly ProduceStreamResult[])[] = [];
  let hasRoom = true;
  const answers = createStreamAnswers(
    {
      write(answer) {
        writes.push((answer.results ?? []) as ProduceStreamResult[]);
        return hasRoom;
      },
      bytesQueued: () => 0,
      pause: () => log.push("pause"),
      resume: () => log.push("resume"),
      end: (error) => log.push(`end ${error?.message ?? "well"}`),
    },
    { scheduler: time.scheduler, budget },
    () => log.push("all settled"),
  );
  return {
    answers,
    log,
    writes,
    settleInput: () => time.advance(1),
    setRoom: (next: boolean) => {
      hasRoom = next;
    },
  };
}

describe("the answers of a produce stream", () => {
  it("tell of every message that was settled since the last one in one piece", async () => {
    const { answers, writes, settleInput } = world();
    for (const sequence of [0n, 1n, 2n]) answers.expect(message(sequence));
    answers.settle(message(0n), applied);
    answers.settle(message(2n), new TidemarkError({ reason: Reason.CORRUPT_BATCH, message: "no" }));
    await settleInput();
    answers.settle(message(1n), { leaderEpoch: 1 });
    await settleInput();
    expect(writes.map((results) => results.map(({ sequence }) => sequence))).toEqual([[0n, 2n], [1n]]);
    expect(writes[0]).toMatchObject([
      applied,
      { error: { reason: Reason.CORRUPT_BATCH, outcome: Outcome.NOT_APPLIED }, message: "no" },
    ]);
  });

  it("hold a producer back while more than 8 MiB are on their way, until half of that is settled", () => {
    const { answers, log } = world();
    for (const sequence of [0n, 1n]) answers.expect(message(sequence, 4 * MiB - 8192));
    expect(log).toEqual([]);
    answers.expect(message(2n, 8192));
    expect(log).toEqual(["pause"]);
    answers.settle(message(0n, 4 * MiB - 8192), applied);
    expect(log).toEqual(["pause"]);
    answers.settle(message(1n, 4 * MiB - 8192), applied);
    expect(log).toEqual(["pause", "resume"]);
  });

  it("refuse what is more than all producers may have on their way, and take it again when theirs is settled or they left", async () => {
    const budget = createByteBudget({ name: "process", limit: 2 * MiB });
    const [one, other] = [world(budget), world(budget)];
    expect(one.answers.expect(message(0n, MiB))).toBeUndefined();
    expect(other.answers.expect(message(0n, MiB))).toMatchObject({ reason: Reason.RESOURCE_EXHAUSTED });
    other.answers.end(undefined);
    await other.settleInput();
    const refused = { reason: Reason.RESOURCE_EXHAUSTED, outcome: Outcome.NOT_APPLIED };
    expect(other.writes).toMatchObject([[{ sequence: 0n, error: refused }]]);
    expect(other.log).toEqual(["all settled", "end well"]);
    one.answers.settle(message(0n, MiB), applied);
    expect(one.answers.expect(message(1n, MiB))).toBeUndefined();
    one.answers.drop();
    expect(budget.used).toBe(0);
    one.answers.settle(message(1n, MiB), applied);
    expect(budget.used).toBe(0);
  });

  it("wait for a producer that does not read", async () => {
    const { answers, writes, settleInput, setRoom } = world();
    setRoom(false);
    for (const sequence of [0n, 1n]) answers.expect(message(sequence));
    answers.settle(message(0n), applied);
    await settleInput();
    answers.settle(message(1n), applied);
    await settleInput();
    expect(writes).toHaveLength(1);
    answers.onDrain();
    await settleInput();
    expect(writes).toHaveLength(2);
  });

  it("end when every message is settled and told, and not before", async () => {
    const { answers, log, settleInput } = world();
    answers.expect(message(0n));
    answers.end(undefined);
    await settleInput();
    expect(log).toEqual([]);
    answers.settle(message(0n), applied);
    await settleInput();
    expect(log).toEqual(["all settled", "end well"]);
  });

  it("end with what ended them first", async () => {
    const { answers, log, settleInput } = world();
    answers.end(new TidemarkError({ reason: Reason.SHUTTING_DOWN, message: "stopping" }));
    answers.end(undefined);
    await settleInput();
    expect(log).toEqual(["all settled", "end stopping"]);
  });
});
