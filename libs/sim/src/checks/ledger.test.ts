import { expect, test } from "vitest";
import { createLedger, type Sent } from "./ledger.ts";
import type { AllowedLosses } from "./losses.ts";
import { createViolations } from "./violations.ts";

const encoder = new TextEncoder();

function record(sequence: number): Omit<Sent, "outcome" | "offset"> {
  const id = `p/0/${sequence}`;
  const value = encoder.encode(`${id}|`);
  return { id, producer: "p", isIdempotent: true, topic: "t", partition: 0, sequence, value };
}

/** What is broken where four records were acknowledged and read, and only those of `kept` are there at the end. */
function brokenRules(kept: readonly number[], losses?: AllowedLosses): readonly string[] {
  const violations = createViolations({ nowMs: 0 });
  const ledger = createLedger(violations, losses);
  const given = [0, 1, 2, 3].map((sequence) => record(sequence));
  for (const [index, each] of given.entries()) {
    const offset = BigInt(index);
    ledger.settled(ledger.send(each), "acknowledged", offset);
    ledger.read("t", 0, { offset, value: each.value, highWatermark: 4n });
  }
  const read = kept.map((sequence, index) => [BigInt(index), given[sequence]?.value ?? encoder.encode("")] as const);
  ledger.checkFinal("t", 0, new Map(read));
  return [...new Set(violations.found.map(({ rule }) => rule))];
}

/** A receipt says that these offsets were cut. */
function cut(...offsets: readonly bigint[]): AllowedLosses {
  const isCut: AllowedLosses["isCut"] = (_topic, _partition, offset) => offsets.includes(offset);
  const isCutFrom: AllowedLosses["isCutFrom"] = (_topic, _partition, from) => offsets.some((offset) => offset >= from);
  return { mayLose: () => true, isCut, isCutFrom, mayBeToldCut: isCut };
}

test("an acknowledged record that is gone was lost", () => {
  expect(brokenRules([0, 1, 2, 3])).toEqual([]);
  expect(brokenRules([0, 1, 2])).toEqual([
    "an acknowledged record was lost",
    "a record that was read is gone",
    "the log ends below what was read",
  ]);
});

test("where unclean elections are allowed what a receipt names may be gone", () => {
  expect(brokenRules([0, 1], cut(2n, 3n))).toEqual([]);
});

test("where unclean elections are allowed nothing that no receipt names may be gone, or be replaced", () => {
  expect(brokenRules([0, 1], cut(3n))).toContain("an acknowledged record was lost");
  expect(brokenRules([0, 1, 3], cut(3n))).toContain("an offset names two records");
});

test("what was acknowledged without its offset may be gone where a receipt names a cut behind what its producer gave before (seed 3800082)", () => {
  const brokenBy = (losses?: AllowedLosses) => {
    const violations = createViolations({ nowMs: 0 });
    const ledger = createLedger(violations, losses);
    const first = record(0);
    ledger.settled(ledger.send(first), "acknowledged", 7n);
    ledger.settled(ledger.send(record(1)), "acknowledged", undefined);
    ledger.checkFinal("t", 0, new Map([[7n, first.value]]));
    return violations.found.map(({ rule }) => rule);
  };
  expect(brokenBy(cut(8n))).toEqual([]);
  expect(brokenBy(cut(7n))).toEqual(["an acknowledged record was lost"]);
  expect(brokenBy()).toEqual(["an acknowledged record was lost"]);
});

test("a consumer may be told of a cut that a receipt names, and of no other", () => {
  const violations = createViolations({ nowMs: 0 });
  const ledger = createLedger(violations, cut(5n));
  ledger.truncated("t", 0, { from: 5n, to: 6n });
  ledger.checkFinal("t", 0, new Map());
  expect(violations.found).toEqual([]);
  ledger.truncated("t", 0, { from: 4n, to: 6n });
  ledger.checkFinal("t", 0, new Map());
  expect(violations.found.map(({ rule }) => rule)).toEqual(["a consumer was told of a cut"]);
});
