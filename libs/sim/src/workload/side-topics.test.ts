import { expect, test } from "vitest";
import { createViolations } from "../checks/violations.ts";
import { createSideTopics, type SideKind, type SideRecord } from "./side-topics.ts";

/** The rules that are broken when a topic, fed with `given`, has `read` in it at the end. */
function brokenRules(kind: SideKind, given: readonly SideRecord[], read: readonly SideRecord[], deletedBelow = 0n) {
  const violations = createViolations({ nowMs: 0 });
  const topics = createSideTopics(violations);
  const topic = { name: "side-1", topicId: "id", kind, partitions: 1 };
  topics.add(topic);
  for (const record of given) topics.acknowledged(topic, 0, record);
  topics.deleting(topic, 0, deletedBelow);
  topics.checkFinal(topic, 0, read);
  return violations.found.map(({ rule }) => rule);
}

const record = (offset: bigint, value: string, key?: string): SideRecord => ({ offset, key, value });

test("a record of a plain topic may be gone only where it was deleted by command", () => {
  const given = [record(0n, "a"), record(1n, "b")];
  expect(brokenRules("plain", given, [record(1n, "b")])).toEqual(["an acknowledged record was lost"]);
  expect(brokenRules("plain", given, [record(1n, "b")], 1n)).toEqual([]);
});

test("compaction may take a value where a later one of its key is there, and nowhere else", () => {
  const given = [record(0n, "a", "k"), record(1n, "b", "k")];
  expect(brokenRules("compacted", given, [record(1n, "b", "k")])).toEqual([]);
  expect(brokenRules("compacted", given, [record(0n, "a", "k")])).toEqual(["compaction took the last value of a key"]);
});

test("retention may take anything, and changes nothing", () => {
  expect(brokenRules("expiring", [record(0n, "a")], [])).toEqual([]);
  expect(brokenRules("expiring", [record(0n, "a")], [record(0n, "b")])).toEqual(["an offset names two records"]);
});

test("where unclean elections are allowed records may be lost and replaced", () => {
  expect(brokenRules("unclean", [record(0n, "a"), record(0n, "b")], [])).toEqual([]);
});
