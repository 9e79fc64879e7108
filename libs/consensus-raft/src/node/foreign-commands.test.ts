import { describe, expect, it } from "vitest";
import { encodeCommand } from "../replica/commands.ts";
import { createManualCluster } from "../testing/manual-cluster.ts";

const signal = new AbortController().signal;
const request = (valueBytes: number) =>
  encodeCommand({
    kind: "request",
    session: "s",
    request: { guards: [], batches: [[{ kind: "put", key: "/test/large", value: new Uint8Array(valueBytes) }]] },
  });

describe("what another process hands to the leader as a command", () => {
  it.each([
    ["nothing", Uint8Array.of()],
    ["a kind that a later version has", Uint8Array.of(9, 0, 0)],
    ["a command with bytes behind it", Uint8Array.of(...encodeCommand({ kind: "endSession", session: "s" }), 1)],
    ["a session of no node", encodeCommand({ kind: "openSession", session: "s", node: "me" as never })],
    ["more than one message between members takes", request(4 * 1024 * 1024 - 200)],
  ])("is not taken up where it is %s, and everybody goes on", async (_, bytes) => {
    const cluster = await createManualCluster();
    const [first] = await cluster.joinAll();
    const [leader, follower] = [cluster.stores().get(1)?.node, cluster.stores().get(2)?.node];
    if (leader === undefined || follower === undefined) throw new Error("Two of the nodes run");
    const submitting = follower.transport.submit({ id: leader.id, address: undefined }, bytes, signal);
    await expect(cluster.settled(submitting)).rejects.toThrow();
    expect(await cluster.settled(first.append("/test/a", "1"))).toMatchObject({ kind: "committed" });
    await cluster.wait(500);
    expect([...cluster.stores().values()].flatMap(({ node }) => node.failure() ?? [])).toEqual([]);
    await cluster.close();
  });

  it("is taken up where it is as large as a candidate's own may be", async () => {
    const cluster = await createManualCluster();
    await cluster.joinAll();
    const [leader, follower] = [cluster.stores().get(1)?.node, cluster.stores().get(2)?.node];
    if (leader === undefined || follower === undefined) throw new Error("Two of the nodes run");
    const submitting = follower.transport.submit({ id: leader.id, address: undefined }, request(1_500_000), signal);
    expect(await cluster.settled(submitting)).toMatchObject({ kind: "committed" });
    await cluster.close();
  });
});
