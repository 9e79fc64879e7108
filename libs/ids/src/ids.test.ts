import { describe, expect, test } from "vitest";
import { brokerId, leaderEpoch, offset, topicId } from "./index.ts";

describe("identifiers", () => {
  test.each([
    ["a negative offset", () => offset(-1n), "Not a Offset: -1"],
    ["a negative broker id", () => brokerId(-1), "Not a BrokerId: -1"],
    ["a leader epoch beyond 32 bits", () => leaderEpoch(2 ** 31), "Not a LeaderEpoch: 2147483648"],
    ["a topic id that is no UUID", () => topicId("orders"), "Not a TopicId: orders"],
  ])("refuse %s and name the type", (_, make, message) => {
    expect(make).toThrow(message);
  });

  test("keep a value as it is", () => {
    expect(offset(2n ** 63n - 1n)).toBe(2n ** 63n - 1n);
  });
});
