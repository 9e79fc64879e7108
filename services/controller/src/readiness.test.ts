import { createDeferred, delay } from "@tidemark/runtime";
import { afterEach, describe, expect, it } from "vitest";
import { createWorld, type World } from "./testing/world.ts";

let world: World | undefined;
afterEach(() => world?.close());

describe("a controller knows an active one", () => {
  it("when it is that itself, until it stops", async () => {
    world = await createWorld();
    const told: boolean[] = [];
    const node = await world.start(1, { onLed: (isLed) => told.push(isLed) });
    await world.until(() => told.at(-1) === true, "it is led");
    expect(node.controller.isActive).toBe(true);
    await world.settle(node.controller.stop());
    expect(told.at(-1)).toBe(false);
  });

  it("not where its leadership ended while it was taken up", async () => {
    world = await createWorld();
    const gate = createDeferred();
    const told: boolean[] = [];
    const node = await world.start(1, {
      onLed: (isLed) => told.push(isLed),
      wrap: (consensus) => ({
        ...consensus,
        async append() {
          await gate.promise;
          return { kind: "refused", reason: "FENCED", message: "its leadership is over" };
        },
        async *leadership() {
          for await (const belief of consensus.leadership()) {
            yield belief;
            if (belief.kind !== "leading") continue;
            await gate.promise;
            yield { kind: "none" };
            return;
          }
        },
      }),
    });
    await world.until(() => node.events.some(({ kind }) => kind === "activated"), "it leads");
    gate.resolve();
    await world.until(() => node.events.some(({ kind }) => kind === "deactivated"), "it leads no more");
    await world.settle(delay(world.runtime.scheduler, 0));
    expect(node.controller.isActive).toBe(false);
    expect(told.at(-1)).toBe(false);
  });

  it("when another is, and not while nobody is", async () => {
    world = await createWorld();
    const first = await world.start(1);
    await world.active();
    const told: boolean[] = [];
    const second = await world.start(2, { onLed: (isLed) => told.push(isLed) });
    await world.until(() => told.at(-1) === true, "it is led by the first");
    expect(second.controller.isActive).toBe(false);
    const before = told.length;
    world.kill(first);
    await world.until(() => second.controller.isActive && told.at(-1) === true, "it leads");
    expect(told.slice(before)).toContain(false);
  });
});
