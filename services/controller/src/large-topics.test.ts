/** A thousand partitions of three replicas: decided in memory, committed in batches (D9, C10). */
import { eachPartition } from "@tidemark/metadata";
import { afterEach, describe, expect, it } from "vitest";
import { createTopic, passTime, portOf, startWithBrokers } from "./testing/calls.ts";
import { createWorld, type Node } from "./testing/world.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const batchesOf = (node: Node, command: string) =>
  node.events.flatMap((event) => (event.kind === "batchCommitted" && event.command === command ? [event.changes] : []));

describe("a topic of 1,000 partitions with three replicas each", () => {
  it("is made, and its leaders are moved when a broker dies, in eleven batches each", async () => {
    const w = await createWorld();
    closing.push(() => w.close());
    const { node, brokers } = await startWithBrokers(w, 3);
    await w.settle(createTopic(node, "large", { partitions: 1000 }));
    // 1,000 partitions and the topic's name.
    expect(batchesOf(node, "create topic")).toEqual([100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 1]);

    w.ports.set(portOf(1), "refused");
    brokers[0]?.close();
    await passTime(w, 600, brokers.slice(1));
    await w.until(() => node.events.some((e) => e.kind === "decided" && e.command === "end sessions"), "decided");
    // The session's key and 1,000 partitions: the broker stood in every ISR.
    expect(batchesOf(node, "end sessions")).toEqual([100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 1]);
    const partitions = Array.from(eachPartition(node.controller.image), ({ partition }) => partition);
    const moved = partitions.filter((partition) => partition.leaderEpoch === 1);
    expect(moved.length).toBeGreaterThanOrEqual(333);
    expect(moved.length).toBeLessThanOrEqual(334);
    for (const { leader, isr } of partitions) {
      expect([2, 3]).toContain(leader);
      expect(isr).toHaveLength(2);
    }
  });
});
