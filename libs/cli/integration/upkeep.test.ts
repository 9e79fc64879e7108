/** Retention and compaction as a broker's own process does them, from time to time. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";

const mib = 2 ** 20;
const inputMib = 6;
let cluster: DevCluster;

beforeAll(async () => {
  cluster = await startDevCluster({
    brokers: 1,
    env: {
      TIDEMARK_LOG_RETENTION_CHECK_INTERVAL_MS: "100",
      TIDEMARK_LOG_CLEANER_BACKOFF_MS: "100",
      TIDEMARK_LOG_SEGMENT_BYTES: String(mib),
    },
  });
});

afterAll(async () => {
  await cluster.stop();
});

/** Lines "k<n>=<number> x...", so many MiB of them, of 500 keys in turn. */
function keyedLines(): string {
  const filler = "x".repeat(200);
  const count = Math.ceil((inputMib * mib) / (filler.length + 12));
  return Array.from({ length: count }, (_, number) => `k${number % 500}=${number} ${filler}\n`).join("");
}

async function fill(topic: string, ...settings: readonly string[]): Promise<string> {
  const configs = settings.flatMap((setting) => ["--config", setting]);
  const before = new Set(readdirSync(join(cluster.data, "broker-1", "log")));
  await cluster.tidemark(["topic", "create", topic, "--partitions", "1", ...configs]);
  const flags = ["--key-separator", "="];
  const produced = await cluster.tidemark(["produce", topic, ...flags], { input: keyedLines() });
  expect(produced.code).toBe(0);
  const made = readdirSync(join(cluster.data, "broker-1", "log")).find((name) => !before.has(name));
  return join(cluster.data, "broker-1", "log", made ?? "nowhere");
}

const sizeOf = (folder: string) =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".log"))
    .reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);

const consumed = async (topic: string): Promise<readonly { readonly offset: number; readonly value: string }[]> => {
  const { stdout } = await cluster.tidemark(["consume", topic, "--until-end", "--format", "json"]);
  const lines = stdout.toString().trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line) as { offset: number; value: string });
};

test("a topic keeps as many bytes as it says, and its records begin where they begin", async () => {
  const folder = await fill("bounded", `retention.bytes=${mib}`);
  await waitFor("retention to remove segments", () => sizeOf(folder) <= 2 * mib);
  const records = await consumed("bounded");
  expect(records[0]?.offset).toBeGreaterThan(0);
  expect(records.every(({ offset }, index) => offset === (records[0]?.offset ?? 0) + index)).toBe(true);
});

test("a compacted topic keeps the last value of each key, in few segments", async () => {
  const folder = await fill("compacted", "cleanup.policy=compact", "min.cleanable.dirty.ratio=0.01");
  const last = keyedLines().trimEnd().split("\n").slice(-500);
  await waitFor("compaction to remove records", () => sizeOf(folder) < 2.5 * mib);
  const records = await consumed("compacted");
  const values = new Set(records.map(({ value }) => value));
  expect(last.filter((line) => !values.has(line.slice(line.indexOf("=") + 1)))).toEqual([]);
  // Whatever compaction is doing when it dies, what it leaves is sound.
  await cluster.kill("broker-1");
  const { code, stdout } = await cluster.tidemark(["log", "dump", folder, "--verify", "--deep", "-o", "json"]);
  expect(code).toBe(0);
  expect(stdout.toString()).toContain('"isSound":true');
});
