import { brokerId, controllerEpoch, revision } from "@tidemark/ids";
import { describe, expect, it } from "vitest";
import { createCatchingUp } from "./catching-up.ts";
import { createFakeController } from "./testing/fake-controller.ts";

const [self, other, third] = [brokerId(1), brokerId(2), brokerId(3)];

function start() {
  const controller = createFakeController({ replicas: [self, other], minIsr: 1 });
  const told: boolean[] = [];
  const offline = { is: false };
  const broker = createCatchingUp({
    brokerId: self,
    isOffline: () => offline.is,
    onReady: (isReady) => told.push(isReady),
  });
  return {
    controller,
    told,
    offline,
    broker,
    register: () => broker.registered(controller.update()),
    apply: () => broker.applied(controller.image, controller.update()),
  };
}

describe("a broker is ready", () => {
  it("once it is registered and its replica is in sync, and not before", () => {
    const { controller, told, register, apply } = start();
    controller.elect(other, [other]);
    apply();
    register();
    apply();
    expect(told).toEqual([]);
    controller.change({ isr: [other, self] });
    apply();
    expect(told).toEqual([true]);
  });

  it("only by metadata that know of its session: what came before may show an ISR that it has left since", () => {
    const { controller, told, broker, apply } = start();
    controller.elect(other, [other, self]);
    broker.registered({ ...controller.update(), revision: revision(controller.revision + 1n) });
    apply();
    expect(told).toEqual([]);
  });

  it("by metadata of a later controller epoch too, whose revisions may be lower: the cluster was moved", () => {
    const { controller, told, broker } = start();
    controller.elect(other, [other, self]);
    broker.registered({ controllerEpoch: controllerEpoch(1), revision: revision(5000n) });
    broker.applied(controller.image, { controllerEpoch: controllerEpoch(2), revision: revision(7n) });
    expect(told).toEqual([true]);
  });

  it("until its session is lost, and again with the next one, once it is in sync anew", () => {
    const { controller, told, broker, register, apply } = start();
    controller.elect(other, [other, self]);
    register();
    apply();
    broker.lost();
    controller.change({ isr: [other] });
    apply();
    register();
    apply();
    expect(told).toEqual([true, false]);
    controller.change({ isr: [other, self] });
    apply();
    expect(told).toEqual([true, false, true]);
  });

  it("though a replica falls behind later: it was in sync once since its session began", () => {
    const { controller, told, register, apply } = start();
    controller.elect(other, [other, self]);
    register();
    apply();
    controller.change({ isr: [other] });
    apply();
    expect(told).toEqual([true]);
  });

  it.each([
    { says: "is about to be elected", leader: undefined, isr: [self], elr: [], ready: false },
    { says: "is eligible, with no leader", leader: undefined, isr: [], elr: [self], ready: false },
    { says: "has no leader to catch up with", leader: undefined, isr: [other], elr: [], ready: true },
    { says: "catches up", leader: other, isr: [other], elr: [], ready: false },
    { says: "leads", leader: self, isr: [self], elr: [], ready: true },
  ])("$ready where its replica $says", ({ leader, isr, elr, ready }) => {
    const { controller, told, register, apply } = start();
    controller.elect(leader, isr, elr);
    register();
    apply();
    expect(told).toEqual(ready ? [true] : []);
  });

  it("without the replicas that it cannot serve, and those that are only being added", () => {
    const failed = start();
    failed.controller.elect(other, [other]);
    failed.offline.is = true;
    failed.register();
    failed.apply();
    expect(failed.told).toEqual([true]);

    const added = start();
    added.controller.elect(other, [other]);
    added.controller.change({ adding: [self] });
    added.register();
    added.apply();
    expect(added.told).toEqual([true]);
  });

  it("whatever becomes of replicas that others hold", () => {
    const { controller, told, register, apply } = start();
    const replicas = [other, third].map((id) => ({ brokerId: id, directoryId: undefined }));
    controller.elect(other, [other]);
    controller.change({ replicas });
    register();
    apply();
    expect(told).toEqual([true]);
  });
});
