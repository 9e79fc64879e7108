import { join } from "node:path";
import { crc32c } from "@tidemark/compression";
import { openSingleStore } from "@tidemark/consensus";
import { createNodeDisk } from "@tidemark/disk";
import { controllerId, directoryId } from "@tidemark/ids";
import { createNodeRuntime, randomUuid } from "@tidemark/runtime";
import { type Bench, type Figure, figure } from "../bench.ts";
import { inFolder } from "../log/place.ts";
import { type AppendLoad, type AppendRates, leadingEpoch, measureAppends } from "./appends.ts";
import { startEtcdSide } from "./etcd-side.ts";
import { startQuorum } from "./quorum.ts";

const runs = 3;
const seconds = 2;
const loads: readonly (AppendLoad & { readonly name: string })[] = [
  { name: "1 change, one at a time", inFlight: 1, changes: 1, seconds },
  { name: "1 change, 200 in flight", inFlight: 200, changes: 1, seconds },
  { name: "100 changes, 10 in flight", inFlight: 10, changes: 100, seconds },
];

/** Three members, each a process with a directory of its own, flushed before they count. */
export const raftCommit: Bench = {
  name: "raft-commit",
  about:
    "metadata batches that three controllers commit by their own quorum, each flushed before it counts, beside the etcd " +
    "backend on three members, that etcd alone, and the single backend's one file, on the same machine in the same run.",
  run: (say) =>
    inFolder(async (folder) => {
      // Commits are measured, not elections: a machine that is busy with the load is no reason for one.
      const quorum = await startQuorum(folder, { electionTimeoutMs: 5_000 });
      try {
        const single = await openSingle(join(folder, "single"));
        const etcd = await startEtcdSide(folder);
        try {
          const figures: Figure[] = [];
          for (const load of loads) {
            const measured: Measured = { bare: [], etcd: [], single: [], raft: [] };
            for (let run = 1; run <= runs; run++) {
              say(`${load.name}, run ${run} of ${runs}`);
              measured.raft.push(await quorum.measure(load));
              measured.etcd.push(await etcd.backend(load));
              measured.bare.push(await etcd.bare(load));
              measured.single.push(await single.measure(load));
            }
            figures.push(...figuresOf(load.name, measured));
          }
          return figures;
        } finally {
          await etcd.stop();
          await single.close();
        }
      } finally {
        await quorum.stop();
      }
    }),
};

/** What each side gave, run by run. */
type Measured = Readonly<Record<"bare" | "etcd" | "single" | "raft", AppendRates[]>>;

const sides = { bare: "etcd alone", etcd: "etcd backend", single: "single", raft: "raft" } as const;

function figuresOf(name: string, measured: Measured): readonly Figure[] {
  const values = (side: keyof Measured, of: keyof AppendRates) => measured[side].map((each) => each[of]);
  const rows = [
    { of: "batchesPerSecond", unit: "batches/s", title: name },
    { of: "p50", unit: "ms", title: `${name}, p50` },
    { of: "p99", unit: "ms", title: `${name}, p99` },
  ] as const;
  return rows.flatMap(({ of, unit, title }) => {
    const bare = { to: sides.bare, values: values("bare", of) };
    return [
      figure(`${title}, ${sides.bare}`, unit, bare.values),
      ...(["etcd", "single", "raft"] as const).map((side) =>
        figure(`${title}, ${sides[side]}`, unit, values(side, of), bare),
      ),
    ];
  });
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
