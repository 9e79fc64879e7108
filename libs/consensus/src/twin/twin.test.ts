import { createManualTime, createNodeRuntime, createSeededRandom } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { describeConsensusContract } from "../contract/index.ts";
import type { ConsensusEvent } from "../events.ts";
import { createConsensusTwin } from "./twin.ts";

describeConsensusContract("in-memory twin", () => createConsensusTwin({ runtime: createNodeRuntime() }));

describe("the twin under manual time", () => {
  async function run(seed: number): Promise<readonly ConsensusEvent[]> {
    const time = createManualTime();
    const events: ConsensusEvent[] = [];
    const cluster = await createConsensusTwin({
      runtime: { ...time, random: createSeededRandom(seed) },
      turn: () => time.advance(10),
      onEvent: (event) => events.push(event),
    });
    const [first, second] = [await cluster.start(1), await cluster.start(2)];
    await first.join(cluster.identity(1));
    await second.join(cluster.identity(2));
    cluster.cut(1);
    await cluster.until(
      () => events.some((event) => event.kind === "claimed" && event.epoch === 2 && event.outcome === "won"),
      "the second leads",
    );
    await cluster.close();
    return events;
  }

  it("tells what happens by typed events, the same ones every time", async () => {
    const events = await run(1);
    expect(await run(1)).toEqual(events);
    const told = events.map(({ kind }) => kind).filter((kind) => /joined|claimed|disconnected|sessionEnded/.test(kind));
    expect(told.slice(0, 6)).toEqual(["joined", "joined", "claimed", "disconnected", "sessionEnded", "claimed"]);
    expect(events).toContainEqual({ kind: "disconnected", cause: "the connection was cut" });
    expect(events).toContainEqual({ kind: "sessionEnded", keys: ["/controllers/1", "/controller"] });
  });
});
