import { leaderEpoch } from "@tidemark/ids";
import type { Confirmation } from "@tidemark/replication";
import { describe, expect, it } from "vitest";
import { createConfirmLeader } from "./confirm-leader.ts";
import { createPartitionLinks } from "./partition-links.ts";
import { eventually, replica, runtime, self, startController } from "./testing/scripted-controller.ts";

describe("a question whether a broker still leads", () => {
  it("comes back to the partition that asked, and not at all where nobody answers", async () => {
    const { state, server, controller } = await startController();
    const inputs: unknown[] = [];
    const ask = createPartitionLinks({
      fetcher: { fetch: () => undefined, flushed: () => undefined },
      isrChanges: { propose: () => undefined },
      confirmLeader: createConfirmLeader({ controller, brokerId: self, onHeard: () => undefined }),
      clock: runtime.clock,
    }).confirmLeader;
    const question = { confirmation: 1 as Confirmation, leaderEpoch: leaderEpoch(3) };
    ask(replica(0), question, (input) => inputs.push(input));
    await eventually(() => inputs.length).toBe(1);
    expect(inputs[0]).toMatchObject({ kind: "leadershipConfirmed", confirmation: 1, leads: true });
    state.leads = () => false;
    ask(replica(0), question, (input) => inputs.push(input));
    await eventually(() => inputs.length).toBe(2);
    await server.stop(0);
    const confirm = createConfirmLeader({ controller, brokerId: self, onHeard: () => undefined });
    expect(await confirm(replica(0), leaderEpoch(3))).toBeUndefined();
  });
});
