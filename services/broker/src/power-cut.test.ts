import { create } from "@bufbuild/protobuf";
import { createMemoryDisk, type MemoryDisk } from "@tidemark/disk";
import { allGuards, type LogGuards } from "@tidemark/log";
import { FetchRequestSchema, Format, ProduceRequestSchema, RecordSchema } from "@tidemark/proto/log/v1";
import { below, createManualTime, createSeededRandom, type Random } from "@tidemark/runtime";
import { describe, expect, it, test } from "vitest";
import { callContext, createBrokerBench, imageOf } from "./testing/broker-bench.ts";

const partitions = 2;

interface Acknowledged {
  readonly partition: number;
  readonly offset: bigint;
  readonly text: string;
}

/**
 * One life of a broker: producers append at random, and at a random change of the disk the power is cut. Returns what
 * was acknowledged until then.
 */
async function liveUntilPowerCut(disk: MemoryDisk, life: number, random: Random, guards: LogGuards) {
  const bench = await createBrokerBench(imageOf([{ name: "t", partitions, leaderEpoch: life }]), {
    disk,
    time: createManualTime(),
    guards,
  });
  const acknowledged: Acknowledged[] = [];
  const produce = async (text: string): Promise<void> => {
    const partition = below(random, partitions);
    const records = [create(RecordSchema, { valueForm: { case: "text", value: text } })];
    const request = create(ProduceRequestSchema, { topic: "t", partition, records });
    const { results } = await bench.produce(request, callContext());
    const offset = results[0]?.baseOffset;
    if (offset !== undefined) acknowledged.push({ partition, offset, text });
  };
  const rounds = 1 + below(random, 12);
  for (let round = 0; round < rounds; round++) {
    const count = 1 + below(random, 5);
    const answers = Array.from({ length: count }, (_, index) => produce(`life ${life} round ${round} record ${index}`));
    // In the last round the power fails at some step between the first write and the last ack.
    if (round < rounds - 1) await Promise.all(answers);
    else for (let step = below(random, 60); step > 0; step--) await Promise.resolve();
  }
  disk.powerCut();
  return acknowledged;
}

async function readBack(disk: MemoryDisk, life: number): Promise<ReadonlyMap<string, string>> {
  const bench = await createBrokerBench(imageOf([{ name: "t", partitions, leaderEpoch: life }]), { disk });
  // What lay behind the recovery point is committed again when it was written anew.
  while (bench.table.led().some(({ highWatermark, log }) => highWatermark < log.logEndOffset)) {
    await bench.time.advance(1);
  }
  const found = new Map<string, string>();
  const request = create(FetchRequestSchema, {
    topic: "t",
    format: Format.TEXT,
    maxRecords: 100_000,
    maxBytes: 2 ** 26,
  });
  const answer = await bench.fetch(request, callContext());
  for (const { partition, records, error } of answer.partitions) {
    if (error !== undefined) found.set(`${partition} failed`, String(error.reason));
    for (const record of records) {
      const { valueForm } = record;
      found.set(`${partition}@${record.offset}`, valueForm.case === "text" ? valueForm.value : "not text");
    }
  }
  await bench.stop();
  return found;
}

/** What was acknowledged in several lives and is not there in the end. */
async function lostBy(seed: number, guards: LogGuards): Promise<readonly Acknowledged[]> {
  const random = createSeededRandom(seed);
  const disk = createMemoryDisk();
  await disk.makeDirectory("/log");
  await disk.syncDirectory("/");
  const acknowledged: Acknowledged[] = [];
  const lives = 3;
  for (let life = 1; life <= lives; life++) acknowledged.push(...(await liveUntilPowerCut(disk, life, random, guards)));
  const found = await readBack(disk, lives + 1);
  return acknowledged.filter(({ partition, offset, text }) => found.get(`${partition}@${offset}`) !== text);
}

const seeds = Array.from({ length: 40 }, (_, index) => index + 1);

describe("a power cut at a random moment", () => {
  it("takes nothing that was acknowledged", async () => {
    for (const seed of seeds) expect(await lostBy(seed, allGuards), `seed ${seed}`).toEqual([]);
  });

  test("takes acknowledged records when acks do not wait for the flush: the test above would see it", async () => {
    const losses = await Promise.all(seeds.map((seed) => lostBy(seed, { ...allGuards, flushBeforeAck: false })));
    expect(losses.filter((lost) => lost.length > 0).length).toBeGreaterThan(0);
  });
});
