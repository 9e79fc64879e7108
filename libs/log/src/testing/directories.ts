import { createMemoryDisk, type MemoryDisk } from "@tidemark/disk";
import { partitionIndex, topicId } from "@tidemark/ids";
import { portableCrc32c } from "@tidemark/record";
import { createManualTime, createSeededRandom } from "@tidemark/runtime";
import type { LogDirectoryOptions } from "../directory/log-directory.ts";
import type { ReplicaId } from "../directory/replica-list.ts";
import type { OpenLogOptions } from "../open-log.ts";
import { defaultLogSettings } from "../settings.ts";

export const replica: ReplicaId = {
  topicId: topicId("00000000-0000-4000-8000-000000000001"),
  partition: partitionIndex(0),
};
/** Another partition of the same topic. */
export const other: ReplicaId = { ...replica, partition: partitionIndex(1) };
export const settings: OpenLogOptions = { settings: defaultLogSettings, onEvent: () => undefined };

/** How node 1 of cluster `c` opens `/d`. */
export function optionsOn(disk: MemoryDisk, changed: Partial<LogDirectoryOptions> = {}): LogDirectoryOptions {
  return {
    path: "/d",
    disk,
    runtime: { ...createManualTime(), random: createSeededRandom(1) },
    crc32c: portableCrc32c,
    owner: { clusterId: "c", nodeId: 1 },
    onFailure: () => undefined,
    createMissing: true,
    ...changed,
  };
}

/** A disk on which `/d` is, empty. */
export async function newDisk(): Promise<MemoryDisk> {
  const disk = createMemoryDisk();
  await disk.makeDirectory("/d");
  await disk.syncDirectory("/");
  return disk;
}
