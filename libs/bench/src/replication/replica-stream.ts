import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { brokerEpoch, leaderEpoch, noLeaderEpoch, type Offset, offset, partitionIndex, topicId } from "@tidemark/ids";
import type { FetchSession, ReplicaFetch } from "@tidemark/replication";
import { type Bench, type Figure, figure, secondsOf } from "../bench.ts";
import { takePlain } from "./plain-stream.ts";
import { measuredLeader, measuredStreams } from "./streams.ts";

const program = join(dirname(fileURLToPath(import.meta.url)), "leader-program.ts");
const KiB = 1024;
const runs = 3;
const followers = [2, 3];
/** Of each follower and run. */
const bytesPerRun = { streamed: 256 * 2 ** 20, oneByOne: 64 * 2 ** 20 };
/** What a plain stream carries in one message and asks for ahead: as the replica streams do. */
const messageBytes = 256 * KiB;
const aheadBytes = 8 * 2 ** 20;

const partition = { topicId: topicId("00000000-0000-4000-8000-000000000001"), partition: partitionIndex(0) };

/** A leader's process and two followers in this one. */
export const replicaStream: Bench = {
  name: "replica-stream",
  about:
    "one partition from its leader to two followers over the replica streams, checksums checked, beside plain grpc-js " +
    "streams of the same machine and run. Rates are those of the partition: each byte goes out twice.",
  async run(say) {
    const figures: Figure[] = [];
    for (const kibibytes of [16, 64, 256, 1024]) {
      const batchBytes = kibibytes * KiB;
      const name = `${kibibytes} KiB batches`;
      say(`${name}, as many as an answer takes`);
      figures.push(...(await measure(`${name}, streamed`, { batchBytes, batchesMax: 2 ** 20 })));
      say(`${name}, one an answer`);
      figures.push(...(await measure(`${name}, one an answer`, { batchBytes, batchesMax: 1 })));
    }
    return figures;
  },
};

interface Work {
  readonly batchBytes: number;
  readonly batchesMax: number;
}

async function measure(name: string, work: Work): Promise<readonly Figure[]> {
  const leader = await startLeader(work);
  const isOneByOne = work.batchesMax === 1;
  const total = isOneByOne ? bytesPerRun.oneByOne : bytesPerRun.streamed;
  const plainWork = isOneByOne
    ? { total, messageBytes: work.batchBytes, ahead: 1 }
    : { total, messageBytes, ahead: aheadBytes / messageBytes };
  const ours: number[] = [];
  const plain: number[] = [];
  try {
    for (let run = 0; run < runs; run++) {
      ours.push(await rate(total, (follower) => replicate(leader.port, follower, total)));
      plain.push(await rate(total, () => takePlain(leader.plainPort, plainWork)));
    }
  } finally {
    leader.stop();
  }
  return [
    figure(`${name}, plain grpc-js`, "MB/s", plain),
    figure(name, "MB/s", ours, { to: "plain grpc-js", values: plain }),
  ];
}

/** MB/s of all followers at once, each of which takes so many bytes. */
async function rate(bytes: number, take: (follower: number) => Promise<unknown>): Promise<number> {
  return bytes / 1e6 / (await secondsOf(() => Promise.all(followers.map(take))));
}

/** Fetches on and on, each time when the answer before has come, as a follower does. */
async function replicate(port: number, follower: number, total: number): Promise<void> {
  let left = total;
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const { fetcher } = measuredStreams({
    id: follower,
    port,
    partitions: {
      response(id, { content }, bytes, release) {
        if (content.kind !== "records") throw new Error(`The leader answered ${content.kind}`);
        left -= bytes.length;
        release();
        if (left <= 0) resolve(undefined);
        else fetcher.fetch(measuredLeader, id, fetchOf(follower, content.batches.at(-1)?.endOffset));
      },
    },
  });
  fetcher.fetch(measuredLeader, partition, fetchOf(follower));
  await promise;
  fetcher.stop();
}

/** Each answer has the same bytes, so that it ends where the one before did. */
function fetchOf(follower: number, at: Offset = offset(0n)): ReplicaFetch {
  return {
    replica: follower as ReplicaFetch["replica"],
    brokerEpoch: brokerEpoch(1),
    leaderEpoch: leaderEpoch(0),
    session: 1 as FetchSession,
    fetchOffset: at,
    fetched: at,
    lastFetchedEpoch: noLeaderEpoch,
    flushed: at,
  };
}

async function startLeader({ batchBytes, batchesMax }: Work) {
  const child: ChildProcess = spawn(process.execPath, [program, String(batchBytes), String(batchesMax)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (child.stdout === null) throw new Error("The leader has an output");
  const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  const [port = 0, plainPort = 0] = line.split(" ").map(Number);
  return { port, plainPort, stop: () => child.kill() };
}
