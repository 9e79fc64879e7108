import { LogError } from "@tidemark/log";
import { expect, test } from "vitest";
import { describeDirectories, describeLed } from "./describe-broker.ts";
import { createReplicaCluster, one } from "./testing/replica-cluster.ts";

test("what a broker leads is told by the sizes of ISRs, and by name only where a replica is missing, fifty at most", async () => {
  const cluster = await createReplicaCluster();
  const [partition] = cluster.broker(one).table.led();
  if (partition === undefined) throw new Error("Nothing is led");
  expect(describeLed([partition])).toMatchObject({ led: 1, ledByIsrSize: { 3: 1 }, underReplicated: 0 });

  const view = partition.view();
  if (view.state === undefined) throw new Error("No metadata");
  const lacking = { ...view, state: { ...view.state, isr: [one] } };
  const many = Array.from({ length: 10_000 }, () => ({ ...partition, index: partition.index, view: () => lacking }));
  const told = describeLed([partition, ...many]);
  expect(told).toMatchObject({ led: 10_001, ledByIsrSize: { 1: 10_000, 3: 1 }, underReplicated: 10_000 });
  expect(told["underReplicatedFirst"]).toHaveLength(50);
  expect(JSON.stringify(told).length).toBeLessThan(20_000);
});

test("each log directory is told with why it is out of service, also one that could not be opened", () => {
  const failure = new LogError("DIRECTORY_FAILED", "The device is broken");
  const opened = [
    { path: "/one", failure: undefined },
    { path: "/two", failure },
  ];
  expect(describeDirectories(["/one", "/two", "/three"], opened)).toEqual({
    directories: [
      { path: "/one", state: "works" },
      { path: "/two", state: failure.message },
      { path: "/three", state: "not open" },
    ],
  });
});
