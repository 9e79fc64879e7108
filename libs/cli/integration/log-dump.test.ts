/** `tidemark log dump` over what a real broker wrote. */
import { closeSync, openSync, readdirSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type DevCluster, startDevCluster } from "@tidemark/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
let cluster: DevCluster;
let logDirectory: string;
let partition: string;
let segment: string;

beforeAll(async () => {
  cluster = await startDevCluster({ brokers: 1 });
  await cluster.tidemark(["topic", "create", "orders", "--partitions", "1"]);
  for (const codec of codecs) {
    await cluster.tidemark(["produce", "orders", "--compression", codec], {
      input: `${codec} ${"text ".repeat(100)}\n`,
    });
  }
  // Nothing was stopped cleanly, and nothing but the files is needed from here on.
  await cluster.killAll();
  logDirectory = join(cluster.data, "broker-1", "log");
  const replica = readdirSync(logDirectory).find((name) => name.endsWith("-0"));
  if (replica === undefined) throw new Error("The broker has no replica");
  partition = join(logDirectory, replica);
  segment = join(partition, "00000000000000000000.log");
});

afterAll(async () => {
  await cluster.stop();
});

const dump = (...args: readonly string[]) =>
  cluster.tidemark(["log", "dump", ...args], { env: { TIDEMARK_SERVER: undefined } });
const linesOf = (bytes: Buffer) =>
  bytes
    .toString()
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

/** Turns one bit of the file's last byte; again, and it is as before. */
function flipLastBit(path: string): void {
  const file = openSync(path, "r+");
  const bytes = Buffer.alloc(64 * 1024);
  const size = readSync(file, bytes, 0, bytes.length, 0);
  writeSync(file, Buffer.of((bytes[size - 1] ?? 0) ^ 1), 0, 1, size - 1);
  closeSync(file);
}

describe("tidemark log dump", () => {
  test("shows a broker's whole log directory to people, and ends with 0 where nothing is wrong", async () => {
    const { code, stdout, stderr } = await dump(logDirectory, "--verify");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const text = stdout.toString();
    expect(text).toContain(partition);
    expect(text).toMatch(/00000000000000000000\.log +0\.\.5 +5 +5 /);
    expect(text).toMatch(/Leader epoch +Start offset\n\d+ +0\n/);
    expect(text).toMatch(/A start (has nothing to do|writes offsets \d to 5 anew)/);
    expect(text).toContain("Nothing is wrong.");
  });

  test("shows batches and records of every codec to programs, one object a line", async () => {
    const { code, stdout } = await dump(segment, "--deep", "-o", "json");
    expect(code).toBe(0);
    const lines = linesOf(stdout);
    const records = codecs.map((codec, offset) => [{ offset, key: null, value: `${codec} ${"text ".repeat(100)}` }]);
    expect(lines.slice(0, 5)).toMatchObject(
      codecs.map((codec, offset) => ({
        batch: { baseOffset: offset, lastOffset: offset, codec, hasValidCrc: true, records: records[offset] },
      })),
    );
    expect(lines[5]).toMatchObject({ log: { isSound: true, segments: [{ batches: 5, records: 5 }], problems: [] } });
  });

  test("names what is damaged and ends with 1 under --verify, with 0 without it", async () => {
    flipLastBit(segment);
    try {
      const { code, stdout } = await dump(partition, "--batches", "--verify");
      expect(code).toBe(1);
      expect(stdout.toString()).toMatch(/^4\.\.4, .* codec zstd, .*WRONG CHECKSUM$/m);
      expect(stdout.toString()).toMatch(/the batch at 4 has a wrong checksum/);
      expect((await dump(partition)).code).toBe(0);
    } finally {
      flipLastBit(segment);
    }
  });

  test("says that there is no log where there is none", async () => {
    const { code, stderr } = await dump(join(cluster.data, "nowhere"));
    expect(code).toBe(1);
    expect(stderr).toContain("There is no log at");
  });
});
