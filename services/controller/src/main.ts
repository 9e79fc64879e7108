/**
 * The controller's program: settings, telemetry and a clean stop as every service has them, and the consensus backend.
 * This is the only place that names one.
 */
import { crc32c } from "@tidemark/compression";
import { consensusChoice, controllerSchema } from "@tidemark/config";
import { openSingleStore } from "@tidemark/consensus";
import { runService } from "@tidemark/service";
import type { OpenBackend } from "./backend.ts";
import { openEtcdBackend } from "./etcd-backend.ts";
import { openRaftBackend, raftDirectoryId } from "./raft-backend.ts";
import { startController } from "./start-controller.ts";

/** One node with one file. */
const openSingle: OpenBackend = async ({ disk, directory, runtime }) => {
  const store = await openSingleStore({ disk, directory: `${directory}/single`, crc32c, runtime });
  return { name: "single", consensus: store.candidate(), close: () => store.close() };
};

await runService({
  role: "controller",
  schema: controllerSchema,
  // One for what consensus keeps, and one for keys and certificates.
  disks: () => 2,
  start: ({ values, ...given }) => {
    const choice = consensusChoice(values);
    const { directory } = choice;
    const common = { ...given, values, directory, backendName: choice.kind };
    switch (choice.kind) {
      case "single":
        return startController({ ...common, openBackend: openSingle });
      case "raft":
        return startController({
          ...common,
          openBackend: openRaftBackend(values),
          formattedAs: (disk) => raftDirectoryId(disk, directory),
        });
      case "etcd":
        return startController({ ...common, openBackend: openEtcdBackend(values, choice) });
    }
  },
});
