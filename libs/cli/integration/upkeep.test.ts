/** Retention and compaction as brokers' own processes do them, from time to time, with three replicas. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";

const mib = 2 ** 20;
const inputMib = 6;
const brokers = [1, 2, 3] as const;
/** Only there to end a run that would wait for ever. */
const timeoutMs = 300_000;
let cluster: DevCluster;

beforeAll(async () => {
  cluster = await startDevCluster({
    brokers: brokers.length,
    env: {
      TIDEMARK_LOG_RETENTION_CHECK_INTERVAL_MS: "100",
      TIDEMARK_LOG_CLEANER_BACKOFF_MS: "100",
      TIDEMARK_LOG_SEGMENT_BYTES: String(mib),
    },
  });
}, timeoutMs);

afterAll(async () => {
  await cluster.stop();
});

/** Lines "k<n>=<number> x...", so many MiB of them, of 500 keys in turn. */
function keyedLines(): string {
  const filler = "x".repeat(200);
  const count = Math.ceil((inputMib * mib) / (filler.length + 12));
  return Array.from({ length: count }, (_, number) => `k${number % 500}=${number} ${filler}\n`).join("");
}

const foldersOf = (broker: number) => {
  const logs = join(cluster.data, `broker-${broker}`, "log");
  return readdirSync(logs)
    .filter((name) => name.endsWith("-0"))
    .map((name) => join(logs, name));
};

async function fill(topic: string): Promise<void> {
  const { code, stderr } = await cluster.tidemark(["produce", topic, "--key-separator", "="], { input: keyedLines() });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
}

/** Makes a topic and fills it. Returns the folder of each of its replicas. */
async function filled(topic: string, ...settings: readonly string[]): Promise<readonly string[]> {
  const configs = settings.flatMap((setting) => ["--config", setting]);
  const before = new Set(brokers.flatMap(foldersOf));
  const replicas = ["--partitions", "1", "--replication-factor", String(brokers.length)];
  await cluster.tidemark(["topic", "create", topic, ...replicas, ...configs]);
  await fill(topic);
  return brokers.flatMap(foldersOf).filter((folder) => !before.has(folder));
}

/** The bytes of each segment, in the order of their offsets. Throws where one goes while it is looked at. */
const segmentSizes = (folder: string) =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".log"))
    .sort()
    .map((name) => statSync(join(folder, name)).size);

const sum = (sizes: readonly number[]) => sizes.reduce((total, size) => total + size, 0);
const sizeOf = (folder: string) => sum(segmentSizes(folder));

/** Whether retention has nothing left to delete: behind its first segment the log has less than what is to be kept. */
const isBounded = (folder: string, bytes: number) => sum(segmentSizes(folder).slice(1)) < bytes;

const consumed = async (topic: string): Promise<readonly { readonly offset: number; readonly value: string }[]> => {
  const { stdout } = await cluster.tidemark(["consume", topic, "--until-end", "--format", "json"]);
  const lines = stdout.toString().trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line) as { offset: number; value: string });
};

const isrOf = async (topic: string): Promise<readonly number[]> => {
  const { stdout } = await cluster.tidemark(["topic", "describe", topic, "-o", "json"]);
  const described = JSON.parse(stdout.toString()) as { partitions: { isr: number[] }[] };
  return described.partitions[0]?.isr ?? [];
};

test(
  "a topic keeps as many bytes as it says on every replica, and its records begin where they begin",
  async () => {
    const folders = await filled("bounded", `retention.bytes=${mib}`);
    expect(folders).toHaveLength(brokers.length);
    // What is deleted while somebody reads it is no longer there to be read.
    await waitFor("retention to have removed all that it will", () =>
      folders.every((folder) => isBounded(folder, mib)),
    );
    const records = await consumed("bounded");
    expect(records[0]?.offset).toBeGreaterThan(0);
    expect(records.every(({ offset }, index) => offset === (records[0]?.offset ?? 0) + index)).toBe(true);
  },
  timeoutMs,
);

test(
  "a compacted topic keeps the last value of each key, also on a replica that was away and copies what is left",
  async () => {
    const folders = await filled("compacted", "cleanup.policy=compact", "min.cleanable.dirty.ratio=0.01");
    await waitFor("compaction to remove records", () => folders.every((folder) => sizeOf(folder) < 3 * mib));
    await cluster.kill("broker-3");
    await fill("compacted");
    const others = folders.filter((folder) => !folder.includes("broker-3"));
    await waitFor("compaction of what was added", () => others.every((folder) => sizeOf(folder) < 3 * mib));
    await cluster.start("broker-3");
    await waitFor("the replica to be in sync again", async () => (await isrOf("compacted")).length === brokers.length);

    const values = new Set((await consumed("compacted")).map(({ value }) => value));
    const last = keyedLines().trimEnd().split("\n").slice(-500);
    expect(last.filter((line) => !values.has(line.slice(line.indexOf("=") + 1)))).toEqual([]);
    // Whatever compaction is doing when they die, what it leaves is sound.
    await cluster.killAll();
    for (const folder of folders) {
      const { code, stdout } = await cluster.tidemark(["log", "dump", folder, "--verify", "--deep", "-o", "json"], {
        env: { TIDEMARK_SERVER: undefined },
      });
      expect(stdout.toString().trimEnd().split("\n").at(-1)).toContain('"isSound":true');
      expect(code).toBe(0);
    }
  },
  timeoutMs,
);
