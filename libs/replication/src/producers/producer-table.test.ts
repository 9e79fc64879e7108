import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { at } from "../testing/values.ts";
import type { ProducerBatch } from "./producer-batch.ts";
import {
  createProducerTable,
  defaultProducerSettings,
  type ProducerTable,
  type ProducerVerdict,
} from "./producer-table.ts";

const int31 = 2 ** 31;

/** `id:epoch:sequence+records`, as in `7:0:3+2`: a batch of two records. */
function stamp(text: string) {
  const [id = "", epoch = "", sequence = ""] = text.split(":");
  const [base = "", records = "1"] = sequence.split("+");
  return {
    producerId: BigInt(id),
    producerEpoch: Number(epoch),
    baseSequence: Number(base),
    lastOffsetDelta: Number(records) - 1,
  };
}

/** A table of a log that holds the batches one behind the other. */
function tableOf(batches: readonly string[], windowBatches = 64): { table: ProducerTable; end: number } {
  const table = createProducerTable({ windowBatches, expirationMs: 1000, idsMax: 100 });
  let end = 0;
  for (const text of batches) {
    const batch = stamp(text);
    table.replay({ ...batch, baseOffset: at(end) });
    end += batch.lastOffsetDelta + 1;
  }
  return { table, end };
}

const say = (verdict: ProducerVerdict): string => {
  switch (verdict.kind) {
    case "append":
      return "append";
    case "repeat":
      return `repeat ${verdict.baseOffset}..${verdict.endOffset}`;
    case "applied":
      return `applied below ${verdict.endOffset}`;
    case "refuse":
      return verdict.reason;
  }
};

describe("the producers of a log", () => {
  test.each([
    { says: "lets a new producer begin with sequence 0", log: [], batch: "7:0:0+3", verdict: "append" },
    { says: "knows nothing of who goes on", log: ["8:0:0"], batch: "7:0:5", verdict: "UNKNOWN_PRODUCER" },
    { says: "lets a producer go on", log: ["7:0:0+3"], batch: "7:0:3", verdict: "append" },
    { says: "knows a repeat by its offset", log: ["7:0:0+3", "7:0:3+2"], batch: "7:0:0+3", verdict: "repeat 0..3" },
    { says: "refuses a gap", log: ["7:0:0"], batch: "7:0:2", verdict: "OUT_OF_ORDER_SEQUENCE" },
    { says: "refuses an overlap", log: ["7:0:0+3"], batch: "7:0:2+2", verdict: "OUT_OF_ORDER_SEQUENCE" },
    { says: "knows records in other batches", log: ["7:0:0+3", "7:0:3"], batch: "7:0:1", verdict: "applied below 3" },
    { says: "fences an older producer epoch", log: ["7:1:0"], batch: "7:0:1", verdict: "FENCED_PRODUCER" },
    { says: "lets a newer producer epoch begin", log: ["7:0:0+9"], batch: "7:1:0", verdict: "append" },
    { says: "lets it begin with 0 alone", log: ["7:0:0+9"], batch: "7:1:9", verdict: "OUT_OF_ORDER_SEQUENCE" },
    { says: "goes on with 0 after the largest", log: [`7:0:0+${int31}`], batch: "7:0:0", verdict: "append" },
    {
      says: "knows a repeat that wraps",
      log: [`7:0:0+${int31 - 1}`, `7:0:${int31 - 1}+2`],
      batch: `7:0:${int31 - 1}+2`,
      verdict: `repeat ${int31 - 1}..${int31 + 1}`,
    },
    {
      says: "refuses a gap over the wrap",
      log: [`7:0:0+${int31 - 1}`],
      batch: "7:0:0",
      verdict: "OUT_OF_ORDER_SEQUENCE",
    },
  ])("$says", ({ log, batch, verdict }) => {
    expect(say(tableOf(log).table.check(stamp(batch)))).toBe(verdict);
  });

  it("says of a batch below the window that it was applied, and by when it is committed", () => {
    const { table } = tableOf(["7:0:0", "7:0:1", "7:0:2", "7:0:3"], 2);
    expect([0, 1, 2, 3, 4].map((sequence) => say(table.check(stamp(`7:0:${sequence}`))))).toEqual([
      "applied below 3",
      "applied below 3",
      "repeat 2..3",
      "repeat 3..4",
      "append",
    ]);
  });

  it("are what a snapshot of them says, in a window of another size too", () => {
    const { table } = tableOf(["7:0:0", "7:0:1", "9:3:0+4"]);
    const taken = createProducerTable({ windowBatches: 1, expirationMs: 1000, idsMax: 100 });
    taken.restore(table.snapshot());
    expect(taken.size).toBe(2);
    expect(say(taken.check(stamp("7:0:0")))).toBe("applied below 2");
    expect(say(taken.check(stamp("7:0:1")))).toBe("repeat 1..2");
    expect(say(taken.check(stamp("9:3:0+4")))).toBe("repeat 2..6");
    taken.restore(undefined);
    expect(taken.size).toBe(0);
  });

  describe("that are as many as it may have", () => {
    const full = () => {
      const table = createProducerTable({ windowBatches: 4, expirationMs: 1e9, idsMax: 3 });
      for (const [offset, text] of ["1:0:0", "2:0:0", "3:0:0", "1:0:1"].entries()) {
        table.replay({ ...stamp(text), baseOffset: at(offset) });
        table.tick(offset);
      }
      return table;
    };
    const minutes15 = 900_000;

    it("go on, and nobody joins them while the one that was silent the longest may still send something again", () => {
      const table = full();
      table.tick(minutes15 - 1);
      expect(say(table.check(stamp("4:0:0")))).toBe("TOO_MANY_PRODUCERS");
      expect(say(table.check(stamp("4:0:1")))).toBe("UNKNOWN_PRODUCER");
      expect(say(table.check(stamp("2:0:1")))).toBe("append");
      expect(say(table.check(stamp("2:1:0")))).toBe("append");
      expect(say(table.check(stamp("2:0:0")))).toBe("repeat 1..2");
    });

    it("leave its place to a new one when it was silent for long", () => {
      const table = full();
      table.tick(minutes15);
      expect(say(table.check(stamp("4:0:0")))).toBe("append");
      table.replay({ ...stamp("4:0:0"), baseOffset: at(4) });
      expect(table.size).toBe(3);
      expect(say(table.check(stamp("2:0:1")))).toBe("UNKNOWN_PRODUCER");
      expect(say(table.check(stamp("1:0:2")))).toBe("append");
      expect(say(table.check(stamp("3:0:1")))).toBe("append");
    });

    it("are as they were where the disk did not take the new one", () => {
      const table = full();
      table.tick(minutes15);
      table.written(at(4));
      table.replay({ ...stamp("4:0:0"), baseOffset: at(4) });
      expect(say(table.check(stamp("2:0:1")))).toBe("UNKNOWN_PRODUCER");
      table.takeBack(at(4));
      expect(say(table.check(stamp("2:0:1")))).toBe("append");
      expect([table.size, say(table.check(stamp("4:0:1")))]).toEqual([3, "UNKNOWN_PRODUCER"]);
    });

    it("of a follower are those of a leader that remembers more, as long as they may send something again", () => {
      const follower = createProducerTable({ windowBatches: 4, expirationMs: 1e9, idsMax: 3 });
      follower.tick(0);
      for (let id = 0; id < 9; id++) follower.replay({ ...stamp(`${id}:0:0`), baseOffset: at(id) });
      expect([follower.size, say(follower.check(stamp("0:0:0")))]).toEqual([9, "repeat 0..1"]);
      expect(say(follower.check(stamp("9:0:0")))).toBe("TOO_MANY_PRODUCERS");
      const restarted = createProducerTable({ windowBatches: 4, expirationMs: 1e9, idsMax: 3 });
      restarted.restore(follower.snapshot());
      expect([restarted.size, say(restarted.check(stamp("0:0:0")))]).toEqual([9, "repeat 0..1"]);
      follower.tick(minutes15);
      follower.replay({ ...stamp("9:0:0"), baseOffset: at(9) });
      expect([follower.size, say(follower.check(stamp("9:0:1")))]).toEqual([3, "append"]);
    });

    it("are bounded where a log is read that has very many", () => {
      const table = createProducerTable({ windowBatches: 4, expirationMs: 1e9, idsMax: 3 });
      table.tick(0);
      const most = 2 * defaultProducerSettings.idsMax;
      for (let id = 0; id < most + 9; id++) table.replay({ ...stamp(`${id}:0:0`), baseOffset: at(id) });
      expect([table.size, say(table.check(stamp(`${most + 8}:0:1`)))]).toEqual([most, "append"]);
    });

    it("were silent after a start as long as before it, and not for the time between", () => {
      const before = full();
      before.tick(minutes15 - 100);
      const table = createProducerTable({ windowBatches: 4, expirationMs: 1e9, idsMax: 3 });
      table.restore(before.snapshot());
      expect(say(table.check(stamp("4:0:0")))).toBe("TOO_MANY_PRODUCERS");
      table.tick(5_000_000);
      expect(say(table.check(stamp("4:0:0")))).toBe("TOO_MANY_PRODUCERS");
      table.tick(5_000_101);
      expect(say(table.check(stamp("4:0:0")))).toBe("append");
    });

    it("are seen by what the log has behind the snapshot: its silence counts for them no longer", () => {
      const before = full();
      before.tick(minutes15);
      const table = createProducerTable({ windowBatches: 4, expirationMs: 1e9, idsMax: 3 });
      table.restore(before.snapshot());
      for (const [index, text] of ["2:0:1", "3:0:1", "1:0:2"].entries()) {
        table.replay({ ...stamp(text), baseOffset: at(4 + index) });
      }
      table.tick(5_000_000);
      expect(say(table.check(stamp("4:0:0")))).toBe("TOO_MANY_PRODUCERS");
    });

    it("are counted as seen from the first tick after a start by a snapshot that does not say more", () => {
      const before = full();
      before.tick(minutes15);
      const table = createProducerTable({ windowBatches: 4, expirationMs: 1e9, idsMax: 3 });
      table.restore(before.snapshot().slice(0, -3 * 4));
      table.tick(5_000_000);
      expect(say(table.check(stamp("4:0:0")))).toBe("TOO_MANY_PRODUCERS");
      table.tick(5_000_000 + minutes15);
      expect(say(table.check(stamp("4:0:0")))).toBe("append");
    });

    it("are as silent as before when the log was cut and is read anew", () => {
      const table = full();
      table.tick(minutes15 + 3);
      table.restore(undefined);
      for (const [offset, text] of ["1:0:0", "2:0:0", "3:0:0"].entries()) {
        table.replay({ ...stamp(text), baseOffset: at(offset) });
      }
      table.written(at(3));
      expect(say(table.check(stamp("4:0:0")))).toBe("append");
      table.replay({ ...stamp("1:0:1"), baseOffset: at(3) });
      table.replay({ ...stamp("2:0:1"), baseOffset: at(4) });
      table.replay({ ...stamp("3:0:1"), baseOffset: at(5) });
      expect(say(table.check(stamp("4:0:0")))).toBe("TOO_MANY_PRODUCERS");
    });
  });

  it("begin with ids that were given out alone; whoever is known already goes on", () => {
    const table = createProducerTable(undefined, undefined, (id) => id < 10n);
    table.replay({ ...stamp("12:0:0"), baseOffset: at(0) });
    expect(["9:0:0", "10:0:0", "10:0:1", "12:0:1", "12:1:0"].map((text) => say(table.check(stamp(text))))).toEqual([
      "append",
      "PRODUCER_ID_NOT_GIVEN",
      "UNKNOWN_PRODUCER",
      "append",
      "append",
    ]);
  });

  it("are forgotten after the expiry, counted from when they were seen", () => {
    const { table } = tableOf(["7:0:0"]);
    table.tick(5_000);
    table.tick(5_900);
    table.replay({ ...stamp("8:0:0"), baseOffset: at(1) });
    table.tick(6_025);
    expect([say(table.check(stamp("7:0:1"))), say(table.check(stamp("8:0:1")))]).toEqual([
      "UNKNOWN_PRODUCER",
      "append",
    ]);
    table.tick(6_899);
    expect(table.size).toBe(1);
    table.tick(7_100);
    expect(table.size).toBe(0);
  });
});

/** One thing that happens to a log. */
type Event =
  | {
      readonly kind: "send";
      readonly id: bigint;
      readonly epoch: number;
      readonly sequence: number;
      readonly records: number;
    }
  | { readonly kind: "written" }
  | { readonly kind: "takeBack" }
  | { readonly kind: "cut"; readonly share: number }
  | { readonly kind: "restart" };

const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant("send" as const),
      id: fc.constantFrom(1n, 2n),
      epoch: fc.constantFrom(0, 0, 0, 1, 2),
      // Relative to what comes next: repeats, gaps and what follows.
      sequence: fc.integer({ min: -6, max: 2 }),
      records: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("written" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("takeBack" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("cut" as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart" as const) }) },
);

const window = 3;

/** What the log holds says everything: no table, no journal, no snapshot. */
function modelVerdict(log: readonly ProducerBatch[], batch: Omit<ProducerBatch, "baseOffset">): string {
  const own = log.filter(({ producerId }) => producerId === batch.producerId);
  const newest = own.at(-1);
  if (newest === undefined) return batch.baseSequence === 0 ? "append" : "UNKNOWN_PRODUCER";
  if (batch.producerEpoch < newest.producerEpoch) return "FENCED_PRODUCER";
  if (batch.producerEpoch > newest.producerEpoch) return batch.baseSequence === 0 ? "append" : "OUT_OF_ORDER_SEQUENCE";
  const epoch = own.filter(({ producerEpoch }) => producerEpoch === newest.producerEpoch);
  const last = newest.baseSequence + newest.lastOffsetDelta;
  const end = batch.baseSequence + batch.lastOffsetDelta;
  if (batch.baseSequence === last + 1) return "append";
  if (end > last) return "OUT_OF_ORDER_SEQUENCE";
  const known = epoch.slice(-window);
  const endOf = (one: ProducerBatch) => one.baseOffset + BigInt(one.lastOffsetDelta) + 1n;
  const same = known.find(
    (one) => one.baseSequence === batch.baseSequence && one.lastOffsetDelta === batch.lastOffsetDelta,
  );
  if (same !== undefined) return `repeat ${same.baseOffset}..${endOf(same)}`;
  const holding = known.find((one) => one.baseSequence + one.lastOffsetDelta >= end);
  return holding === undefined ? "nothing" : `applied below ${endOf(holding)}`;
}

it("are what a plain model of the log says, through full disks, cuts and restarts", () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      let log: ProducerBatch[] = [];
      let written = 0;
      const end = () => {
        const last = log.at(-1);
        return last === undefined ? at(0) : at(Number(last.baseOffset) + last.lastOffsetDelta + 1);
      };
      let table = createProducerTable({ windowBatches: window, expirationMs: 1e9, idsMax: 100 });
      const rebuild = () => {
        table.restore(undefined);
        for (const batch of log) table.replay(batch);
      };
      for (const each of events) {
        switch (each.kind) {
          case "send": {
            const own = log.findLast(({ producerId }) => producerId === each.id);
            const next = own?.producerEpoch === each.epoch ? own.baseSequence + own.lastOffsetDelta + 1 : 0;
            const batch = {
              producerId: each.id,
              producerEpoch: each.epoch,
              baseSequence: Math.max(0, next + each.sequence),
              lastOffsetDelta: each.records - 1,
            };
            const verdict = say(table.check(batch));
            expect(verdict).toBe(modelVerdict(log, batch));
            if (verdict !== "append") break;
            const appended = { ...batch, baseOffset: end() };
            log.push(appended);
            table.replay(appended);
            break;
          }
          case "written":
            written = log.length;
            table.written(end());
            break;
          case "takeBack":
            log = log.slice(0, written);
            table.takeBack(end());
            break;
          case "cut":
            log = log.slice(0, Math.floor(log.length * each.share));
            written = Math.min(written, log.length);
            rebuild();
            break;
          case "restart": {
            const snapshot = table.snapshot();
            table = createProducerTable({ windowBatches: window, expirationMs: 1e9, idsMax: 100 });
            table.restore(snapshot);
            written = log.length;
            break;
          }
        }
      }
    }),
    { numRuns: 500 },
  );
});
