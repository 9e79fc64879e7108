import { crc32c } from "@tidemark/compression";
import { AdminService } from "@tidemark/proto/admin/v1";
import { Acks, Format, LogService } from "@tidemark/proto/log/v1";
import { encodeBatch } from "@tidemark/record";
import { createChannelPool, createRpcClient, type RpcClient } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { startDevCluster, waitFor } from "@tidemark/testkit";
import { type Bench, type Figure, figure } from "../bench.ts";
import { startPlainPeer } from "./plain-peer.ts";

const runs = 3;
const recordBytes = 200;
const bytesPerRun = 64 * 2 ** 20;
const inFlight = 5;

/** One broker in a process of its own, and the gateway before it. */
export const brokerThroughput: Bench = {
  name: "broker",
  about:
    "produce (acks=all, flush=sync) and fetch of one broker, ready-made batches of 200 B records, beside plain grpc-js.",
  async run(say) {
    const cluster = await startDevCluster({ brokers: 1 });
    const pool = createChannelPool({ runtime: createNodeRuntime() });
    try {
      const client = (name: string) => createRpcClient(LogService, pool.get(cluster.endpoint(name), "produce"));
      const admin = createRpcClient(AdminService, pool.get(cluster.endpoint("gateway-1"), "admin"));
      const targets = { broker: client("broker-1"), gateway: client("gateway-1") };
      const figures: Figure[] = [];
      for (const kibibytes of [16, 64, 256]) {
        const batch = batchOf(kibibytes * 1024);
        const topic = `bench-${kibibytes}`;
        await admin.createTopic({ topic, partitions: 1 });
        await waitFor(`${topic} to be led`, async () => (await produce(targets.gateway, topic, batch)) || true);
        figures.push(...(await measureSize({ topic, batch, name: `${kibibytes} KiB` }, targets, say)));
      }
      return figures;
    } finally {
      pool.close();
      await cluster.stop();
    }
  },
};

type LogClient = RpcClient<typeof LogService>;

async function measureSize(
  work: { readonly topic: string; readonly batch: Buffer; readonly name: string },
  targets: Readonly<Record<"broker" | "gateway", LogClient>>,
  say: (line: string) => void,
): Promise<readonly Figure[]> {
  const { topic, batch, name } = work;
  const plain = await startPlainPeer(batch.length);
  const count = Math.ceil(bytesPerRun / batch.length);
  const measured = new Map<string, number[]>();
  const note = async (what: string, bytes: () => Promise<number>) => {
    const all = measured.get(what) ?? [];
    measured.set(what, [...all, await bytes()]);
  };
  try {
    for (let run = 1; run <= runs; run++) {
      say(`${name}, run ${run} of ${runs}`);
      // The ceiling stands between the two, so that all three see the same moment of the machine.
      await note("produce broker", () => speed(count, batch.length, () => produce(targets.broker, topic, batch)));
      await note("produce plain", () => speed(count, batch.length, () => plain.produce(batch)));
      await note("produce gateway", () => speed(count, batch.length, () => produce(targets.gateway, topic, batch)));
      await note("fetch broker", () => fetchAll(targets.broker, { topic, count, bytes: batch.length }));
      await note("fetch plain", () => speed(count, batch.length, () => plain.fetch()));
      await note("fetch gateway", () => fetchAll(targets.gateway, { topic, count, bytes: batch.length }));
    }
  } finally {
    plain.close();
  }
  const of = (what: string) => measured.get(what) ?? [];
  return ["produce", "fetch"].flatMap((work) => {
    const ceiling = of(`${work} plain`);
    return [
      figure(`${work} ${name} plain grpc-js`, "MB/s", ceiling),
      ...["broker", "gateway"].map((target) =>
        figure(`${work} ${name} ${target}`, "MB/s", of(`${work} ${target}`), { to: "plain grpc-js", values: ceiling }),
      ),
    ];
  });
}

/** MB/s of `count` calls of so many bytes, a few of them in flight. */
async function speed(count: number, bytes: number, call: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  let left = count;
  const worker = async () => {
    while (left-- > 0) await call();
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return (count * bytes) / 1e3 / (performance.now() - startedAt);
}

async function produce(client: LogClient, topic: string, batch: Buffer): Promise<boolean> {
  // The broker writes offsets into the bytes of its own copy.
  await client.produce({ topic, partition: 0, batches: batch, acks: Acks.ALL });
  return true;
}

/** MB/s of reading so many batches from the log start, a batch an answer, a few answers in flight. */
async function fetchAll(
  client: LogClient,
  { topic, count, bytes }: { readonly topic: string; readonly count: number; readonly bytes: number },
): Promise<number> {
  const recordsPerBatch = BigInt(Math.floor(bytes / recordBytes));
  let next = 0n;
  return speed(count, bytes, async () => {
    const offset = next * recordsPerBatch;
    next++;
    await client.fetch({
      topic,
      partitions: [{ partition: 0, start: { case: "offset", value: offset } }],
      maxBytes: bytes,
      format: Format.BATCHES,
    });
  });
}

/** A batch of about so many bytes, of records of 200 B. */
function batchOf(bytes: number): Buffer {
  const value = new Uint8Array(recordBytes - 12).fill(120);
  const records = Array.from({ length: Math.floor(bytes / recordBytes) }, () => ({
    timestamp: 1_700_000_000_000n,
    key: null,
    value,
    headers: [],
  }));
  return Buffer.from(encodeBatch(records, { crc32c }));
}
