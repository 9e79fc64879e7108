import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createLeaderEpochs } from "./leader-epochs.ts";
import { at, epoch, epochs } from "./testing/values.ts";

describe("leader epochs of a log", () => {
  it("end where the next one starts, and the latest at the log end", () => {
    const known = createLeaderEpochs(epochs([1, 0], [3, 5], [4, 5]));
    expect(known.endOf(epoch(1), at(9))).toEqual({ leaderEpoch: 1, endOffset: 5n });
    expect(known.endOf(epoch(2), at(9))).toEqual({ leaderEpoch: 1, endOffset: 5n });
    expect(known.endOf(epoch(3), at(9))).toEqual({ leaderEpoch: 3, endOffset: 5n });
    expect(known.endOf(epoch(7), at(9))).toEqual({ leaderEpoch: 4, endOffset: 9n });
    expect(known.endOf(epoch(0), at(9))).toEqual({ leaderEpoch: -1, endOffset: 0n });
  });

  it("keep an epoch in which nothing was written", () => {
    const known = createLeaderEpochs();
    expect(known.assign(epoch(2), at(0))).toBe(true);
    expect(known.assign(epoch(3), at(0))).toBe(true);
    expect(known.entries()).toEqual(epochs([2, 0], [3, 0]));
    expect(known.latest()).toBe(3);
    expect(known.startOf(epoch(2))).toBe(0n);
  });

  it("never fall: an epoch that is not newer changes nothing", () => {
    const known = createLeaderEpochs(epochs([3, 5]));
    expect(known.assign(epoch(3), at(9))).toBe(false);
    expect(known.assign(epoch(2), at(9))).toBe(false);
    expect(known.assign(epoch(4), at(4))).toBe(false);
    expect(known.entries()).toEqual(epochs([3, 5]));
  });

  it("forget what begins at or above a cut, an empty epoch at the cut too", () => {
    const known = createLeaderEpochs(epochs([1, 0], [2, 4], [3, 6]));
    known.truncate(at(6));
    expect(known.entries()).toEqual(epochs([1, 0], [2, 4]));
    known.truncate(at(0));
    expect(known.entries()).toEqual([]);
    expect(known.latest()).toBe(-1);
  });

  it("begin at the log start when it moves into one of them", () => {
    const known = createLeaderEpochs(epochs([1, 0], [2, 4], [3, 6]));
    known.advanceStart(at(5));
    expect(known.entries()).toEqual(epochs([2, 5], [3, 6]));
  });

  it("answer as a walk over every record would", () => {
    const batches = fc.array(fc.record({ rises: fc.nat(2), records: fc.nat(3) }), { maxLength: 12 });
    fc.assert(
      fc.property(batches, fc.nat(25), (drawn, asked) => {
        const known = createLeaderEpochs();
        const records: number[] = [];
        let current = 0;
        for (const { rises, records: count } of drawn) {
          current += rises;
          if (count === 0) continue;
          known.assign(epoch(current), at(records.length));
          for (let record = 0; record < count; record++) records.push(current);
        }
        const answered = known.endOf(epoch(asked), at(records.length));
        const last = records.findLastIndex((of) => of <= asked);
        expect(answered).toEqual({ leaderEpoch: last < 0 ? -1 : records[last], endOffset: BigInt(last + 1) });
      }),
    );
  });
});
