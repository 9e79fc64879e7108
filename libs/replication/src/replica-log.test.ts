import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { createReplicaLog, cutFor, findDivergence, moveLogStart, restartLog, truncateLog } from "./replica-log.ts";
import { at, epoch, epochs, log } from "./testing/values.ts";

describe("where two logs part", () => {
  const leader = () => createReplicaLog(log(20, epochs([1, 0], [3, 5], [5, 12], [6, 20])));

  test.each([
    { says: "a prefix agrees", offset: 8, lastEpoch: 3, parts: undefined },
    { says: "the end of an epoch agrees", offset: 12, lastEpoch: 3, parts: undefined },
    { says: "an epoch that went on longer at the follower parts at its end", offset: 13, lastEpoch: 3, parts: [3, 12] },
    {
      says: "an epoch that the leader lacks parts at the end of the one before",
      offset: 8,
      lastEpoch: 2,
      parts: [1, 5],
    },
    { says: "an epoch newer than all of the leader's parts at its log end", offset: 20, lastEpoch: 9, parts: [6, 20] },
    { says: "a follower beyond the log end parts there", offset: 21, lastEpoch: 6, parts: [6, 20] },
    { says: "an empty log agrees", offset: 0, lastEpoch: -1, parts: undefined },
    { says: "an empty log beyond the log end does not", offset: 21, lastEpoch: -1, parts: [-1, 20] },
  ])("$says", ({ offset, lastEpoch, parts }) => {
    const expected = parts && { leaderEpoch: parts[0], endOffset: BigInt(parts[1] ?? 0) };
    expect(findDivergence(leader(), { offset: at(offset), lastEpoch: epoch(lastEpoch) })).toEqual(expected);
  });

  it("a log that is older than all that the leader still has parts at the leader's log start", () => {
    const short = createReplicaLog(log(9, epochs([3, 5]), { start: 5 }));
    for (const offset of [5, 6]) {
      const position = { offset: at(offset), lastEpoch: epoch(1) };
      expect(findDivergence(short, position)).toEqual({ leaderEpoch: -1, endOffset: 5n });
    }
  });

  test.each([
    { says: "at the leader's end of an epoch that both have", answer: [3, 7], cut: 7 },
    { says: "at the own end when that is nearer", answer: [3, 12], cut: 9 },
    {
      says: "at the end of an older epoch when the leader's is missing, and not in the middle of a batch",
      answer: [2, 4],
      cut: 5,
    },
    { says: "at the start when nothing is as old", answer: [0, 3], cut: 0 },
  ])("is cut $says", ({ answer, cut }) => {
    const follower = createReplicaLog(log(14, epochs([1, 0], [3, 5], [4, 9])));
    expect(cutFor(follower, { leaderEpoch: epoch(answer[0] ?? 0), endOffset: at(answer[1] ?? 0) })).toBe(at(cut));
  });
});

describe("any two histories", () => {
  /** Batches of (leader epoch, size). An epoch has one writer, so two logs agree on an epoch as far as both go. */
  const tail = fc.array(fc.record({ rises: fc.integer({ min: 0, max: 2 }), size: fc.integer({ min: 1, max: 3 }) }), {
    maxLength: 6,
  });

  it("agree after as many cuts as there are epochs, at a boundary, with nothing of the common prefix lost", () => {
    fc.assert(
      fc.property(tail, tail, tail, fc.boolean(), (common, ofLeader, ofFollower, leaderFirst) => {
        const write = (drawn: typeof common, from: readonly [number, number][], parity: number) => {
          const batches = [...from];
          let current = from.at(-1)?.[0] ?? 0;
          for (const { rises, size } of drawn) {
            current += rises;
            // Behind the common part each log has epochs of its own: even ones, or odd ones.
            if (parity >= 0 && (current === (from.at(-1)?.[0] ?? 0) || current % 2 !== parity)) current++;
            if (parity >= 0 && current % 2 !== parity) current++;
            batches.push([current, size]);
          }
          return batches;
        };
        const prefix = write(common, [], -1);
        const build = (batches: readonly [number, number][]) => {
          const built = createReplicaLog(log(0));
          const boundaries = new Set([0n]);
          for (const [of, size] of batches) {
            built.epochs.assign(epoch(of), built.end);
            built.end = at(Number(built.end) + size);
            boundaries.add(built.end);
          }
          return { log: built, boundaries };
        };
        const leader = build(write(ofLeader, prefix, leaderFirst ? 0 : 1));
        const follower = build(write(ofFollower, prefix, leaderFirst ? 1 : 0));
        const agreed = prefix.reduce((sum, [, size]) => sum + size, 0);
        for (let round = 0; ; round++) {
          expect(round).toBeLessThan(20);
          const position = { offset: follower.log.end, lastEpoch: follower.log.epochs.latest() };
          const divergence = findDivergence(leader.log, position);
          if (divergence === undefined) break;
          const cut = cutFor(follower.log, divergence);
          expect(follower.boundaries).toContain(cut);
          truncateLog(follower.log, cut);
        }
        expect(Number(follower.log.end)).toBe(agreed);
      }),
    );
  });
});

describe("the book of a log", () => {
  it("ends every flush that is out at a cut, and at a restart", () => {
    const book = createReplicaLog(log(10, epochs([1, 0], [2, 8])));
    truncateLog(book, at(6));
    expect(book).toMatchObject({ end: 6n, flushed: 6n, generation: 1 });
    restartLog(book, at(30));
    expect(book).toMatchObject({ start: 30n, end: 30n, flushed: 6n, generation: 2 });
    expect(book.epochs.latest()).toBe(-1);
  });

  it("takes nothing below its start for flushed that is not", () => {
    const book = createReplicaLog(log(10, epochs([1, 0]), { flushed: 2 }));
    moveLogStart(book, at(6));
    expect(book).toMatchObject({ start: 6n, flushed: 2n });
  });

  it("forgets epochs that begin above what is left of the log, and keeps an empty one at its end", () => {
    expect(createReplicaLog(log(6, epochs([1, 0], [2, 6], [3, 8]))).epochs.entries()).toEqual(epochs([1, 0], [2, 6]));
  });

  it("refuses to say that more is flushed than was written", () => {
    expect(() => createReplicaLog(log(5, [], { flushed: 6 }))).toThrow("no more is flushed than was written");
  });
});
