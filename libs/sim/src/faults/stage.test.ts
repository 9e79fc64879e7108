import { emptyImage } from "@tidemark/metadata";
import { expect, test } from "vitest";
import { turnOfItsOwn } from "../node/process.ts";
import { createThreeEtcds } from "../testing/three-etcds.ts";
import type { FaultWorld } from "./fault-kinds.ts";
import { createStage, StageOver } from "./stage.ts";

/** As `answerOfAnOlderState` waits: seed 3000007 on raft ended the whole process, since nobody asked yet what became of it. */
test("a wait that a scenario asks about later ends that scenario, and nothing else", async () => {
  const { engine, random, cluster } = createThreeEtcds();
  const world = { engine, cluster, random: random.stream("stage"), image: () => emptyImage };
  const stage = createStage(world as unknown as FaultWorld, {
    undo: () => undefined,
    isOver: () => engine.nowMs > 5,
    note: () => undefined,
  });
  const arrives = stage.sleep(10);
  while (engine.step(10));
  // Node looks for errors that nobody takes before it begins the next turn.
  await turnOfItsOwn();
  await expect(arrives).rejects.toThrow(StageOver);
});
