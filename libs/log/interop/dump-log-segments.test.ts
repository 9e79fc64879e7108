/** Kafka's own log dump tool reads our segments (L1). It ends with 0 even for damage, so what it says is looked at. */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { crc32c, loadCodecs } from "@tidemark/compression";
import { createFilePool, createNodeDisk } from "@tidemark/disk";
import { type CodecName, codecNames, encodeBatch, type ProducedRecord } from "@tidemark/record";
import { createNodeRuntime } from "@tidemark/runtime";
import { runProgram } from "@tidemark/testkit";
import { testWith } from "@tidemark/testkit/outside";
import { afterAll, beforeAll, describe, expect } from "vitest";
import {
  allGuards,
  createLogContext,
  createLogFiles,
  defaultCompactionSettings,
  defaultLogSettings,
  type LogSettings,
  openLog,
} from "../src/index.ts";
import { at, epoch } from "../src/testing/fixture.ts";

const here = dirname(fileURLToPath(import.meta.url));
const kafka = join(here, "..", "..", "..", ".interop", "kafka-4.3.1");
const { codecs } = await loadCodecs();
let folder: string;

beforeAll(() => {
  folder = fs.mkdtempSync(join(tmpdir(), "tidemark-kafka-"));
});

afterAll(() => {
  fs.rmSync(folder, { recursive: true });
});

/** Kafka's classes, fetched once and kept. */
async function kafkaClasses(): Promise<string> {
  const made = join(kafka, "made");
  if (!fs.existsSync(made)) {
    const pom = join(here, "kafka", "pom.xml");
    const copy = ["-q", "-B", "-f", pom, "dependency:copy-dependencies", `-DoutputDirectory=${kafka}`];
    const { code, stdout, stderr } = await runProgram("mvn", copy);
    if (code !== 0) throw new Error(`mvn ended with ${code}:\n${stdout.toString()}${stderr}`);
    fs.writeFileSync(made, "");
  }
  return join(kafka, "*");
}

/** What the tool says of one segment: its batches, its records, and what it complains about. */
interface Reading {
  readonly batches: readonly string[];
  readonly records: readonly string[];
  readonly complaints: readonly string[];
}

async function readByKafka(file: string): Promise<Reading> {
  const tool = ["org.apache.kafka.tools.DumpLogSegments", "--deep-iteration", "--print-data-log", "--files", file];
  const { code, stdout, stderr } = await runProgram("java", ["-cp", await kafkaClasses(), ...tool]);
  if (code !== 0) throw new Error(`DumpLogSegments ended with ${code}:\n${stderr}`);
  const lines = `${stdout.toString("latin1")}\n${stderr}`.split("\n");
  return {
    batches: lines.filter((line) => line.startsWith("baseOffset:")),
    records: lines.filter((line) => line.startsWith("| offset:")),
    complaints: lines.filter((line) => /isvalid: false|invalid bytes|Exception|ERROR|mismatch/i.test(line)),
  };
}

async function logIn(directory: string, changed: Partial<LogSettings>) {
  const runtime = createNodeRuntime();
  const disk = createNodeDisk({ runtime });
  const files = createFilePool(disk, 64);
  const shared = { name: directory, disk, files, runtime, crc32c, codecs, guards: allGuards, indexCacheBytes: 0 };
  const context = createLogContext(shared);
  await createLogFiles({ context, directory });
  const settings = { ...defaultLogSettings, ...changed };
  const log = await openLog({ context, directory }, { settings, onEvent: () => undefined });
  const close = async () => {
    await log.close();
    await files.close();
  };
  return { log, close };
}

const encode = (text: string) => new TextEncoder().encode(text);
const record = (key: string | null, value: string | null): ProducedRecord => ({
  timestamp: 1_700_000_000_000n,
  key: key === null ? null : encode(key),
  value: value === null ? null : encode(value),
  headers: [{ key: encode("origin"), value: encode("test") }],
});

/** One batch for the log's end. */
function batch(
  log: { readonly logEndOffset: bigint },
  codec: CodecName,
  records: readonly ProducedRecord[],
  leaderEpoch = epoch(3),
) {
  const found = codecs[codec];
  if (found === undefined) throw new Error(`The codec ${codec} does not load here`);
  return encodeBatch(records, { crc32c, codec: found, baseOffset: at(log.logEndOffset), leaderEpoch });
}

const segmentsOf = (directory: string) =>
  fs
    .readdirSync(directory)
    .filter((name) => name.endsWith(".log"))
    .map((name) => join(directory, name));

describe("Kafka's DumpLogSegments", () => {
  for (const codec of codecNames) {
    testWith("java", `reads our segments of ${codec} without a complaint, record by record`, async () => {
      const directory = join(folder, codec);
      const { log, close } = await logIn(directory, { segmentBytes: 4096 });
      for (let number = 0; number < 20; number++) {
        const records = Array.from({ length: 5 }, (_, n) => record(`key ${n}`, `value ${number} ${"x".repeat(200)}`));
        log.append(batch(log, codec, [...records, record(null, null)]));
        await log.flushed(log.logEndOffset);
      }
      await close();
      const readings: Reading[] = [];
      for (const file of segmentsOf(directory)) readings.push(await readByKafka(file));
      const batches = readings.flatMap((reading) => reading.batches);
      expect(readings.flatMap((reading) => reading.complaints)).toEqual([]);
      expect(batches).toHaveLength(20);
      for (const [number, line] of batches.entries()) {
        expect(line).toContain(`baseOffset: ${number * 6} lastOffset: ${number * 6 + 5} count: 6 `);
        expect(line).toMatch(/ partitionLeaderEpoch: 3 /);
        expect(line).toMatch(new RegExp(` magic: 2 compresscodec: ${codec} crc: \\d+ isvalid: true`));
      }
      const records = readings.flatMap((reading) => reading.records);
      expect(records).toHaveLength(120);
      expect(records[7]).toContain("offset: 7 CreateTime: 1700000000000 keySize: 5 valueSize: 208 ");
      expect(records[7]).toContain(`headerKeys: [origin] key: key 1 payload: value 1 ${"x".repeat(200)}`);
    });
  }

  testWith("java", "reads what compaction left, merged and with gaps", async () => {
    const directory = join(folder, "compacted");
    const compaction = { ...defaultCompactionSettings, minDirtyRatio: 0 };
    const { log, close } = await logIn(directory, { segmentBytes: 2048, gaps: true, compaction });
    for (let number = 0; number < 60; number++) {
      const codec = codecNames[number % codecNames.length] ?? "none";
      const records = [record(`k${number % 7}`, `value ${number} ${"x".repeat(100)}`), record("k", "v")];
      log.append(batch(log, codec, records, epoch(3 + Math.floor(number / 21))));
      await log.flushed(log.logEndOffset);
    }
    log.setHighWatermark(log.logEndOffset);
    expect(await log.compact(1_800_000_000_000n)).toBeDefined();
    await close();
    const readings: Reading[] = [];
    for (const file of segmentsOf(directory)) readings.push(await readByKafka(file));
    expect(readings.flatMap((reading) => reading.complaints)).toEqual([]);
    const empty = readings.flatMap(({ batches }) => batches.filter((line) => line.includes(" count: 0 ")));
    // Where a leader epoch begins, a batch stays, also without its records.
    expect(empty.map((line) => /baseOffset: (\d+) .*partitionLeaderEpoch: (\d+) /.exec(line)?.slice(1))).toEqual([
      ["0", "3"],
      ["42", "4"],
      ["84", "5"],
    ]);
    const records = readings.flatMap((reading) => reading.records);
    expect(records.length).toBeLessThan(60);
    expect(records.at(-1)).toContain("offset: 119 ");
  });

  testWith("java", "reads the batch without records that stands for a gap in which the log was cut", async () => {
    const directory = join(folder, "gap");
    const { log, close } = await logIn(directory, { gaps: true });
    log.append(batch(log, "none", [record("a", "1"), record("b", "2"), record("c", "3")]));
    log.append(batch({ logEndOffset: 90n }, "none", [record("a", "4")], epoch(5)));
    await log.flushed(log.logEndOffset);
    expect(await log.truncateTo(at(70))).toBe(70n);
    log.append(batch(log, "none", [record("d", "5")], epoch(6)));
    await log.flushed(log.logEndOffset);
    await close();
    const { batches, records, complaints } = await readByKafka(segmentsOf(directory)[0] ?? "");
    expect(complaints).toEqual([]);
    expect(batches.map((line) => /^baseOffset: (\d+) lastOffset: (\d+) count: (\d+) /.exec(line)?.slice(1))).toEqual([
      ["0", "2", "3"],
      ["3", "69", "0"],
      ["70", "70", "1"],
    ]);
    expect(batches[1]).toMatch(
      / baseSequence: -1 lastSequence: -1 producerId: -1 producerEpoch: -1 partitionLeaderEpoch: 3 isTransactional: false isControl: false .* CreateTime: -1 size: 61 magic: 2 compresscodec: none crc: \d+ isvalid: true/,
    );
    expect(records.map((line) => /offset: (\d+)/.exec(line)?.[1])).toEqual(["0", "1", "2", "70"]);
  });

  testWith("java", "complains of a segment that is damaged, so that its silence means something", async () => {
    const directory = join(folder, "damaged");
    const { log, close } = await logIn(directory, {});
    for (let number = 0; number < 3; number++) {
      log.append(batch(log, "none", [record("k", `value ${number}`)]));
      await log.flushed(log.logEndOffset);
    }
    await close();
    const file = segmentsOf(directory)[0] ?? "";
    const bytes = fs.readFileSync(file);
    const flipped = Buffer.from(bytes);
    const value = bytes.lastIndexOf("value 2");
    flipped.writeUInt8(bytes.readUInt8(value) ^ 1, value);
    fs.writeFileSync(file, flipped);
    expect((await readByKafka(file)).complaints.join()).toContain("isvalid: false");
    fs.writeFileSync(file, bytes.subarray(0, bytes.length - 5));
    expect((await readByKafka(file)).complaints.join()).toMatch(/Found \d+ invalid bytes at the end/);
  });
});
