import { create } from "@bufbuild/protobuf";
import { LogError } from "@tidemark/log";
import { FetchRequestSchema, ProduceRequestSchema, RecordSchema } from "@tidemark/proto/log/v1";
import { createManualTime } from "@tidemark/runtime";
import { createLogger } from "@tidemark/telemetry";
import { describe, expect, it } from "vitest";
import { type BrokerBench, callContext, createBrokerBench, imageOf } from "../testing/broker-bench.ts";
import { startUpkeep, type UpkeptLog } from "./upkeep.ts";

const settings = {
  "log.retention.check.interval.ms": 1000,
  "log.cleaner.enable": true,
  "log.cleaner.backoff.ms": 1000,
} as const;

function upkeepOf(time: ReturnType<typeof createManualTime>, logs: () => Iterable<UpkeptLog>, changed = {}) {
  const lines: string[] = [];
  const logger = createLogger({
    clock: time.clock,
    level: "info",
    service: "test",
    instanceId: "test",
    write: (line) => lines.push(line),
  });
  return { lines, ...startUpkeep({ logs, settings: { ...settings, ...changed }, runtime: time, logger }) };
}

const logsOf = (bench: BrokerBench) => () => bench.table.logs();
const logOf = (bench: BrokerBench) => bench.table.logs()[0]!.log;
/** So many records of about 100 bytes, each a batch. */
async function produce(bench: BrokerBench, count: number, keyOf: (number: number) => string = String) {
  for (let number = 0; number < count; number++) {
    const valueForm = { case: "text", value: "x".repeat(100) } as const;
    const record = create(RecordSchema, { keyForm: { case: "keyText", value: keyOf(number) }, valueForm });
    await bench.produce(create(ProduceRequestSchema, { topic: "t", partition: 0, records: [record] }), callContext());
  }
}
/** Moves time until it is so. */
async function until(bench: BrokerBench, isSo: () => boolean) {
  for (let step = 0; step < 1000 && !isSo(); step++) await bench.time.advance(10);
  expect(isSo()).toBe(true);
}
const small = { "segment.bytes": "1024", "max.message.bytes": "1024" };
const topicWith = (more: Readonly<Record<string, string>>) => imageOf([{ name: "t", settings: { ...small, ...more } }]);

describe("the upkeep of a broker's logs", () => {
  it("removes what is more than a topic keeps, as soon as its settings say so", async () => {
    const bench = await createBrokerBench(topicWith({}));
    await produce(bench, 40);
    const upkeep = upkeepOf(bench.time, logsOf(bench));
    await bench.time.advance(1000);
    expect(logOf(bench).logStartOffset).toBe(0n);
    await bench.apply(topicWith({ "retention.bytes": "2048" }));
    await until(bench, () => logOf(bench).logStartOffset > 20n);
    await until(bench, () => upkeep.lines.length > 0);
    expect(logOf(bench).sizeInBytes).toBeLessThan(4096);
    expect(upkeep.lines.join()).toContain("Retention moved the log start of t-0");
    const fetched = await bench.fetch(create(FetchRequestSchema, { topic: "t" }), callContext());
    expect(fetched.partitions).toMatchObject([{ logStart: logOf(bench).logStartOffset }]);
    await upkeep.stop();
  });

  it("removes what is older than a topic keeps", async () => {
    const bench = await createBrokerBench(topicWith({ "retention.ms": "60000" }));
    await produce(bench, 10);
    const upkeep = upkeepOf(bench.time, logsOf(bench));
    await bench.time.advance(59_000);
    expect(logOf(bench).logStartOffset).toBe(0n);
    await until(bench, () => logOf(bench).logStartOffset === 10n);
    await upkeep.stop();
  });

  it("compacts topics that say so, and removes nothing else of them", async () => {
    const compacted = { "cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0", "retention.ms": "1" };
    const bench = await createBrokerBench(topicWith(compacted));
    await produce(bench, 60, (number) => `k${number % 3}`);
    const upkeep = upkeepOf(bench.time, logsOf(bench));
    await until(bench, () => upkeep.lines.length > 0);
    expect(logOf(bench).sizeInBytes).toBeLessThan(2048);
    expect(logOf(bench).logStartOffset).toBe(0n);
    expect(upkeep.lines.join()).toContain("Compacted t-0");
    await upkeep.stop();
  });

  it("leaves compaction alone where it is turned off", async () => {
    const bench = await createBrokerBench(topicWith({ "cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0" }));
    await produce(bench, 60, (number) => `k${number % 3}`);
    const upkeep = upkeepOf(bench.time, logsOf(bench), { "log.cleaner.enable": false });
    const before = logOf(bench).sizeInBytes;
    await bench.time.advance(5000);
    expect(logOf(bench).sizeInBytes).toBe(before);
    await upkeep.stop();
  });
});

describe("a round", () => {
  const online = { kind: "online" } as const;
  function fakeLog(name: string, done: string[], changed: Partial<UpkeptLog & { fails: Error }> = {}): UpkeptLog {
    const work = (what: string) => async () => {
      done.push(`${what} ${name}`);
      if (changed.fails !== undefined) throw changed.fails;
      return undefined;
    };
    const log = {
      status: online,
      logStartOffset: 0n as never,
      applyRetention: work("retain"),
      compact: work("compact"),
      ...changed.log,
    };
    return { name, isLed: changed.isLed ?? true, log };
  }

  it("applies retention where this broker leads, and compaction everywhere", async () => {
    const time = createManualTime();
    const done: string[] = [];
    const logs = [fakeLog("led", done), fakeLog("followed", done, { isLed: false })];
    const upkeep = upkeepOf(time, () => logs);
    await time.advance(1000);
    expect(done.sort()).toEqual(["compact followed", "compact led", "retain led"]);
    await upkeep.stop();
  });

  it("goes on behind a log that fails, and says what is not told elsewhere", async () => {
    const time = createManualTime();
    const done: string[] = [];
    const logs = [
      fakeLog("full", done, { fails: new LogError("NO_SPACE", "no space left") }),
      fakeLog("gone", done, { fails: new LogError("OFFLINE", "damaged") }),
      fakeLog("sound", done),
    ];
    const upkeep = upkeepOf(time, () => logs, { "log.cleaner.enable": false });
    await time.advance(1000);
    expect(done).toEqual(["retain full", "retain gone", "retain sound"]);
    expect(upkeep.lines).toHaveLength(1);
    expect(upkeep.lines[0]).toContain("Retention of full failed: no space left");
    await upkeep.stop();
  });

  it("begins after its interval, never beside another, and never after the stop, which waits for it", async () => {
    const time = createManualTime();
    let begun = 0;
    let release: () => void = () => undefined;
    const held: UpkeptLog = fakeLog("held", [], {
      log: {
        ...fakeLog("held", []).log,
        applyRetention: () => {
          begun++;
          return new Promise((resolve) => {
            release = resolve;
          });
        },
      },
    });
    const upkeep = upkeepOf(time, () => [held, held], { "log.cleaner.enable": false });
    await time.advance(999);
    expect(begun).toBe(0);
    await time.advance(5000);
    expect(begun).toBe(1);
    let isStopped = false;
    const stopped = upkeep.stop().then(() => {
      isStopped = true;
    });
    await time.advance(5000);
    expect(isStopped).toBe(false);
    release();
    await stopped;
    await time.advance(5000);
    expect(begun).toBe(1);
  });
});
