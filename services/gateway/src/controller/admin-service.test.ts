import { create } from "@bufbuild/protobuf";
import { type ActiveController, createActiveController } from "@tidemark/controller-link";
import { emptyImage } from "@tidemark/metadata";
import {
  AddPartitionsRequestSchema,
  AdminService,
  CreateTopicRequestSchema,
  DescribeClusterRequestSchema,
  WatchEventsRequestSchema,
} from "@tidemark/proto/admin/v1";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { type CallContext, createChannelPool, TidemarkError } from "@tidemark/rpc";
import { waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { createRouteTable } from "../routing/route-table.ts";
import { type FakeController, startFakeController } from "../testing/fake-controller.ts";
import { runtime, startWorld, type World } from "../testing/world.ts";
import { createAdminService } from "./admin-service.ts";
import { passThrough } from "./pass-through.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld({ brokers: 0, leads: [] });
});
afterAll(() => world.stop());
const start = async () => {
  await world.reset({ leads: [{ partition: 0, leader: undefined, leaderEpoch: 0 }] });
  return world;
};
const lost = () => new TidemarkError({ reason: Reason.UNAVAILABLE, message: "lost", outcome: Outcome.UNKNOWN });

describe("a call for the controller", () => {
  it("is answered by it", async () => {
    const { admin, controller } = await start();
    controller.admin.listTopics = () => ({ topics: [{ name: "a" }] });
    expect((await admin.listTopics({})).topics.map(({ name }) => name)).toEqual(["a"]);
  });

  it("fails as the controller says, with everything that it says", async () => {
    const { admin, controller } = await start();
    const error = new TidemarkError({ reason: Reason.TOPIC_EXISTS, message: "there is one", topic: "orders" });
    controller.admin.createTopic = () => {
      throw error;
    };
    await expect(admin.createTopic({ topic: "orders" })).rejects.toMatchObject({
      reason: error.reason,
      message: error.message,
      outcome: error.outcome,
      retriable: error.retriable,
      fields: error.fields,
    });
  });

  it("is not repeated for what the controller refused, though a later try might do better", async () => {
    const { admin, controller } = await start();
    let calls = 0;
    controller.admin.describeTopics = () => {
      calls += 1;
      throw new TidemarkError({ reason: Reason.UNKNOWN_TOPIC, message: "none" });
    };
    await expect(admin.describeTopics({ topics: ["x"] })).rejects.toMatchObject({ reason: Reason.UNKNOWN_TOPIC });
    expect(calls).toBe(1);
  });

  it("is never repeated where a change may have been made (P12)", async () => {
    const { admin, controller } = await start();
    let calls = 0;
    controller.admin.deleteTopic = () => {
      calls += 1;
      throw lost();
    };
    await expect(admin.deleteTopic({ topic: "orders" })).rejects.toMatchObject({ outcome: Outcome.UNKNOWN });
    expect(calls).toBe(1);
  });

  it("is repeated where it only reads", async () => {
    const { admin, controller } = await start();
    let calls = 0;
    controller.admin.describeCluster = () => {
      calls += 1;
      if (calls === 1) throw lost();
      return { clusterId: "found" };
    };
    expect(await admin.describeCluster({})).toMatchObject({ clusterId: "found" });
  });

  it("reaches the active controller that another one points to", async () => {
    const other = await startFakeController(2);
    const { admin, controller } = await start();
    controller.admin.createTopic = () => {
      throw new TidemarkError({
        reason: Reason.NOT_CONTROLLER,
        message: "not me",
        controller: { id: 2, endpoint: other.endpoint, controllerEpoch: 2 },
      });
    };
    other.admin.createTopic = () => ({ topic: { name: "new" } });
    expect((await admin.createTopic({ topic: "new" })).topic?.name).toBe("new");
    // Back to the one that has the metadata.
    other.admin.listTopics = () => {
      throw new TidemarkError({
        reason: Reason.NOT_CONTROLLER,
        message: "not me",
        controller: { id: 1, endpoint: controller.endpoint, controllerEpoch: 3 },
      });
    };
    controller.admin.listTopics = () => ({ topics: [] });
    await admin.listTopics({});
    await other.stop();
  });

  it.each([
    ["is none", new TidemarkError({ reason: Reason.NOT_CONTROLLER, message: "nobody is" })],
    [
      "does not answer",
      new TidemarkError({ reason: Reason.UNAVAILABLE, message: "gone", outcome: Outcome.NOT_APPLIED }),
    ],
  ])("ends long before its deadline, and may be repeated, where the active controller %s", async (_, refusal) => {
    const { controller } = await start();
    let tries = 0;
    controller.admin.createTopic = () => {
      tries += 1;
      throw refusal;
    };
    const pool = createChannelPool({ runtime });
    let nowMs = 0;
    const clock = { ...runtime.clock, monotonicMs: () => (nowMs += 2000) };
    const way = createActiveController({ endpoints: [controller.endpoint], pool, runtime: { ...runtime, clock } });
    const { createTopic } = passThrough(AdminService, { controller: way, runtime, reads: [] });
    const call = { signal: new AbortController().signal, timeoutMs: () => 60_000 } as unknown as CallContext;
    await expect(createTopic(create(CreateTopicRequestSchema, { topic: "t" }), call)).rejects.toMatchObject({
      reason: Reason.NOT_CONTROLLER,
      outcome: Outcome.NOT_APPLIED,
      retriable: true,
      message: expect.stringContaining("No active controller was found") as string,
    });
    expect(tries).toBe(4);
    pool.close();
  });

  it("that ran out of time between two tries says what the last one found", async () => {
    const { controller } = await start();
    controller.admin.createTopic = () => {
      throw new TidemarkError({ reason: Reason.NOT_CONTROLLER, message: "nobody is" });
    };
    const pool = createChannelPool({ runtime });
    const channel = pool.get(controller.endpoint, "admin");
    const over = new AbortController();
    const tooLate = new TidemarkError({ reason: Reason.DEADLINE_EXCEEDED, message: "too late" });
    const onceThenLate: ActiveController = {
      endpoint: controller.endpoint,
      channel: () => channel,
      superseded: over.signal,
      givenUp: over.signal,
      learnFrom: () => undefined,
      pause: () => Promise.resolve(),
      follow: () => Promise.resolve(),
      async call(attempt) {
        await attempt(channel, over.signal).catch(() => undefined);
        over.abort(tooLate);
        throw tooLate;
      },
    };
    const { createTopic } = passThrough(AdminService, { controller: onceThenLate, runtime, reads: [] });
    const call = { signal: over.signal, timeoutMs: () => undefined } as unknown as CallContext;
    await expect(createTopic(create(CreateTopicRequestSchema), call)).rejects.toMatchObject({
      reason: Reason.NOT_CONTROLLER,
      outcome: Outcome.NOT_APPLIED,
    });
    pool.close();
  });
});

describe("a controller that is frozen", () => {
  /** It takes calls and answers none, and another one takes its place as soon as a call has arrived. */
  async function frozen() {
    const [silent, other] = [await startFakeController(1), await startFakeController(2)];
    const pool = createChannelPool({ runtime });
    const listening = new AbortController();
    const controller = createActiveController({ endpoints: [silent.endpoint, other.endpoint], pool, runtime });
    const followed = controller.follow(listening.signal);
    const stop = async () => {
      listening.abort();
      await followed;
      pool.close();
      await Promise.all([silent.stop(), other.stop()]);
    };
    const neverAnswers = () => {
      other.takeOver();
      return new Promise<never>(() => undefined);
    };
    const call = { signal: new AbortController().signal, timeoutMs: () => 60_000 } as unknown as CallContext;
    const passed = passThrough(AdminService, { controller, runtime, reads: ["describeCluster"] });
    return { silent, other, passed, call, neverAnswers, stop };
  }

  it("is left by a reader, whom the one that took its place answers", async () => {
    const { silent, other, passed, call, neverAnswers, stop } = await frozen();
    silent.admin.describeCluster = neverAnswers;
    other.admin.describeCluster = () => ({ clusterId: "found" });
    expect(await passed.describeCluster(create(DescribeClusterRequestSchema), call)).toMatchObject({
      clusterId: "found",
    });
    await stop();
  });

  it("is left by a change of which nobody knows whether it was made, and which is not sent again (P12)", async () => {
    const { silent, other, passed, call, neverAnswers, stop } = await frozen();
    let repeats = 0;
    silent.admin.createTopic = neverAnswers;
    other.admin.createTopic = () => {
      repeats += 1;
      return {};
    };
    await expect(passed.createTopic(create(CreateTopicRequestSchema, { topic: "t" }), call)).rejects.toMatchObject({
      reason: Reason.METADATA_OUTCOME_UNKNOWN,
      outcome: Outcome.UNKNOWN,
      message: expect.stringContaining("Read back before a retry") as string,
    });
    expect(repeats).toBe(0);
    await stop();
  });

  it("is left by a stream that has not begun", async () => {
    const { silent, other, passed, call, stop } = await frozen();
    silent.admin.watchEvents = async function* () {
      other.takeOver();
      await new Promise(() => undefined);
      yield {};
    };
    other.admin.watchEvents = async function* () {
      yield { event: { case: "election", value: { topic: "a", leaderEpoch: 1 } } };
    };
    const seen: unknown[] = [];
    for await (const { event } of passed.watchEvents(create(WatchEventsRequestSchema), call)) seen.push(event.case);
    expect(seen).toEqual(["election"]);
    await stop();
  });
});

describe("a topic made through a gateway", () => {
  const described = (controller: FakeController, partitions: number) => ({
    topic: { name: "orders", topicId: controller.ordersId, partitions: Array.from({ length: partitions }, () => ({})) },
  });

  it("is known to it when the answer comes", async () => {
    const { admin, controller, log } = await start();
    controller.admin.addPartitions = () => {
      const answer = described(controller, 3);
      // After the answer is on its way.
      runtime.scheduler.after(50, () =>
        controller.putTopic(
          { id: controller.ordersId },
          [0, 1, 2].map((partition) => ({ partition, leader: undefined, leaderEpoch: 0 })),
        ),
      );
      return answer;
    };
    await admin.addPartitions({ topic: "orders", partitions: 3 });
    await expect(log.listOffsets({ topic: "orders", partitions: [2] })).rejects.toMatchObject({
      reason: Reason.LEADER_NOT_AVAILABLE,
    });
  });

  it("is answered for although the metadata do not come", async () => {
    const { controller } = await start();
    controller.admin.addPartitions = () => described(controller, 9);
    const { service, call, waits } = hurriedGateway(controller);
    const answer = await service.addPartitions(
      create(AddPartitionsRequestSchema, { topic: "orders", partitions: 9 }),
      call,
    );
    expect(answer.topic?.name).toBe("orders");
    expect(waits()).toBe(1);
  });

  it("is not waited for where it was only to be checked", async () => {
    const { controller } = await start();
    controller.admin.createTopic = () => described(controller, 9);
    const { service, call, waits } = hurriedGateway(controller);
    const answer = await service.createTopic(
      create(CreateTopicRequestSchema, { topic: "orders", validateOnly: true }),
      call,
    );
    expect(answer.topic?.name).toBe("orders");
    expect(waits()).toBe(0);
  });
});

/** A gateway without metadata, whose waits are over at once. */
function hurriedGateway(controller: FakeController) {
  const pool = createChannelPool({ runtime });
  onTestFinished(() => pool.close());
  let waits = 0;
  const after: typeof runtime.scheduler.after = (_, task) => {
    waits += 1;
    return runtime.scheduler.afterInput(task);
  };
  const service = createAdminService(
    {
      controller: createActiveController({ endpoints: [controller.endpoint], pool, runtime }),
      runtime: { ...runtime, scheduler: { ...runtime.scheduler, after } },
    },
    createRouteTable(emptyImage),
    () => ({ partitions: [] }),
  );
  const call = { signal: new AbortController().signal, timeoutMs: () => undefined } as unknown as CallContext;
  return { service, call, waits: () => waits };
}

describe("a stream from the controller", () => {
  it("is handed on message by message, and ends with its caller", async () => {
    const { metadata, controller } = await start();
    let isAborted = false;
    controller.metadata.watch = async function* (_, { signal }) {
      signal.addEventListener("abort", () => (isAborted = true), { once: true });
      yield { revision: 1n };
      yield { revision: 2n };
      await new Promise(() => undefined);
    };
    const seen: bigint[] = [];
    for await (const { revision } of metadata.watch({})) {
      seen.push(revision);
      if (seen.length === 2) break;
    }
    expect(seen).toEqual([1n, 2n]);
    await waitFor("the controller to be told", () => isAborted);
  });

  it("of its events is looked for where another controller answers first, and its events come in order", async () => {
    const { admin, controller } = await start();
    let calls = 0;
    controller.admin.watchEvents = async function* () {
      calls += 1;
      if (calls === 1) throw new TidemarkError({ reason: Reason.NOT_CONTROLLER, message: "not yet" });
      yield { event: { case: "election", value: { topic: "a", leaderEpoch: 1 } } };
      yield { event: { case: "isrChange", value: { topic: "a", after: [1, 2] } } };
    };
    const seen: unknown[] = [];
    for await (const { event } of admin.watchEvents({ topic: "a" })) seen.push(event);
    expect(seen).toMatchObject([{ case: "election" }, { case: "isrChange", value: { after: [1, 2] } }]);
    expect(calls).toBe(2);
  });

  it("fails with the controller's error, and is not begun anew in the middle", async () => {
    const { metadata, controller } = await start();
    let begun = 0;
    controller.metadata.watch = async function* () {
      begun += 1;
      yield { revision: 1n };
      throw lost();
    };
    const read = async () => {
      for await (const each of metadata.watch({})) expect(each.revision).toBe(1n);
    };
    await expect(read()).rejects.toMatchObject({ reason: Reason.UNAVAILABLE });
    expect(begun).toBe(1);
  });
});
