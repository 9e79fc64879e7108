export {
  type DirectoryEntry,
  type Disk,
  DiskError,
  type DiskErrorCode,
  type DiskFile,
  type DiskLock,
} from "./disk.ts";
export { makeDurableDirectory } from "./durable-directory.ts";
export { createFaultDisk, type FaultDisk } from "./fault/fault-disk.ts";
export {
  anyFault,
  type DiskOperation,
  type Effect,
  type FaultPlan,
  type FaultRates,
  type FaultRule,
  limitedSpace,
  randomFaults,
  scriptedFaults,
} from "./fault/faults.ts";
export { createFilePool, type FilePool, type PooledFile } from "./file-pool.ts";
export { applyChange, type Change } from "./memory/changes.ts";
export { createMemoryDisk, type MemoryDisk, type MemoryDiskOptions, memoryDiskOver } from "./memory/memory-disk.ts";
export {
  afterPowerLoss,
  dropAll,
  type Fate,
  keepAll,
  type PowerLoss,
  sectorSize,
  type Unflushed,
} from "./memory/power-loss.ts";
export { type DirectoryNode, newDirectory } from "./memory/tree.ts";
export { createNodeDisk, type NodeDiskOptions, threadPoolSize } from "./node/node-disk.ts";
export { type ReservedThreads, reserveThreads } from "./node/thread-pool.ts";
export { readTextFile, readWholeFile } from "./read-file.ts";
