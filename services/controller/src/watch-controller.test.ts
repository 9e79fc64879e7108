import type { MessageInitShape } from "@bufbuild/protobuf";
import { WatchControllerRequestSchema, type WatchControllerResponseSchema } from "@tidemark/proto/cluster/v1";
import { afterEach, describe, expect, it } from "vitest";
import { callContext, request } from "./testing/calls.ts";
import { createWorld, type Node, type World } from "./testing/world.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function open(): Promise<World> {
  const w = await createWorld();
  closing.push(() => w.close());
  return w;
}

type Told = MessageInitShape<typeof WatchControllerResponseSchema>;

/** What a controller tells a listener, as it comes. */
function listenTo(node: Node): { readonly told: Told[]; stop(): Promise<void> } {
  const told: Told[] = [];
  const abort = new AbortController();
  const read = async () => {
    const context = callContext(abort.signal);
    for await (const each of node.controller.cluster.watchController(request(WatchControllerRequestSchema), context)) {
      // When it is told of itself, it answers as such.
      if (each.controllerId === node.number) expect(node.controller.isActive).toBe(true);
      told.push(each);
    }
  };
  const reading = read();
  return {
    told,
    stop() {
      abort.abort();
      return reading;
    },
  };
}

describe("every controller", () => {
  it("tells which one is active, once for each controller epoch, also what a listener comes late for", async () => {
    const w = await open();
    const first = await w.start(1);
    await w.active();
    const second = await w.start(2);
    const listeners = [listenTo(first), listenTo(second)];
    await w.until(() => listeners.every(({ told }) => told.length === 1), "both tell of the first");
    const about = w.store.identity(1);
    const [{ controllerEpoch = 0 } = {}] = listeners[0]?.told ?? [];
    for (const { told } of listeners) {
      expect(told).toMatchObject([{ controllerId: 1, endpoint: about.endpoint, controllerEpoch }]);
    }
    w.kill(first);
    await w.until(() => second.controller.isActive, "the standby takes over");
    await w.until(() => listeners[1]?.told.length === 2, "the standby tells of itself");
    expect(listeners[1]?.told[1]).toMatchObject({ controllerId: 2, endpoint: w.store.identity(2).endpoint });
    expect(listeners[1]?.told[1]?.controllerEpoch).toBeGreaterThan(controllerEpoch);
    for (const { stop } of listeners) await w.settle(stop());
  });

  it("tells of another one as soon as it follows it, whether that can be reached or not", async () => {
    const w = await open();
    const first = await w.start(1);
    await w.active();
    const [second, third] = [await w.start(2), await w.start(3)];
    const listener = listenTo(third);
    await w.until(() => listener.told.length === 1, "it tells of the first");
    w.kill(first);
    await w.until(() => second.controller.isActive || third.controller.isActive, "a standby takes over");
    await w.until(() => listener.told.length === 2, "it tells of the next");
    expect(listener.told[1]?.controllerId).toBe(second.controller.isActive ? 2 : 3);
    await w.settle(listener.stop());
  });
});
