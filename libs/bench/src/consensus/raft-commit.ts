import { join } from "node:path";
import { crc32c } from "@tidemark/compression";
import { openSingleStore } from "@tidemark/consensus";
import { createNodeDisk } from "@tidemark/disk";
import { controllerId, directoryId } from "@tidemark/ids";
import { createNodeRuntime, randomUuid } from "@tidemark/runtime";
import { type Bench, type Figure, figure } from "../bench.ts";
import { inFolder } from "../log/place.ts";
import { type AppendLoad, type AppendRates, leadingEpoch, measureAppends } from "./appends.ts";
import { startQuorum } from "./quorum.ts";

const runs = 3;
const seconds = 3;
const loads: readonly (AppendLoad & { readonly name: string })[] = [
  { name: "1 change, one at a time", inFlight: 1, changes: 1, seconds },
  { name: "1 change, 200 in flight", inFlight: 200, changes: 1, seconds },
  { name: "100 changes, 10 in flight", inFlight: 10, changes: 100, seconds },
];

/** Three members, each a process with a directory of its own, flushed before they count. */
export const raftCommit: Bench = {
  name: "raft-commit",
  about:
    "metadata batches that three controllers commit by their own quorum, each flushed before it counts, beside the " +
    "single backend's one file of the same machine and run.",
  run: (say) =>
    inFolder(async (folder) => {
      // Commits are measured, not elections: a machine that is busy with the load is no reason for one.
      const quorum = await startQuorum(folder, { electionTimeoutMs: 5_000 });
      try {
        const single = await openSingle(join(folder, "single"));
        const figures: Figure[] = [];
        for (const load of loads) {
          say(load.name);
          const ours: AppendRates[] = [];
          const beside: AppendRates[] = [];
          for (let run = 0; run < runs; run++) {
            ours.push(await quorum.measure(load));
            beside.push(await single.measure(load));
          }
          figures.push(...figuresOf(load.name, ours, beside));
        }
        await single.close();
        return figures;
      } finally {
        await quorum.stop();
      }
    }),
};

function figuresOf(name: string, ours: readonly AppendRates[], beside: readonly AppendRates[]): readonly Figure[] {
  const rates = (all: readonly AppendRates[]) => all.map(({ batchesPerSecond }) => batchesPerSecond);
  const p50 = (all: readonly AppendRates[]) => all.map((each) => each.p50);
  const p99 = (all: readonly AppendRates[]) => all.map((each) => each.p99);
  return [
    figure(`${name}, single`, "batches/s", rates(beside)),
    figure(name, "batches/s", rates(ours), { to: "single", values: rates(beside) }),
    figure(`${name}, p50`, "ms", p50(ours), { to: "single", values: p50(beside) }),
    figure(`${name}, p99`, "ms", p99(ours), { to: "single", values: p99(beside) }),
  ];
}

async function openSingle(directory: string) {
  const runtime = createNodeRuntime();
  const store = await openSingleStore({ disk: createNodeDisk({ runtime }), directory, crc32c, runtime });
  const consensus = store.candidate();
  await consensus.join({
    controllerId: controllerId(1),
    directoryId: directoryId(randomUuid(runtime.random)),
    endpoint: "127.0.0.1:1",
  });
  const epoch = await leadingEpoch(consensus);
  return {
    measure: (load: AppendLoad) => measureAppends(consensus, epoch, load),
    async close() {
      await consensus.close();
      await store.close();
    },
  };
}
