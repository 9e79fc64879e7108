import { describe, expect, it } from "vitest";
import { createReplicaCluster, one, three, two } from "./testing/replica-cluster.ts";

describe("acks=all with three replicas", () => {
  it("is answered when all of them have flushed, and every log holds the record", async () => {
    const cluster = await createReplicaCluster();
    const outcome = cluster.produce(one, "a");
    await cluster.advance(100);
    expect(await outcome).toMatchObject({ kind: "acknowledged", baseOffset: 0n, leaderEpoch: 1 });
    for (const id of [one, two, three]) expect(await cluster.textsAt(id)).toEqual(["a"]);
  });
});
