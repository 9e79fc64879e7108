import { crc32c } from "@tidemark/compression";
import { createMemoryDisk, dropAll, keepAll, type MemoryDisk, type PowerLoss } from "@tidemark/disk";
import { createNodeRuntime, createSeededRandom } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { fromUtf8, utf8 } from "../bytes.ts";
import type { AppendOutcome, Consensus } from "../consensus.ts";
import { allGuards, type SingleGuards } from "./guards.ts";
import { openSingleStore, openStoreOnDisk } from "./open.ts";
import { directory, identity } from "./testing.ts";

const runtime = createNodeRuntime();

/** What a power cut at one moment would leave, and what had been answered by then. */
interface Moment {
  readonly disks: readonly MemoryDisk[];
  readonly committed: ReadonlyMap<string, string>;
  readonly refused: ReadonlySet<string>;
}

/** Some of the sectors of every unflushed write, and some of the other operations. */
function torn(seed: number): PowerLoss {
  const random = createSeededRandom(seed);
  return ({ operation }) => {
    if (operation.kind !== "write") return { kind: random.next() < 0.5 ? "kept" : "dropped" };
    return { kind: "torn", reached: () => random.next() < 0.5 };
  };
}

/** Runs a workload with compactions in it and forks the disk after each of its changes. */
async function momentsOf(guards: SingleGuards): Promise<readonly Moment[]> {
  const moments: Moment[] = [];
  const committed = new Map<string, string>();
  const refused = new Set<string>();
  const disk = createMemoryDisk({
    onChange() {
      const losses = [dropAll, keepAll, torn(moments.length), torn(moments.length + 10_000)];
      moments.push({
        disks: losses.map((loss) => disk.fork(loss)),
        committed: new Map(committed),
        refused: new Set(refused),
      });
    },
  });
  const options = { disk, directory, crc32c, runtime, guards, compactionBytesMin: 6_000 };
  const store = await openSingleStore(options);
  const consensus = store.candidate();
  const leader = await lead(consensus);
  const note = (key: string, value: string, outcome: AppendOutcome) => {
    if (outcome.kind === "committed") committed.set(key, value);
    else refused.add(value);
  };
  for (let wave = 0; wave < 12; wave++) {
    const appends = Array.from({ length: 3 }, async (_, n) => {
      const key = `/test/${(wave * 3 + n) % 20}`;
      const value = `${wave}/${n}/${"x".repeat(100)}`;
      note(key, value, await consensus.append(leader, [{ kind: "put", key, value: utf8(value) }]));
    });
    await Promise.all(appends);
  }
  await consensus.close();
  await store.close();
  return moments;
}

async function lead(consensus: Consensus) {
  await consensus.join(identity(1));
  for await (const belief of consensus.leadership()) if (belief.kind === "leading") return belief.epoch;
  throw new Error("Never led");
}

/** The tree that a restart finds, or why it does not start. */
async function restart(disk: MemoryDisk): Promise<ReadonlyMap<string, string> | string> {
  const tree = new Map<string, string>();
  try {
    const store = await openStoreOnDisk({ disk, directory, crc32c, runtime });
    const session = await store.connect(
      undefined,
      {
        onFeed(feed) {
          if (feed.kind === "snapshot") for (const [key, { value }] of feed.entries) tree.set(key, fromUtf8(value));
        },
        onLost: () => {},
        onFailed: () => {},
      },
      new AbortController().signal,
    );
    await session.close();
    await store.close();
    return tree;
  } catch (error) {
    return String(error);
  }
}

/** What is wrong after a power cut at any moment, whatever the disk kept of what was not flushed. */
async function faultsOf(guards: SingleGuards): Promise<{ readonly cuts: number; readonly faults: readonly string[] }> {
  const faults: string[] = [];
  let cuts = 0;
  for (const [at, { disks, committed, refused }] of (await momentsOf(guards)).entries()) {
    for (const disk of disks) {
      cuts += 1;
      const tree = await restart(disk);
      if (typeof tree === "string") {
        faults.push(`after change ${at}: ${tree}`);
        continue;
      }
      for (const [key, value] of committed) {
        const found = tree.get(key);
        if (found === undefined || wave(found) < wave(value)) faults.push(`after change ${at}: ${key} is lost`);
        if (found !== undefined && refused.has(found)) faults.push(`after change ${at}: ${key} was refused`);
      }
    }
  }
  return { cuts, faults };
}

function wave(value: string): number {
  return Number(value.split("/")[0]);
}

describe("a power cut at any moment", () => {
  it("loses no committed batch and never keeps the store from starting", async () => {
    const { cuts, faults } = await faultsOf(allGuards);
    expect(faults).toEqual([]);
    expect(cuts).toBeGreaterThan(300);
  });

  it.each(["flushBatches", "flushSnapshot", "flushDirectory"] as const)("is found out without %s", async (guard) => {
    const { faults } = await faultsOf({ ...allGuards, [guard]: false });
    expect(faults).not.toEqual([]);
  });
});
