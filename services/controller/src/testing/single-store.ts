import { crc32c } from "@tidemark/compression";
import { openSingleStore, type SingleStore } from "@tidemark/consensus";
import type { MemoryDisk } from "@tidemark/disk";
import { controllerId, directoryId } from "@tidemark/ids";
import type { Runtime } from "@tidemark/runtime";
import type { TestStore } from "./world.ts";

/** The single-node store on a disk in memory: one candidate at a time, which a kill ends as `kill -9` ends a process. */
export async function createSingleTestStore(disk: MemoryDisk, runtime: Runtime): Promise<TestStore> {
  let store: SingleStore | undefined;
  return {
    identity: (candidate) => ({
      controllerId: controllerId(candidate),
      directoryId: directoryId(`00000000-0000-4000-8000-00000000000${candidate}`),
      endpoint: `controller-${candidate}.test:4650`,
    }),
    async start() {
      store ??= await openSingleStore({ disk, directory: "/data/single", crc32c, runtime });
      return store.candidate();
    },
    kill() {
      store = undefined;
      disk.kill();
    },
    async until(condition, what) {
      for (let turns = 0; !condition(); turns++) {
        if (turns > 10_000) throw new Error(`Not reached: ${what}`);
        await new Promise<void>((resolve) => runtime.scheduler.afterInput(resolve));
      }
    },
    async close() {
      await store?.close();
    },
  };
}
