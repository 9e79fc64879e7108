/**
 * The main job on real input: a file through `tidemark produce` and back by `tidemark consume`, and a part of it through
 * the SDK. The file's size is TIDEMARK_TEST_INPUT_MB, in MiB.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient, type Settle } from "@tidemark/client";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { difference, digestsByKey, type KeyedLine, keyedLines, type Lines, linesOf, orderedWithin } from "./lines.ts";
import { writeRealInput } from "./real-input.ts";

const inputMib = Number(process.env.TIDEMARK_TEST_INPUT_MB ?? "100");
const partitions = 6;
/** How much of the file goes through the SDK. */
const sdkBytes = 16 * 2 ** 20;
/** A line that a batch takes with the topics' default of max.message.bytes, 1 MiB. */
const lineBytesMax = 2 ** 20 - 1024;
/** Only there to end a run that would wait for ever. */
const timeoutMs = 600_000;

const folder = mkdtempSync(join(tmpdir(), "tidemark-main-job-"));
const file = join(folder, "input");
let cluster: DevCluster;
let input: Buffer;
let inputLines: Lines;

beforeAll(async () => {
  writeRealInput(file, inputMib * 2 ** 20);
  input = readFileSync(file);
  inputLines = linesOf(input);
  cluster = await startDevCluster();
}, timeoutMs);

afterAll(async () => {
  await cluster.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function createTopic(name: string, count: number): Promise<void> {
  const made = await cluster.tidemark(["topic", "create", name, "--partitions", String(count)]);
  expect(made.stderr).toBe("");
}

/** The values of a partition as `--format raw` writes them. */
async function consume(topic: string, partition: number): Promise<Buffer> {
  const flags = ["--partition", String(partition), "--from", "earliest", "--until-end", "--format", "raw"];
  const { code, stdout, stderr } = await cluster.tidemark(["consume", topic, ...flags]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}

async function consumeAll(topic: string): Promise<readonly Lines[]> {
  const all: Lines[] = [];
  for (let partition = 0; partition < partitions; partition++) all.push(linesOf(await consume(topic, partition)));
  return all;
}

function lastLine(text: string | Buffer): string | undefined {
  return text.toString().trimEnd().split("\n").at(-1);
}

function bytesBelow(path: string): number {
  const entries = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return entries.reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
}

describe(`a file of ${inputMib} MiB of real text`, { timeout: timeoutMs }, () => {
  test("comes back from one partition byte for byte, with one newline added at its end", async () => {
    await createTopic("one", 1);
    const produced = await cluster.tidemark(["produce", "one", "--file", file]);
    expect(produced).toMatchObject({ code: 0, stderr: "" });
    expect(lastLine(produced.stdout)).toBe(`acknowledged ${inputLines.length}, unknown 0, failed 0`);
    const back = await consume("one", 0);
    expect(back.length).toBe(input.length + 1);
    expect(back.subarray(0, -1).equals(input)).toBe(true);
    expect(back.at(-1)).toBe(0x0a);
  });

  test("is there once and in order after kill -9 of every process in the middle, and a restart", async () => {
    await createTopic("killed", partitions);
    // Files come and go while they are looked at: a look that lost one is repeated.
    const before = await waitFor("the size of the data before", () => bytesBelow(cluster.data));
    const producing = cluster.tidemark(["produce", "killed", "--file", file]);
    await waitFor("a third of the file to be stored", () => bytesBelow(cluster.data) - before > input.length / 3);
    await cluster.killAll();
    await cluster.startAll();
    const produced = await producing;
    expect(produced.code).toBe(0);
    expect(lastLine(produced.stdout)).toBe(`acknowledged ${inputLines.length}, unknown 0, failed 0`);
    // What was on its way at the kill was sent again: the brokers knew what they had.
    const back = await consumeAll("killed");
    expect(difference(inputLines, back)).toEqual({ missing: 0, extra: 0 });
    for (const lines of back) {
      expect(lines.length).toBeGreaterThan(0);
      expect(orderedWithin(inputLines, lines)).toBe(lines.length);
    }
  });

  test("is there once and in the order of each key, by the SDK, while leaders are killed and the gateway is restarted", async () => {
    await createTopic("keyed", partitions);
    // Longer lines are refused, which is shown elsewhere.
    const given = keyedLines(input.subarray(0, sdkBytes)).filter(
      ({ key, value }) => key.length + value.length < lineBytesMax,
    );
    const client = await createClient({ bootstrap: cluster.endpoint("gateway-1") });
    const throughGateway = await createClient({ bootstrap: cluster.endpoint("gateway-1"), routing: "bootstrap" });
    const producers = [client.createProducer(), throughGateway.createProducer({ compression: "gzip" })] as const;
    await Promise.all(producers.map((producer) => producer.prepare("keyed")));
    const outcomes = { acknowledged: 0, unknown: 0, notApplied: 0 };
    const errors: string[] = [];
    const count: Settle = (outcome) => {
      outcomes[outcome.kind] += 1;
      if (outcome.kind !== "acknowledged") errors.push(outcome.error.message);
    };

    const faults = ["broker-1", "gateway-1", "broker-2", "broker-3", "gateway-1", "broker-1"];
    const partLength = Math.ceil(given.length / (faults.length + 1));
    let fault = Promise.resolve();
    for (let part = 0; part <= faults.length; part++) {
      for (const { key, value } of given.slice(part * partLength, (part + 1) * partLength)) {
        // Each key has one producer.
        const producer = producers[key.length % 2 === 0 ? 0 : 1];
        if (!producer.enqueue("keyed", { key, value }, count)) await producer.writable();
      }
      await fault;
      const name = faults[part];
      if (name === undefined) break;
      // In the middle of the part: some of it is on its way.
      const middle = (part + 0.5) * partLength;
      await waitFor("half of the part to be stored", () => outcomes.acknowledged >= middle);
      fault = cluster.kill(name).then(() => cluster.start(name));
    }
    await Promise.all(producers.map((producer) => producer.close()));
    expect(errors).toEqual([]);
    expect(outcomes).toEqual({ acknowledged: given.length, unknown: 0, notApplied: 0 });

    const back: KeyedLine[] = [];
    for await (const { key, value } of client.createConsumer({ topic: "keyed", untilEnd: true }).records()) {
      back.push({ key: Buffer.from(key ?? []), value: Buffer.from(value ?? []) });
    }
    expect(back.length).toBe(given.length);
    expect(digestsByKey(back)).toEqual(digestsByKey(given));
    client.close();
    throughGateway.close();
  });
});
