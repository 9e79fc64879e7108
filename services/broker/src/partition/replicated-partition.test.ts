import { create } from "@bufbuild/protobuf";
import { brokerSchema, readSources } from "@tidemark/config";
import { createMemoryDisk } from "@tidemark/disk";
import { encodeRecords } from "@tidemark/format";
import {
  brokerEpoch,
  brokerId,
  controllerEpoch,
  directoryId,
  leaderEpoch,
  offset,
  partitionEpoch,
  partitionIndex,
  topicId,
} from "@tidemark/ids";
import { defaultLogSettings, type LogEvent, openLogDirectory } from "@tidemark/log";
import { Reason } from "@tidemark/proto/common/v1";
import { Acks, RecordSchema } from "@tidemark/proto/log/v1";
import { encodeBatch, portableCrc32c } from "@tidemark/record";
import {
  createFetchSessions,
  createProducerTable,
  type ReplicaFetch,
  type ReplicaResponse,
} from "@tidemark/replication";
import { TidemarkError } from "@tidemark/rpc";
import { createManualTime, createSeededRandom } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { checkBatches } from "../api/check-batches.ts";
import type { ReplicaReply } from "../replication/replica-exchange.ts";
import { fetchFrom } from "../replication/testing/replica-harness.ts";
import { replicationSettings } from "../replication-settings.ts";
import { gateDisk } from "../testing/gated-disk.ts";
import type { PartitionShared } from "./replica-state.ts";
import { createReplicatedPartition } from "./replicated-partition.ts";
import { createTimeline } from "./timeline.ts";

const [self, leader] = [brokerId(1), brokerId(2)];
const id = { topicId: topicId("00000000-0000-4000-8000-000000000001"), partition: partitionIndex(0) };

/** The settings of a broker that is told the least. */
function asConfigured() {
  const flags = ["--node.id=1", "--controller.endpoints=127.0.0.1:1", "--log.dirs=/log"];
  const read = readSources(brokerSchema, { file: undefined, environment: {}, flags, baseDirectory: "/" });
  if (!read.ok) throw new Error(JSON.stringify(read.problems));
  return read.config.values;
}

/** A follower in leader epoch 3, whose log ends at 0. `hears`: what the log tells reaches it. */
async function follower({ hears = false } = {}) {
  const disk = createMemoryDisk();
  await disk.makeDirectory("/log");
  const gated = gateDisk(disk);
  const time = createManualTime();
  const directory = await openLogDirectory({
    path: "/log",
    disk: gated,
    runtime: { ...time, random: createSeededRandom(1) },
    crc32c: portableCrc32c,
    owner: { clusterId: "c", nodeId: self },
    onFailure: () => undefined,
    createMissing: true,
  });
  await directory.create(id);
  const producers = createProducerTable();
  const onEvent = (event: LogEvent) => {
    if (hears) partition.onLogEvent(event);
  };
  const log = await directory.open(id, { settings: defaultLogSettings, onEvent, producers });
  const fetches: ReplicaFetch[] = [];
  const broken: unknown[] = [];
  const stuck: unknown[] = [];
  const left: unknown[] = [];
  const shared: PartitionShared = {
    self,
    clock: time.clock,
    links: {
      fetcher: { fetch: (_, __, fetch) => fetches.push(fetch), flushed: () => undefined },
      alterPartition: () => undefined,
      confirmLeader: () => undefined,
    },
    requests: { next: () => 1 as never },
    leaderOf: () => undefined,
    isReceiptOpen: () => false,
    onTrace: () => undefined,
    onFetched: () => undefined,
    onLeft: (place) => left.push(place),
    onStep: undefined,
    onDue: () => undefined,
    onStuck: (replica) => stuck.push(replica),
    onBroken: (_, error) => broken.push(error),
  };
  const partition = createReplicatedPartition(shared, {
    place: { topic: "t", topicId: id.topicId, index: id.partition },
    log,
    directoryId: directoryId("dddddddd-0000-4000-8000-000000000001"),
    settings: {
      log: defaultLogSettings,
      maxBatchBytes: 2 ** 20,
      timestampType: "CreateTime",
      uncleanElection: undefined,
    },
    replication: replicationSettings(asConfigured()),
    brokerEpoch: brokerEpoch(1),
    sessions: createFetchSessions(),
    producers,
    turn: 0,
  });
  const members = [leader, self];
  const state = {
    replicas: members,
    isr: members,
    elr: [],
    minIsr: 1,
    leader,
    leaderEpoch: leaderEpoch(3),
    partitionEpoch: partitionEpoch(3),
    recovering: false,
  };
  partition.applyMetadata(state, controllerEpoch(1));
  let released = 0;
  const respond = (content: ReplicaResponse["content"], bytes = new Uint8Array(10)) => {
    const session = fetches.at(-1)?.session;
    if (session === undefined) throw new Error("Nothing was asked");
    const response = { from: leader, leaderEpoch: leaderEpoch(3), session, content };
    partition.takeResponse(response, { bytes, release: () => (released += 1) });
  };
  const lead = () => {
    const newer = { leader: self, leaderEpoch: leaderEpoch(4), partitionEpoch: partitionEpoch(4) };
    partition.applyMetadata({ ...state, ...newer }, controllerEpoch(1));
  };
  const follow = () => {
    const newer = { leaderEpoch: leaderEpoch(5), partitionEpoch: partitionEpoch(5) };
    partition.applyMetadata({ ...state, ...newer }, controllerEpoch(1));
  };
  return { partition, log, time, fetches, gated, respond, lead, follow, broken, stuck, left, released: () => released };
}

const records = (from: bigint): ReplicaResponse["content"] => ({
  kind: "records",
  batches: [{ baseOffset: offset(from), endOffset: offset(from + 5n), leaderEpoch: leaderEpoch(3) }],
  highWatermark: offset(0n),
  logStart: offset(0n),
});

const gone = new TidemarkError({ reason: Reason.UNKNOWN_TOPIC, message: "The topic was deleted" });

it("20: an answer that takes seconds on a slow link is taken, and not asked for anew while it is on its way", async () => {
  const { partition, time, fetches, respond } = await follower();
  for (let second = 1; second <= 7; second++) {
    await time.advance(1000);
    partition.tick({ nowMs: time.clock.monotonicMs(), controllerHeardMs: time.clock.monotonicMs() });
  }
  expect(fetches).toHaveLength(1);
  respond({ kind: "records", batches: [], highWatermark: offset(0n), logStart: offset(0n) });
  expect(fetches).toHaveLength(2);
  // The safety net: an answer that is lost is asked for again.
  await time.advance(9_000);
  partition.tick({ nowMs: time.clock.monotonicMs(), controllerHeardMs: time.clock.monotonicMs() });
  expect(fetches).toHaveLength(3);
});

describe("a cut that found no room for what stands for a gap right below it", () => {
  /** What stands there is two offsets short of the cut at 3. */
  async function shortened(meanwhile: (of: Awaited<ReturnType<typeof follower>>) => void) {
    const of = await follower();
    const bytes = encodeBatch(
      Array.from({ length: 5 }, () => ({ timestamp: 1n, key: null, value: new Uint8Array(1), headers: [] })),
      { crc32c: portableCrc32c, baseOffset: offset(0n), leaderEpoch: leaderEpoch(3) },
    );
    of.respond(records(0n), new Uint8Array(bytes));
    await of.log.flushed(offset(5n));
    Object.assign(of.log, { truncateTo: () => Promise.resolve(offset(1n)) });
    of.respond({ kind: "diverging", divergence: { leaderEpoch: leaderEpoch(3), endOffset: offset(3n) } } as never);
    meanwhile(of);
    return of;
  }

  it("makes a follower begin anew from where its log ends", async () => {
    const { stuck, broken } = await shortened(() => undefined);
    await expect.poll(() => stuck).toEqual([id]);
    expect(broken).toEqual([]);
  });

  it("takes who leads by now out of service: it may have proposed who enters the ISR", async () => {
    const { stuck, broken } = await shortened(({ lead }) => {
      lead();
    });
    await expect.poll(() => broken).toMatchObject([{ message: "A cut at 3 left a log that ends at 1" }]);
    expect(stuck).toEqual([]);
  });
});

it("a replica that is left while its log is cut gives back the bytes that wait for the cut", async () => {
  const { partition, gated, respond, released } = await follower();
  const goOn = gated.holdSyncs();
  respond({ kind: "behindLogStart", logStart: offset(100n) });
  respond(records(100n));
  // That of the answer which brought no records.
  expect(released()).toBe(1);
  partition.leave(gone);
  expect(released()).toBe(2);
  goOn();
});

it("a replica that is left says so, once", async () => {
  const { partition, left } = await follower();
  partition.leave(gone);
  partition.leave(gone);
  expect(left).toEqual([{ topic: "t", topicId: id.topicId, index: id.partition }]);
});

it("a replica that broke an invariant gives back the bytes that it has not written", async () => {
  const { partition, gated, respond, broken, released } = await follower();
  const goOn = gated.holdSyncs();
  respond({ kind: "behindLogStart", logStart: offset(100n) });
  respond(records(100n));
  // The log cannot have taken back what it has flushed.
  partition.give({ kind: "flushed", offset: offset(105n), generation: 1 as never, nowMs: 0 });
  partition.give({ kind: "appendRefused", from: offset(101n), nowMs: 0 });
  expect(broken).toHaveLength(1);
  expect(released()).toBe(2);
  goOn();
});

describe("a leader's recorded batch that nobody waits for, on its way to a follower", () => {
  /** A leader, and what becomes of the ways of its batches to followers. */
  async function leads(options: { readonly hears?: boolean } = {}) {
    const of = await follower(options);
    of.lead();
    const encoded = encodeRecords([create(RecordSchema)], { nowMs: 1, crc32c: portableCrc32c });
    if (encoded.kind !== "ok") throw new Error(encoded.message);
    const rules = { settings: of.partition.settings, codecs: {}, acks: Acks.ALL };
    const ended: number[] = [];
    const deadlineMs = Number.POSITIVE_INFINITY;
    const produce = (traceparent: string) => {
      const way = { traceparent, link: () => undefined, end: (endMs: number) => ended.push(endMs) };
      const batches = checkBatches(Uint8Array.from(encoded.batch), { topic: "t", partition: 0 }, rules);
      const timeline = createTimeline(0, () => way);
      of.partition.produce({ batches, acks: "none", deadlineMs, settle: () => undefined, timeline });
    };
    const send = async (maxBytes: number) => {
      const reply = await new Promise<ReplicaReply>((resolve) => {
        of.partition.serve({ ...fetchFrom(0), replica: leader, leaderEpoch: leaderEpoch(4) }, deadlineMs, resolve);
      });
      if (reply.kind !== "records" || reply.read === undefined) throw new Error(`Was answered with ${reply.kind}`);
      return (await reply.read(maxBytes)).sent();
    };
    return { ...of, ended, produce, send };
  }

  /** Of two batches the first was sent. Returns how long its way took, once it ends. */
  async function sent() {
    const of = await leads();
    of.produce("the first");
    of.produce("the second");
    await of.log.flushed(offset(2n));
    expect(await of.send(1)).toHaveLength(1);
    expect(of.ended).toEqual([]);
    await of.time.advance(7);
    return of;
  }

  it("is none where the disk was full: the next batch takes its offsets, and goes the way of its own", async () => {
    const { produce, send, gated, log } = await leads({ hears: true });
    const goOn = gated.fill();
    produce("lost");
    await expect.poll(() => log.logEndOffset).toBe(0n);
    goOn();
    produce("stored");
    await log.flushed(offset(1n));
    expect(await send(1000)).toEqual([{ traceparent: "stored", endOffset: 1n }]);
  });

  it("is over as soon as it leads no longer, though it leads again before its next turn", async () => {
    const { follow, ended } = await sent();
    follow();
    expect(ended).toEqual([7]);
  });

  it("is over when the replica is left", async () => {
    const { partition, ended } = await sent();
    partition.leave(gone);
    expect(ended).toEqual([7]);
  });

  it("is over when the replica breaks an invariant", async () => {
    const { partition, broken, ended } = await sent();
    partition.give({ kind: "flushed", offset: offset(2n), generation: 0 as never, nowMs: 7 });
    partition.give({ kind: "appendRefused", from: offset(0n), nowMs: 7 });
    expect(broken).toHaveLength(1);
    expect(ended).toEqual([7]);
  });
});
