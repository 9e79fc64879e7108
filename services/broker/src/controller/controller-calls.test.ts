import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { createActiveController } from "@tidemark/controller-link";
import {
  type BrokerEpoch,
  brokerEpoch,
  brokerId,
  type ControllerEpoch,
  leaderEpoch,
  partitionEpoch,
  partitionIndex,
  type Revision,
  topicId,
} from "@tidemark/ids";
import {
  type AllocateProducerIdsRequest,
  type AlterPartitionRequest,
  type AlterPartitionResultSchema,
  ClusterService,
  type HeartbeatRequest,
  type RegisterRequest,
} from "@tidemark/proto/cluster/v1";
import { ErrorDetailSchema, Outcome, Reason } from "@tidemark/proto/common/v1";
import { InitProducerRequestSchema } from "@tidemark/proto/log/v1";
import type { AlterPartition, AlterPartitionAnswer, Confirmation, ProposalAttempt } from "@tidemark/replication";
import { createChannelPool, createRpcServer, serve, TidemarkError } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { createLogger } from "@tidemark/telemetry";
import { afterEach, describe, expect, it, test, vi } from "vitest";
import { createInitProducer } from "../api/init-producer.ts";
import { createConfirmLeader } from "./confirm-leader.ts";
import { createIsrChanges } from "./isr-changes.ts";
import { createPartitionLinks } from "./partition-links.ts";
import { createProducerIds } from "./producer-ids.ts";
import { type BrokerCondition, type BrokerSession, createBrokerSession } from "./session.ts";

const runtime = createNodeRuntime();
const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const eventually = <Value>(look: () => Value) => expect.poll(look, { timeout: 20_000, interval: 5 });
const self = brokerId(1);
const replica = (partition: number) => ({
  topicId: topicId("00000000-0000-4000-8000-000000000001"),
  partition: partitionIndex(partition),
});

/** A controller that says what a test tells it to, and the way to it. */
async function startController() {
  const state = {
    registrations: [] as RegisterRequest[],
    beats: [] as HeartbeatRequest[],
    alters: [] as AlterPartitionRequest[],
    mayShutDown: false,
    heartbeatError: undefined as TidemarkError | undefined,
    alter: (): MessageInitShape<typeof AlterPartitionResultSchema>[] => [],
    leads: (): boolean => true,
    uncleanDefault: false,
    blocks: [] as AllocateProducerIdsRequest[],
    blockError: undefined as TidemarkError | undefined,
  };
  const server = createRpcServer({
    runtime,
    listeners: {
      internal: {
        port: 0,
        services: [
          serve(ClusterService, {
            register(request) {
              state.registrations.push(request);
              const epoch = state.registrations.length;
              return { brokerEpoch: epoch, revision: BigInt(10 * epoch), controllerEpoch: 1 };
            },
            async *heartbeat(requests) {
              for await (const request of requests) {
                state.beats.push(request);
                if (state.heartbeatError !== undefined) throw state.heartbeatError;
                yield {
                  sequence: request.sequence,
                  mayShutDown: state.mayShutDown && request.wantsShutdown,
                  uncleanLeaderElection: state.uncleanDefault,
                };
              }
            },
            alterPartition(request) {
              state.alters.push(request);
              return { controllerEpoch: 4, results: state.alter() };
            },
            confirmLeader: () => ({ leads: state.leads() }),
            allocateProducerIds(request) {
              state.blocks.push(request);
              if (state.blockError !== undefined) throw state.blockError;
              return { controllerEpoch: 1, firstProducerId: BigInt((state.blocks.length - 1) * 3), count: 3 };
            },
          }),
        ],
      },
    },
  });
  const { internal } = await server.start();
  cleanups.push(() => server.stop(0));
  const pool = createChannelPool({ runtime });
  cleanups.push(() => pool.close());
  const endpoints = [`127.0.0.1:${internal?.port ?? 0}`];
  return { state, server, controller: createActiveController({ endpoints, pool, runtime }) };
}

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
    const { state } = await startSession({ damagedReplicas: [replica(3)], failedDirectoryIds: ["d2"] });
    expect(state.registrations[0]).toMatchObject({
      bootId: "boot",
      cleanStopBrokerEpoch: 6,
      directoryIds: ["d1"],
      damagedReplicas: [{ topicId: replica(3).topicId, partition: 3 }],
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

const proposal = (attempt: number, change: Partial<AlterPartition["proposal"]> = {}): AlterPartition => ({
  attempt: attempt as ProposalAttempt,
  proposal: {
    leaderEpoch: leaderEpoch(3),
    partitionEpoch: partitionEpoch(7),
    isr: [
      { replica: self, brokerEpoch: brokerEpoch(5) },
      { replica: brokerId(2), brokerEpoch: undefined },
    ],
    recovering: false,
    reason: "",
    ...change,
  },
});

async function startChanges() {
  const { state, server, controller } = await startController();
  const changes = createIsrChanges({
    controller,
    scheduler: runtime.scheduler,
    brokerId: self,
    brokerEpoch: () => 5 as BrokerEpoch,
    onHeard: () => undefined,
  });
  const answers = new Map<number, AlterPartitionAnswer>();
  const propose = (partition: number, request = proposal(partition)) => {
    changes.propose(replica(partition), request, (answer) => answers.set(request.attempt, answer));
  };
  return { state, server, answers, propose };
}

const failure = (partition: number, reason: Reason) => ({
  ...replica(partition),
  error: create(ErrorDetailSchema, { reason }),
});

describe("proposals of one moment", () => {
  it("travel in one request, with no broker epoch for a member that proved none", async () => {
    const { state, answers, propose } = await startChanges();
    for (const partition of [0, 1, 2]) propose(partition);
    await eventually(() => answers.size).toBe(3);
    expect(state.alters).toHaveLength(1);
    expect(state.alters[0]).toMatchObject({
      brokerId: 1,
      brokerEpoch: 5,
      partitions: [
        {
          partition: 0,
          leaderEpoch: 3,
          partitionEpoch: 7,
          isr: [
            { brokerId: 1, brokerEpoch: 5 },
            { brokerId: 2, brokerEpoch: 0 },
          ],
          recovered: true,
        },
        { partition: 1 },
        { partition: 2 },
      ],
    });
  });

  it("settle by their own reasons, and an unknown one settles nothing", async () => {
    const { state, answers, propose } = await startChanges();
    const reasons: [Reason, AlterPartitionAnswer["kind"]][] = [
      [Reason.INELIGIBLE_REPLICA, "INELIGIBLE_REPLICA"],
      [Reason.NOT_ATTEMPTED, "NOT_ATTEMPTED"],
      [Reason.INVALID_PARTITION_EPOCH, "PARTITION_EPOCH_MISMATCH"],
      [Reason.FENCED_LEADER_EPOCH, "LEADER_EPOCH_MISMATCH"],
      [Reason.UNKNOWN_LEADER_EPOCH, "LEADER_EPOCH_MISMATCH"],
      [Reason.NOT_LEADER, "LEADER_EPOCH_MISMATCH"],
      [Reason.INTERNAL, "UNKNOWN"],
      [Reason.UNKNOWN_TOPIC_ID, "UNKNOWN"],
    ];
    state.alter = () => reasons.map(([reason], partition) => failure(partition, reason));
    for (const partition of reasons.keys()) propose(partition);
    propose(reasons.length);
    await eventually(() => answers.size).toBe(reasons.length + 1);
    expect([...answers.values()].map(({ kind }) => kind)).toEqual([...reasons.map(([, kind]) => kind), "UNKNOWN"]);
    expect(answers.get(0)).toMatchObject({ controllerEpoch: 4 });
  });

  it("of one partition have each its own answer: what settles one says nothing of the other", async () => {
    const { state, answers, propose } = await startChanges();
    state.alter = () => [failure(0, Reason.INELIGIBLE_REPLICA), failure(0, Reason.INVALID_PARTITION_EPOCH)];
    for (const attempt of [1, 2]) propose(0, proposal(attempt));
    const kinds = () => [1, 2].map((attempt) => answers.get(attempt)?.kind);
    await eventually(kinds).toEqual(["INELIGIBLE_REPLICA", "PARTITION_EPOCH_MISMATCH"]);
  });

  it("that were applied bring the state", async () => {
    const { state, answers, propose } = await startChanges();
    state.alter = () => [
      {
        ...replica(0),
        state: { ...replica(0), replicas: [{ brokerId: 1 }], isr: [1], minIsr: 1, leader: 1, partitionEpoch: 8 },
      },
    ];
    propose(0);
    await eventually(() => answers.size).toBe(1);
    expect(answers.get(0)).toMatchObject({ kind: "applied", state: { isr: [1], partitionEpoch: 8 } });
  });

  test.each([
    [Reason.NOT_CONTROLLER, Outcome.NOT_APPLIED, "NOT_CONTROLLER"],
    [Reason.METADATA_OUTCOME_UNKNOWN, Outcome.UNKNOWN, "UNKNOWN"],
  ] as const)("fail as a whole (%i) as what is known of the call, and are sent once", async (reason, outcome, kind) => {
    const { state, answers, propose } = await startChanges();
    state.alter = () => {
      throw new TidemarkError({ reason, outcome, message: "no" });
    };
    propose(0);
    await eventually(() => answers.size).toBe(1);
    expect(answers.get(0)).toEqual({ kind });
    expect(state.alters).toHaveLength(1);
  });

  it("20j: whose answer is lost with the connection are in doubt", async () => {
    const { state, server, answers, propose } = await startChanges();
    let arrived = false;
    state.alter = () => {
      arrived = true;
      server.stop(0).catch(() => undefined);
      throw new TidemarkError({ reason: Reason.UNAVAILABLE, outcome: Outcome.UNKNOWN, message: "gone" });
    };
    propose(0);
    await eventually(() => answers.size).toBe(1);
    expect([arrived, answers.get(0)]).toEqual([true, { kind: "UNKNOWN" }]);
  });
});

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

describe("producer ids", () => {
  it("are each given out once, from blocks that are asked for one at a time", async () => {
    const { state, initProducer } = await startProducerIds();
    const given = await Promise.all(Array.from({ length: 8 }, () => initProducer({})));
    expect(given.map(({ producerId }) => producerId)).toEqual([1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n]);
    expect(given.every(({ producerEpoch }) => producerEpoch === 0)).toBe(true);
    expect(state.blocks.slice(0, 3)).toMatchObject(Array.from({ length: 3 }, () => ({ brokerId: 1, brokerEpoch: 5 })));
  });

  it("stay with a producer that raises its epoch, until its epochs are used up", async () => {
    const { initProducer } = await startProducerIds();
    expect(await initProducer({ producerId: 77n, producerEpoch: 4 })).toEqual({ producerId: 77n, producerEpoch: 5 });
    expect(await initProducer({ producerId: 77n, producerEpoch: 32_767 })).toEqual({
      producerId: 1n,
      producerEpoch: 0,
    });
  });

  it("are asked for again after the controller had none", async () => {
    const { state, initProducer } = await startProducerIds();
    state.blockError = new TidemarkError({ reason: Reason.STALE_BROKER_EPOCH, message: "register anew" });
    await expect(initProducer({})).rejects.toMatchObject({
      reason: Reason.UNAVAILABLE,
      retriable: true,
      outcome: Outcome.NOT_APPLIED,
    });
    state.blockError = undefined;
    expect(await initProducer({})).toEqual({ producerId: 3n, producerEpoch: 0 });
  });

  const noController = new TidemarkError({ reason: Reason.UNAVAILABLE, message: "nobody is there" });

  it("are in hand from the registration on, so that producers can begin without a controller", async () => {
    const { state, ids, initProducer } = await startProducerIds();
    const { signal } = new AbortController();
    await Promise.all([ids.stock(signal), ids.stock(signal)]);
    await ids.stock(signal);
    expect(state.blocks).toHaveLength(1);
    state.blockError = noController;
    expect([await initProducer({}), await initProducer({})].map(({ producerId }) => producerId)).toEqual([1n, 2n]);
    await expect(initProducer({})).rejects.toMatchObject({ reason: Reason.UNAVAILABLE, retriable: true });
  });

  it("are asked for before those in hand are used up", async () => {
    const { state, initProducer } = await startProducerIds();
    expect((await initProducer({})).producerId).toBe(1n);
    await vi.waitFor(() => expect(state.blocks).toHaveLength(2));
    state.blockError = noController;
    const given: bigint[] = [];
    for (let id = 2n; id <= 5n; id++) given.push((await initProducer({})).producerId);
    expect(given).toEqual([2n, 3n, 4n, 5n]);
  });

  it("are asked for at a registration until the controller gives some", async () => {
    const { state, ids } = await startProducerIds();
    state.blockError = noController;
    const stocked = ids.stock(new AbortController().signal);
    await vi.waitFor(() => expect(state.blocks.length).toBeGreaterThan(1));
    state.blockError = undefined;
    await stocked;
    state.blockError = noController;
    expect(await ids.next()).toBeGreaterThan(0n);
  });

  it("are not asked for by a broker that stops", async () => {
    const { state, ids } = await startProducerIds();
    state.blockError = noController;
    const stop = new AbortController();
    const stocked = ids.stock(stop.signal);
    await vi.waitFor(() => expect(state.blocks.length).toBeGreaterThan(0));
    stop.abort();
    await stocked;
    const asked = state.blocks.length;
    await ids.stock(stop.signal);
    expect(state.blocks).toHaveLength(asked);
  });

  test.each([
    [{ producerId: 7n }, /together/],
    [{ producerEpoch: 7 }, /together/],
    [{ producerId: -1n, producerEpoch: 0 }, /begin with 0/],
    [{ producerId: 1n, producerEpoch: 32_768 }, /largest one is 32767/],
  ])("are refused for %o", async (request, message) => {
    const { initProducer } = await startProducerIds();
    const error = await initProducer(request).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ reason: Reason.INVALID_ARGUMENT });
    expect(String(error)).toMatch(message);
  });
});

async function startProducerIds() {
  const { state, controller } = await startController();
  const ids = createProducerIds({
    controller,
    brokerId: self,
    brokerEpoch: () => brokerEpoch(5),
    runtime,
    onHeard: () => {},
  });
  const handle = createInitProducer(ids);
  const initProducer = (request: MessageInitShape<typeof InitProducerRequestSchema>) =>
    handle(create(InitProducerRequestSchema, request));
  return { state, ids, initProducer };
}
