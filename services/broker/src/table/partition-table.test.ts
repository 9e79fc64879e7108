import { create } from "@bufbuild/protobuf";
import { createMemoryDisk } from "@tidemark/disk";
import {
  brokerEpoch,
  brokerId,
  controllerEpoch,
  leaderEpoch,
  noLeaderEpoch,
  offset,
  type PartitionIndex,
  partitionIndex,
  revision,
  type TopicId,
  topicId,
} from "@tidemark/ids";
import { applyChanges, findTopic, listPartitions, type MetadataChange, type Partition } from "@tidemark/metadata";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { ProduceRequestSchema, RecordSchema } from "@tidemark/proto/log/v1";
import { describe, expect, it, vi } from "vitest";
import { type BrokerBench, callContext, createBrokerBench, imageOf, self } from "../testing/broker-bench.ts";

const putPartitionOf = (value: Partition): MetadataChange => ({
  kind: "partition",
  topicId: value.topicId,
  partition: value.partition,
  value,
});
const record = create(RecordSchema, { valueForm: { case: "text", value: "a" } });
const produce = (bench: BrokerBench, topic = "t") =>
  bench.produce(create(ProduceRequestSchema, { topic, partition: 0, records: [record] }), callContext());

/** Fills the only log with more than that, and lets retention go by. */
async function keepsAtMost(bench: BrokerBench, bytes: number) {
  const log = bench.table.logs()[0]!.log;
  const large = create(RecordSchema, { valueForm: { case: "text", value: "x".repeat(500) } });
  const request = create(ProduceRequestSchema, { topic: "t", partition: 0, records: [large] });
  for (let index = 0; index < 20; index++) await bench.produce(request, callContext());
  expect(log.sizeInBytes).toBeGreaterThan(bytes);
  await log.applyRetention(0n);
  expect(log.sizeInBytes).toBeLessThan(bytes);
}

describe("the partitions of a broker", () => {
  it("keep their data when the leader epoch rises, and stamp the new one", async () => {
    const bench = await createBrokerBench(imageOf([{ name: "t" }]));
    await produce(bench);
    await bench.apply(imageOf([{ name: "t", leaderEpoch: 4 }]));
    const { results } = await produce(bench);
    expect(results).toMatchObject([{ baseOffset: 1n, leaderEpoch: 4 }]);
  });

  it("are led again by metadata that came before the answer of the registration that they belong to", async () => {
    const bench = await createBrokerBench(imageOf([{ name: "t" }]));
    bench.table.resignAll("the session is lost");
    await bench.apply(imageOf([{ name: "t", leaderEpoch: 4 }]));
    expect(bench.table.led()).toEqual([]);
    bench.table.registered({
      brokerEpoch: brokerEpoch(2),
      controllerEpoch: controllerEpoch(1),
      revision: revision(1n),
    });
    const { results } = await produce(bench);
    expect(results).toMatchObject([{ leaderEpoch: 4 }]);
  });

  it("go by the metadata of a later controller epoch though its revisions are lower: the cluster was moved", async () => {
    const bench = await createBrokerBench(imageOf([{ name: "t" }]));
    const at = { brokerEpoch: brokerEpoch(2), controllerEpoch: controllerEpoch(1), revision: revision(5000n) };
    bench.table.registered(at);
    await bench.apply(imageOf([{ name: "t", leaderEpoch: 4 }]), at);
    await bench.apply(imageOf([{ name: "t", leaderEpoch: 5 }]), {
      controllerEpoch: controllerEpoch(2),
      revision: revision(7n),
    });
    expect(await produce(bench)).toMatchObject({ results: [{ leaderEpoch: 5 }] });
    // And those of an earlier one are from before the registration, however high they are.
    bench.table.registered({ ...at, controllerEpoch: controllerEpoch(3), revision: revision(2n) });
    await bench.apply(imageOf([{ name: "t", leaderEpoch: 6 }]), {
      controllerEpoch: controllerEpoch(2),
      revision: revision(6000n),
    });
    expect(await produce(bench)).toMatchObject({ results: [{ leaderEpoch: 5 }] });
  });

  it("end what is pending as unknown, with the new leader, when another broker leads", async () => {
    const bench = await createBrokerBench(imageOf([{ name: "t" }]));
    const release = bench.gated.holdSyncs();
    const pending = produce(bench).catch((error: unknown) => error);
    await bench.apply(imageOf([{ name: "t", ledByOther: [0], leaderEpoch: 4 }]));
    expect(await pending).toMatchObject({
      reason: Reason.NOT_LEADER,
      outcome: Outcome.UNKNOWN,
      fields: { leader: { broker: 2, leaderEpoch: 4 } },
    });
    release();
  });

  it("take settings of their topic at once", async () => {
    const bench = await createBrokerBench(imageOf([{ name: "t" }]));
    await bench.apply(imageOf([{ name: "t", settings: { "max.message.bytes": "1024" } }]));
    const large = create(RecordSchema, { valueForm: { case: "text", value: "x".repeat(2000) } });
    const answer = bench.produce(
      create(ProduceRequestSchema, { topic: "t", partition: 0, records: [large] }),
      callContext(),
    );
    await expect(answer).rejects.toMatchObject({ reason: Reason.MESSAGE_TOO_LARGE });
  });

  it("keep what the newest settings of their topic say, also those that came while their logs were being made", async () => {
    const bench = await createBrokerBench(imageOf([]));
    const release = bench.gated.holdSyncs();
    const made = bench.apply(
      imageOf([{ name: "t", settings: { "segment.bytes": "1024", "max.message.bytes": "1024" } }]),
    );
    const settings = { "segment.bytes": "1024", "max.message.bytes": "1024", "retention.bytes": "1024" };
    const changed = bench.apply(imageOf([{ name: "t", settings }]));
    release();
    await Promise.all([made, changed]);
    await keepsAtMost(bench, 3000);
  });

  it("are removed where the deletion is said, which is then confirmed, and not before", async () => {
    const bench = await createBrokerBench(imageOf([{ name: "t" }]));
    const id = bench.table.led()[0]?.topicId;
    if (id === undefined) throw new Error("not led");
    await bench.apply(imageOf([]));
    expect(bench.directory.aside()).toMatchObject([{ topicId: id }]);
    expect(bench.logs.join("")).toContain("kept and not served");
    const deleted = { kind: "deletedTopic", topicId: id, value: { topicId: id, name: "t", awaited: [self] } } as const;
    await bench.apply(imageOf([], [deleted]));
    expect([bench.directory.replicas(), bench.directory.aside()]).toEqual([[], []]);
    expect(bench.table.deletions()).toEqual([id]);
    await bench.apply(imageOf([]));
    expect(bench.table.deletions()).toEqual([]);
  });

  it("27b: are set aside while the metadata do not know their topic id, and there again when they do", async () => {
    const bench = await createBrokerBench(imageOf([{ name: "t" }]));
    await produce(bench);
    await bench.apply(imageOf([]));
    expect([bench.directory.replicas().length, bench.directory.aside().length]).toEqual([0, 1]);
    // The same name with another id is another topic.
    await bench.apply(imageOf([{ name: "t", number: 2 }]));
    expect(await produce(bench)).toMatchObject({ results: [{ baseOffset: 0n }] });
    expect(bench.directory.aside().length).toBe(1);
    await bench.apply(imageOf([{ name: "t", leaderEpoch: 4 }]));
    expect(await produce(bench)).toMatchObject({ results: [{ baseOffset: 1n, leaderEpoch: 4 }] });
  });

  it("27d: are not taken for stray while their deletion is under way in several batches", async () => {
    const bench = await createBrokerBench(imageOf([{ name: "t", partitions: 2 }]));
    const id = bench.table.led()[0]?.topicId;
    if (id === undefined) throw new Error("not led");
    const note = { kind: "deletedTopic", topicId: id, value: { topicId: id, name: "t", awaited: [self] } } as const;
    const name = { kind: "topic", name: "t", value: undefined } as const;
    const partitions = [0, 1].map(
      (index) => ({ kind: "partition", topicId: id, partition: partitionIndex(index), value: undefined }) as const,
    );
    // Without the note, as a controller leaves it that dies in the middle of a creation: the partitions are known.
    const whole = imageOf([{ name: "t", partitions: 2 }]);
    await bench.apply(applyChanges(whole, [name]).image);
    expect([bench.directory.replicas().length, bench.directory.aside().length]).toEqual([2, 0]);
    await bench.apply(applyChanges(whole, [name, note, ...partitions.slice(1)]).image);
    await bench.apply(applyChanges(whole, [name, note, ...partitions]).image);
    expect([bench.directory.replicas(), bench.directory.aside()]).toEqual([[], []]);
  });

  // What simulated seed 20012 found: nothing opened them any more.
  it("are opened again when a full disk has room, though no metadata change, and told of once", async () => {
    const bench = await createBrokerBench(imageOf([{ name: "t" }]));
    const release = bench.gated.fill();
    await bench.apply(imageOf([{ name: "t" }, { name: "u", number: 2 }]));
    const trouble = () => bench.logs.filter((line) => line.includes("u-0 cannot be opened")).length;
    const isOffline = () => bench.table.offline().length === 1;
    const passSecond = async () => {
      await bench.time.advance(1000);
      bench.table.tick(0);
    };
    expect(isOffline()).toBe(true);
    // While it is tried again it is not served either.
    await passSecond();
    expect(isOffline()).toBe(true);
    release();
    bench.table.tick(0);
    expect(isOffline()).toBe(true);
    await passSecond();
    await vi.waitFor(() => expect(bench.table.led()).toHaveLength(2), { timeout: 20_000 });
    expect([isOffline(), trouble()]).toEqual([false, 1]);
    expect(await produce(bench, "u")).toMatchObject({ results: [{ baseOffset: 0n }] });
  });

  it("34g: are told of that hold more than the metadata know, before the broker registers and after", async () => {
    const before = await createBrokerBench(imageOf([{ name: "t", leaderEpoch: 7 }]));
    await produce(before);
    expect(before.table.regressed()).toEqual([]);
    await before.stop();
    const restored = imageOf([{ name: "t", leaderEpoch: 4 }]);
    const bench = await createBrokerBench(restored, { disk: before.disk, isUnregistered: true });
    const id = bench.directory.replicas()[0];
    expect(bench.table.regressed()).toEqual([{ ...id, leaderEpoch: 7, partitionEpoch: undefined }]);
    await bench.register();
    expect(bench.table.regressed()).toEqual([{ ...id, leaderEpoch: 7, partitionEpoch: 4 }]);
    await expect(produce(bench)).rejects.toMatchObject({ reason: Reason.METADATA_REGRESSED });
  });

  it("34g: that the metadata mark are served by nobody, and say what decides", async () => {
    const image = imageOf([{ name: "t", leaderEpoch: 5 }]);
    const [partition] = listPartitions(image, findTopic(image, "t")?.topicId ?? topicId(""));
    if (partition === undefined) throw new Error("no partition");
    const value = { ...partition, leader: undefined, isr: [], regressedFrom: leaderEpoch(9) };
    const bench = await createBrokerBench(applyChanges(image, [putPartitionOf(value)]).image);
    await expect(produce(bench)).rejects.toMatchObject({
      reason: Reason.METADATA_REGRESSED,
      message: expect.stringContaining("partition elect --election-type unclean --topic t --partition 0") as string,
    });
  });

  it("share nothing with a topic of the same name made again", async () => {
    const bench = await createBrokerBench(imageOf([{ name: "t", number: 1 }]));
    await produce(bench);
    await bench.apply(imageOf([{ name: "t", number: 2 }]));
    expect(await produce(bench)).toMatchObject({ results: [{ baseOffset: 0n }] });
  });

  it("are told apart from those of a topic that is unknown here, to a follower that asks for them", async () => {
    const bench = await createBrokerBench(imageOf([{ name: "t", number: 1 }]));
    const [own] = bench.table.inspection.replicas();
    const fetch = {
      replica: brokerId(9),
      brokerEpoch: brokerEpoch(1),
      leaderEpoch: leaderEpoch(0),
      session: 1 as never,
      fetchOffset: offset(0n),
      fetched: offset(0n),
      lastFetchedEpoch: noLeaderEpoch,
      flushed: offset(0n),
    };
    const refusalOf = (id: { readonly topicId: TopicId; readonly partition: PartitionIndex }) => {
      const reasons: string[] = [];
      bench.table.serving.fetch(id, fetch, 0, (reply) => reasons.push("reason" in reply ? reply.reason : reply.kind));
      return reasons;
    };
    const topic = own?.topicId ?? topicId("");
    expect(refusalOf({ topicId: topic, partition: partitionIndex(7) })).toEqual(["NOT_LEADER"]);
    await bench.apply(imageOf([{ name: "t", number: 2 }]));
    expect(refusalOf({ topicId: topic, partition: partitionIndex(0) })).toEqual(["UNKNOWN_TOPIC_ID"]);
    expect(bench.table.inspection.isForeign({ topicId: topic, partition: partitionIndex(0) })).toBe(true);
  });

  it("answer with what is wrong where their log is damaged, and leave the others alone", async () => {
    const disk = createMemoryDisk();
    await disk.makeDirectory("/log");
    await disk.syncDirectory("/");
    const topics = [
      { name: "t", number: 1 },
      { name: "u", number: 2 },
    ];
    const before = await createBrokerBench(imageOf(topics), { disk });
    await produce(before);
    await produce(before);
    await before.stop();
    const [replica] = before.directory.replicas();
    const log = `/log/${String(replica?.topicId)}-0/${"0".repeat(20)}.log`;
    disk.flipBit(log, { byte: 70, bit: 1 });
    const again = topics.map((topic) => ({ ...topic, leaderEpoch: 4 }));
    const bench = await createBrokerBench(imageOf(again), { disk });
    await expect(produce(bench, "t")).rejects.toMatchObject({ reason: Reason.LOG_DIRECTORY_FAILED });
    expect(await produce(bench, "u")).toMatchObject({ results: [{ baseOffset: 0n }] });
  });
});
