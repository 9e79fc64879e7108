/** What the commands show and do where a topic has several replicas. */
import { spawn } from "node:child_process";
import { type Client, createClient, type PartitionDescription } from "@tidemark/client";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { main } from "./dev-process.ts";

let cluster: DevCluster;
let client: Client;

beforeAll(async () => {
  cluster = await startDevCluster({ brokers: 3 });
  client = await createClient({ bootstrap: cluster.endpoint("gateway-1") });
  await run("topic", "create", "orders", "--partitions", "3", "--replication-factor", "3");
});

afterAll(async () => {
  client.close();
  await cluster.stop();
});

async function run(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await cluster.tidemark(args);
  if (code !== 0) throw new Error(`tidemark ${args.join(" ")} ended with ${code}: ${stderr}`);
  return stdout.toString();
}

interface Topic {
  readonly partitions: readonly {
    readonly osr: readonly { readonly broker: number; readonly lagMs: number | null }[];
  }[];
}

const json = async <Answer>(...args: readonly string[]): Promise<Answer> =>
  JSON.parse(await run(...args, "-o", "json")) as Answer;

/** The partitions of `orders`, without a process for each look. */
async function partitions(): Promise<readonly PartitionDescription[]> {
  const { topics } = await client.admin.describeTopics({ topics: ["orders"] });
  return topics[0]?.partitions ?? [];
}

const untilWhole = () =>
  waitFor("every replica to be in sync", async () => (await partitions()).every(({ isr }) => isr.length === 3));

describe("the command line over three replicas", () => {
  test("shows Kafka's columns, and that nothing lacks anything", async () => {
    await untilWhole();
    const shown = await run("topic", "describe", "orders");
    expect(shown).toMatch(/^Topic: orders {2}TopicId: \S+ {2}PartitionCount: 3 {2}ReplicationFactor: 3 {2}Configs:/);
    expect(shown).toMatch(/^Partition +Leader +Replicas +Isr +Osr +Elr +Offline$/m);
    expect(await run("topic", "describe", "--under-replicated")).toBe("No partition is under-replicated.\n");
    expect(await run("broker", "list")).toMatch(/^Broker +State +Endpoint[^]*\n1 +running[^]*\n3 +running/);
  });

  test("says why an offset is committed, or is none", async () => {
    await cluster.tidemark(["produce", "orders"], { input: "a\n".repeat(50) });
    const told = await json<{ state: string; replicas: unknown[] }>("partition", "explain", "orders", "0", "1000000");
    expect(told.state).toBe("not appended");
    expect(await run("partition", "explain", "orders", "0", "1000000")).toMatch(
      /^not appended: [^]*\nLogStart: 0 {2}HighWatermark: [^]*\nReplica +InSync +Flushed +LagMs\n/,
    );
  });

  test("gives a topic partitions and settings", async () => {
    expect(await run("topic", "add-partitions", "orders", "--partitions", "4")).toBe("orders has 4 partitions now\n");
    expect(await run("topic", "alter", "orders", "--config", "retention.ms=86400000")).toBe(
      "Configs of orders: retention.ms=86400000\n",
    );
    expect(await run("topic", "alter", "orders", "--unset", "retention.ms")).toBe("Configs of orders: all defaults\n");
    const refused = await cluster.tidemark(["topic", "alter", "orders", "--config", "retention.mz=1"]);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("retention.ms")]);
  });

  test("tells of a broker that is lost, what lacks it, and of its return", async () => {
    const env = { ...process.env, TIDEMARK_SERVER: cluster.endpoint("gateway-1") };
    const tail = spawn(process.execPath, [main, "events", "tail", "-o", "json"], { env });
    let printed = "";
    tail.stdout.on("data", (piece: Buffer) => {
      printed += piece.toString();
    });
    const ended = new Promise<number>((resolve) => {
      tail.once("close", (code) => resolve(code ?? 1));
    });
    // A watch shows what comes after it began. In between brokers get the time to make what they were told to.
    let made = 0;
    await waitFor("the watch to begin", async () => {
      await client.admin.createTopic({ topic: `seen-${made++}`, partitions: 1 });
      return printed !== "";
    });

    await cluster.kill("broker-2");
    await waitFor("its partitions to be led by others", async () =>
      (await partitions()).every(({ leader, isr }) => leader !== undefined && leader !== 2 && !isr.includes(2)),
    );
    // The controller names a leader a moment before that leads, and can say how far the others are.
    const shown = await waitFor("every leader to tell the lag", async () => {
      const described = await json<Topic>("topic", "describe", "orders");
      return described.partitions.every(({ osr }) => (osr[0]?.lagMs ?? 0) > 0) && described.partitions;
    });
    for (const { osr } of shown) expect(osr.map(({ broker }) => broker)).toEqual([2]);
    expect(await run("topic", "describe", "--under-replicated")).toMatch(/^Topic +Partition[^]*orders +0/);
    expect(await run("topic", "describe", "--at-min-isr")).toMatch(/orders +0/);
    expect(await run("topic", "describe", "--under-min-isr")).toBe("No partition is under-min-isr.\n");
    expect(await run("broker", "list")).toMatch(/\n2 +gone/);
    const health = await cluster.tidemark(["cluster", "health"]);
    expect(health.code).toBe(1);
    expect(health.stdout.toString()).toMatch(/partitions are under-replicated: `tidemark topic describe/);

    await cluster.start("broker-2");
    await untilWhole();
    // The broker hears a moment later than the controller that all of its replicas are in sync, and is ready then.
    await waitFor("a healthy cluster", async () => (await cluster.tidemark(["cluster", "health"])).code === 0);
    await waitFor(
      "the events",
      () => /"event":"isr"/.test(printed) && /"event":"election".*"cause":"connection lost"/.test(printed),
    );
    tail.kill("SIGINT");
    expect(await ended).toBe(130);
  });

  test("deletes the oldest records, on every replica", async () => {
    await run("topic", "create", "short", "--partitions", "1", "--replication-factor", "3");
    await cluster.tidemark(["produce", "short"], { input: "a\n".repeat(10) });
    const deleted = await run("topic", "delete-records", "short", "--partition", "0", "--before", "4");
    expect(deleted).toBe("short-0 begins at 4\n");
    const starts = await Promise.all(
      [1, 2, 3].map(async (id) => {
        const at = await createClient({ bootstrap: cluster.endpoint(`broker-${id}`) });
        const { logs } = await at.log.describeLog({ topic: "short" });
        at.close();
        return logs[0]?.logStart;
      }),
    );
    expect(starts).toEqual([4n, 4n, 4n]);
    const beyond = await cluster.tidemark(["topic", "delete-records", "short", "--before", "99"]);
    expect([beyond.code, beyond.stderr]).toEqual([1, expect.stringContaining("up to the high watermark, 10")]);
    expect(await run("topic", "delete-records", "short", "--all")).toBe("short-0 begins at 10\n");
    expect((await cluster.tidemark(["topic", "delete-records", "short"])).code).toBe(2);
  });

  test("elects preferred leaders, and tells what keeps an unclean election from being one", async () => {
    await run("partition", "elect", "--election-type", "preferred", "--topic", "orders");
    const elected = await partitions();
    expect(elected.map(({ leader }) => leader)).toEqual(elected.map(({ replicas }) => replicas[0]));
    const { results } = await json<{ results: { reason?: string }[] }>(
      "partition",
      "elect",
      "--election-type",
      "preferred",
      "--topic",
      "orders",
      "--partition",
      "0",
    );
    expect(results).toMatchObject([{ partition: 0, reason: "REASON_ELECTION_NOT_NEEDED" }]);
    const unclean = ["--election-type", "unclean", "--topic", "orders", "--partition", "0"];
    const { leader, leaderEpoch } = elected[0] ?? {};
    expect(await json("partition", "elect", ...unclean)).toMatchObject({
      results: [{ partition: 0, leader, leaderEpoch, reason: "REASON_ELECTION_NOT_NEEDED" }],
    });
  });

  test("refuses what nothing could be written to, says why, and makes nothing of it", async () => {
    const create = (...flags: readonly string[]) => cluster.tidemark(["topic", "create", "refused", ...flags]);
    const wide = await create("--replication-factor", "4");
    expect([wide.code, wide.stderr]).toEqual([1, expect.stringContaining("needs as many running brokers")]);
    const strict = await create("--replication-factor", "2", "--config", "min.insync.replicas=3");
    expect([strict.code, strict.stderr]).toEqual([1, expect.stringContaining("above the replication factor 2")]);
    expect(await run("topic", "list")).not.toContain("refused");
  });
});
