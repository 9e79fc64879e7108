/** The commands against a real cluster: what they say, and how they end. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { type DevCluster, runProgram, startDevCluster, waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { main } from "./dev-process.ts";

let cluster: DevCluster;

beforeAll(async () => {
  cluster = await startDevCluster({ brokers: 1 });
});

afterAll(async () => {
  await cluster.stop();
});

const json = (text: Buffer): unknown => JSON.parse(text.toString());
const create = (name: string, ...flags: readonly string[]) => cluster.tidemark(["topic", "create", name, ...flags]);
const consumeRaw = async (topic: string, ...flags: readonly string[]) =>
  (await cluster.tidemark(["consume", topic, "--until-end", "--format", "raw", ...flags])).stdout;

describe("topics", () => {
  test("are made, listed, described and deleted", async () => {
    expect((await create("orders", "--partitions", "2", "--config", "retention.ms=86400000")).code).toBe(0);
    expect(json((await cluster.tidemark(["topic", "describe", "orders", "-o", "json"])).stdout)).toMatchObject({
      name: "orders",
      configs: { "retention.ms": "86400000" },
      partitions: [0, 1].map((partition) => ({ partition, leader: 1, replicas: [1], isr: [1] })),
    });
    expect(json((await cluster.tidemark(["topic", "list", "-o", "json"])).stdout)).toMatchObject({
      topics: [{ name: "orders", partitions: 2 }],
    });
    expect((await cluster.tidemark(["topic", "delete", "orders"])).code).toBe(0);
    const gone = await cluster.tidemark(["topic", "describe", "orders"]);
    expect(gone.code).toBe(1);
    expect(gone.stderr).toMatch(
      /^tidemark: There is no topic orders.*\n {2}reason REASON_UNKNOWN_TOPIC, outcome not applied\n {2}`tidemark topic list`/,
    );
    const twice = await cluster.tidemark(["topic", "delete", "orders"]);
    expect(twice.stderr).toMatch(
      /^tidemark: There is no topic orders, and nothing was deleted\n {2}reason REASON_UNKNOWN_TOPIC/,
    );
    expect(twice.stderr).not.toContain("reate");
  });

  test("errors are JSON under -o json", async () => {
    const { code, stderr } = await cluster.tidemark(["topic", "create", "a b", "-o", "json"]);
    expect(code).toBe(1);
    expect(JSON.parse(stderr)).toMatchObject({
      error: { reason: "REASON_INVALID_TOPIC_NAME", outcome: "not applied" },
    });
  });
});

describe("produce and consume", () => {
  test("keep bytes as they are, under every codec", async () => {
    await create("bytes", "--partitions", "1");
    const bytes = Buffer.from("a\r\n\n\0\xff\xfe\xc3(\n\u00e9 no end", "latin1");
    const input = Buffer.concat([Buffer.from(`${"text ".repeat(1000)}\n`), bytes]);
    const codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    for (const codec of codecs) {
      const produced = await cluster.tidemark(["produce", "bytes", "--compression", codec], { input });
      expect(produced.stdout.toString()).toBe("acknowledged 5, unknown 0, failed 0\n");
    }
    expect(await consumeRaw("bytes")).toEqual(Buffer.concat(codecs.flatMap(() => [input, Buffer.from("\n")])));
  });

  test("records of one key stay together, and --from and --max choose among them", async () => {
    await create("keyed", "--partitions", "4");
    const input = Array.from({ length: 100 }, (_, index) => `k${index % 7}:v${index}\n`).join("");
    await cluster.tidemark(["produce", "keyed", "--key-separator", ":"], { input });
    const { stdout } = await cluster.tidemark(["consume", "keyed", "--until-end", "-o", "json"]);
    const records = stdout
      .toString()
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { key: string; value: string; partition: number; offset: number });
    expect(records).toHaveLength(100);
    for (let key = 0; key < 7; key++) {
      const ofKey = records.filter((record) => record.key === `k${key}`);
      expect(new Set(ofKey.map(({ partition }) => partition)).size).toBe(1);
      expect(ofKey.map(({ value }) => Number(value.slice(1)))).toEqual(ofKey.map((_, index) => key + 7 * index));
    }
    const partition = String(records[0]?.partition ?? 0);
    const few = await cluster.tidemark([
      "consume",
      "keyed",
      "--partition",
      partition,
      "--from",
      "2",
      "--max",
      "3",
      "-o",
      "json",
    ]);
    expect(few.code).toBe(0);
    expect(
      few.stdout
        .toString()
        .trimEnd()
        .split("\n")
        .map((line) => (JSON.parse(line) as { offset: number }).offset),
    ).toEqual([2, 3, 4]);
  });

  test("a line above max.message.bytes fails by its number, and the rest goes on", async () => {
    await create("small", "--partitions", "1", "--config", "max.message.bytes=200000");
    const input = Buffer.concat([Buffer.from("first\n"), Buffer.alloc(300_000, "x"), Buffer.from("\nlast\n")]);
    const produced = await cluster.tidemark(["produce", "small"], { input });
    expect(produced.code).toBe(1);
    expect(produced.stdout.toString()).toBe("acknowledged 2, unknown 0, failed 1\n");
    expect(produced.stderr).toMatch(/^tidemark: line 2 \(failed, REASON_MESSAGE_TOO_LARGE\): /);
    expect((await consumeRaw("small")).toString()).toBe("first\nlast\n");
  });

  test.each([3, 6])("a line of %i MiB, above what a message can have, is one failed record", async (mebibytes) => {
    await create(`large-${mebibytes}`, "--partitions", "1");
    const input = Buffer.concat([Buffer.from("a\n"), Buffer.alloc(mebibytes * 2 ** 20, "x"), Buffer.from("\nb\n")]);
    const produced = await cluster.tidemark(["produce", `large-${mebibytes}`], { input });
    expect(produced.stdout.toString()).toBe("acknowledged 2, unknown 0, failed 1\n");
    expect(produced.stderr).toContain("REASON_MESSAGE_TOO_LARGE");
    expect((await consumeRaw(`large-${mebibytes}`)).toString()).toBe("a\nb\n");
  });

  test("a line of 512 MiB from standard input is read in little memory, and told with its length and the limit", async () => {
    await create("endless", "--partitions", "1");
    const env = { ...process.env, TIDEMARK_SERVER: cluster.endpoint("gateway-1") };
    // By this, what is read and needed no more is collected before there is much of it, however busy the machine is.
    const smallHeap = "--max-old-space-size=64";
    const child = spawn(process.execPath, [smallHeap, main, "produce", "endless"], {
      env,
      stdio: ["pipe", "pipe", "pipe"],
    });
    const ended = new Promise<number | null>((resolve) => {
      child.once("close", resolve);
    });
    const said = Promise.all([text(child.stdout), text(child.stderr)]);
    const write = async (bytes: Buffer | string) => {
      if (!child.stdin.write(bytes)) await once(child.stdin, "drain");
    };
    const piece = Buffer.alloc(2 ** 20, "x");
    await write("a\n");
    for (let mebibyte = 0; mebibyte < 512; mebibyte++) await write(piece);
    const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
    child.stdin.end("\nb\n");
    expect(await ended).toBe(1);
    expect(await said).toEqual([
      "acknowledged 2, unknown 0, failed 1\n",
      expect.stringMatching(
        /^tidemark: line 2 \(failed, REASON_MESSAGE_TOO_LARGE\): The line has 536870912 bytes, above the \d+ that any topic can take in one message\n$/,
      ),
    ]);
    expect((await consumeRaw("endless")).toString()).toBe("a\nb\n");
    expect(Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1])).toBeLessThan(400 * 1024);
  });

  test("a topic that is not there, an offset that is not there, a file that is not there", async () => {
    await create("there", "--partitions", "1");
    const runs = [
      await cluster.tidemark(["produce", "nowhere"], { input: "x" }),
      await cluster.tidemark(["consume", "there", "--from", "7", "--max", "1"]),
      await cluster.tidemark(["consume", "there", "--from", "5", "--until-end"]),
      await cluster.tidemark(["produce", "there", "--file", "/no/such/file"]),
    ];
    expect(runs.map(({ code }) => code)).toEqual([1, 1, 1, 2]);
    expect(runs.map(({ stderr }) => stderr).join()).toMatch(
      /UNKNOWN_TOPIC[^]*OFFSET_OUT_OF_RANGE[^]*OFFSET_OUT_OF_RANGE[^]*cannot be read/,
    );
    expect(runs.map(({ stderr }) => stderr).join()).not.toMatch(/^ +at /m);
  });
});

test("a reader that goes away ends a consume with 141", async () => {
  await create("piped", "--partitions", "1");
  await cluster.tidemark(["produce", "piped"], { input: "line\n".repeat(100_000) });
  const env = { TIDEMARK_SERVER: cluster.endpoint("gateway-1") };
  const pipe = `"${process.execPath}" "${main}" consume piped | head -1; echo "\${PIPESTATUS[0]}"`;
  const { stdout } = await runProgram("bash", ["-c", pipe], { env });
  expect(stdout.toString()).toBe("line\n141\n");
});

test("bench counts what it stored and read, and ends with 0 where all was acknowledged", async () => {
  await create("measured", "--partitions", "1");
  const bench = async (...args: readonly string[]) => {
    const { code, stdout } = await cluster.tidemark(["bench", ...args, "-o", "json"]);
    return { code, result: json(stdout) };
  };
  const done = (records: number) => ({ code: 0, result: { records, failed: 0 } });
  expect(await bench("produce", "measured", "--records", "1000")).toMatchObject(done(1000));
  expect(await bench("consume", "measured")).toMatchObject(done(1000));
  expect(await bench("end-to-end", "measured", "--records", "5")).toMatchObject(done(5));
  const failover = await bench("failover", "measured", "--duration", "200ms");
  expect(failover).toMatchObject({ code: 0, result: { failed: 0, pausesMs: expect.any(Array) as unknown } });
});

describe("Ctrl-C", () => {
  function run(...args: readonly string[]) {
    const env = { ...process.env, TIDEMARK_SERVER: cluster.endpoint("gateway-1") };
    const child = spawn(process.execPath, [main, ...args], { env, stdio: ["pipe", "pipe", "inherit"] });
    let printed = "";
    child.stdout.on("data", (piece: Buffer) => {
      printed += piece.toString();
    });
    const ended = new Promise<number>((resolve) => {
      child.once("close", (code) => resolve(code ?? 1));
    });
    return { child, ended, printed: () => printed };
  }

  test("ends a produce with what became of the records", async () => {
    await create("interrupted", "--partitions", "1");
    const { child, ended, printed } = run("produce", "interrupted");
    child.stdin.write("a\nb\nthis line has no end yet");
    await waitFor("two records", async () => (await consumeRaw("interrupted")).toString() === "a\nb\n");
    child.kill("SIGINT");
    expect(await ended).toBe(130);
    expect(printed()).toBe("acknowledged 2, unknown 0, failed 0\n");
  });

  test("ends a consume that follows", async () => {
    await create("followed", "--partitions", "1");
    const { child, ended, printed } = run("consume", "followed");
    await cluster.tidemark(["produce", "followed"], { input: "a\n" });
    await waitFor("the record", () => printed() === "a\n");
    child.kill("SIGINT");
    expect(await ended).toBe(130);
  });
});
