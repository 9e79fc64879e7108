import { brokerEpoch, type ControllerEpoch, type Revision } from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "@tidemark/rpc";
import { createLogger } from "@tidemark/telemetry";
import { describe, expect, it, test } from "vitest";
import { type BrokerCondition, type BrokerSession, createBrokerSession } from "./session.ts";
import { cleanups, eventually, replica, runtime, self, startController } from "./testing/scripted-controller.ts";

const healthy: BrokerCondition = {
  appliedRevision: 0n as Revision,
  controllerEpoch: 0 as ControllerEpoch,
  directoryIds: ["d1"],
  failedDirectoryIds: [],
  allDirectoriesWork: true,
  confirmedDeletions: [],
  damagedReplicas: [],
  truncations: [],
  regressedReplicas: [],
  offlineReplicas: [],
};

async function startSession(
  change: Partial<BrokerCondition> = {},
  onRegistered: (session: BrokerSession) => void = () => {},
) {
  const { state, controller } = await startController();
  const events: string[] = [];
  const uncleanDefaults: boolean[] = [];
  const condition = { ...healthy, ...change };
  const session: BrokerSession = createBrokerSession({
    controller,
    runtime,
    logger: createLogger({
      clock: runtime.clock,
      level: "error",
      service: "s",
      instanceId: "i",
      write: () => undefined,
    }),
    heartbeatIntervalMs: 10,
    identity: {
      brokerId: self,
      incarnationId: "i",
      clusterId: "c",
      endpoints: [],
      rack: "",
      bootId: "boot",
      flushAsync: false,
      cleanStopBrokerEpoch: brokerEpoch(6),
    },
    condition: () => condition,
    onRegistered(registration) {
      events.push(`registered ${registration.brokerEpoch} at ${registration.revision}`);
      onRegistered(session);
    },
    onLost: () => events.push("lost"),
    onHeard: () => undefined,
    onUncleanDefault: (isAllowed) => uncleanDefaults.push(isAllowed),
  });
  const abort = new AbortController();
  const ended = session.run(abort.signal).catch((error: unknown) => error);
  cleanups.push(async () => {
    abort.abort();
    await ended;
  });
  await eventually(() => session.brokerEpoch).toBeDefined();
  return { state, session, events, condition, uncleanDefaults };
}

describe("a broker's session", () => {
  it("tells of the boot, the clean stop and damage when it begins, and of troubles with each heartbeat", async () => {
    const { state } = await startSession({
      damagedReplicas: [replica(3)],
      offlineReplicas: [replica(4)],
      failedDirectoryIds: ["d2"],
    });
    expect(state.registrations[0]).toMatchObject({
      bootId: "boot",
      cleanStopBrokerEpoch: 6,
      directoryIds: ["d1"],
      damagedReplicas: [{ topicId: replica(3).topicId, partition: 3 }],
      offlineReplicas: [{ topicId: replica(4).topicId, partition: 4 }],
    });
    await eventually(() => state.beats.length).toBeGreaterThan(1);
    expect(state.beats[0]).toMatchObject({
      brokerEpoch: 1,
      failedDirectoryIds: ["d2"],
      damagedReplicas: [{ partition: 3 }],
    });
  });

  test.each([Reason.STALE_BROKER_EPOCH, Reason.BROKER_NOT_REGISTERED])(
    "that the controller refuses (%i) is over: the broker resigns first, and registers anew",
    async (reason) => {
      const { state, events } = await startSession();
      state.heartbeatError = new TidemarkError({ reason, message: "gone" });
      await eventually(() => events.length).toBeGreaterThan(2);
      state.heartbeatError = undefined;
      expect(events.slice(0, 3)).toEqual(["registered 1 at 10", "lost", "registered 2 at 20"]);
      expect(state.registrations[1]?.cleanStopBrokerEpoch).toBeUndefined();
    },
  );

  it("goes on over a stream that broke", async () => {
    const { state, events } = await startSession();
    state.heartbeatError = new TidemarkError({ reason: Reason.UNAVAILABLE, message: "broke" });
    await eventually(() => state.beats.length).toBeGreaterThan(1);
    state.heartbeatError = undefined;
    const before = state.beats.length;
    await eventually(() => state.beats.length).toBeGreaterThan(before + 2);
    expect(events).toEqual(["registered 1 at 10"]);
  });

  it("learns with each answer whether topics that do not say allow unclean elections", async () => {
    const { state, uncleanDefaults } = await startSession();
    await eventually(() => uncleanDefaults.at(-1)).toBe(false);
    state.uncleanDefault = true;
    await eventually(() => uncleanDefaults.at(-1)).toBe(true);
  });

  it("is given up where that is asked for before its first heartbeat", async () => {
    const { events } = await startSession({}, (session) => {
      if (session.brokerEpoch === 1) session.renew("damage");
    });
    await eventually(() => events).toEqual(["registered 1 at 10", "lost", "registered 2 at 20"]);
  });

  it("is given up for a newer broker epoch on demand", async () => {
    const { session, events } = await startSession();
    session.renew("a replica is copied anew");
    await eventually(() => events.length).toBe(3);
    expect(events).toEqual(["registered 1 at 10", "lost", "registered 2 at 20"]);
    expect(session.brokerEpoch).toBe(2);
  });

  it("asks to leave with each heartbeat until it may", async () => {
    const { state, session } = await startSession();
    let hasLeft = false;
    const left = session.leave().then(() => {
      hasLeft = true;
    });
    await eventually(() => state.beats.filter((beat) => beat.wantsShutdown).length).toBeGreaterThan(2);
    expect(hasLeft).toBe(false);
    state.mayShutDown = true;
    await left;
  });
});
