import { describe, expect, test } from "vitest";
import { isShown, partitionFilters } from "./partition-filter.ts";

const partitions = {
  whole: { replicas: [1, 2, 3], isr: [1, 2, 3], minIsr: 2, leader: 1 },
  "one behind": { replicas: [1, 2, 3], isr: [1, 2], minIsr: 2, leader: 1 },
  "two behind": { replicas: [1, 2, 3], isr: [1], minIsr: 2, leader: 1 },
  "without a leader": { replicas: [1, 2, 3], isr: [], minIsr: 2, leader: undefined },
  "alone and enough": { replicas: [1], isr: [1], minIsr: 1, leader: 1 },
};

describe("a filter of partitions", () => {
  test.each([
    ["under-replicated", ["one behind", "two behind", "without a leader"]],
    ["under-min-isr", ["two behind", "without a leader"]],
    ["at-min-isr", ["one behind", "alone and enough"]],
    ["unavailable", ["without a leader"]],
  ] as const)("%s shows %j", (filter, shown) => {
    expect(partitionFilters).toContain(filter);
    const found = Object.entries(partitions).filter(([, each]) => isShown(filter, each as never));
    expect(found.map(([name]) => name)).toEqual(shown);
  });
});
