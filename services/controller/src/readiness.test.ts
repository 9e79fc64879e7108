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
