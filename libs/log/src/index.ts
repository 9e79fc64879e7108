export type { CutNote } from "./checkpoint/cut-note.ts";
export type { CompactionReport } from "./compaction/compact.ts";
export { createLogContext, type LogContext, type LogContextOptions } from "./context.ts";
export { DirectoryError, type DirectoryErrorCode } from "./directory/directory-error.ts";
export {
  type LogDirectory,
  type LogDirectoryOptions,
  openLogDirectories,
  openLogDirectory,
} from "./directory/log-directory.ts";
export type { DirectoryOwner } from "./directory/meta-properties.ts";
export { type ReplicaId, replicaName } from "./directory/replica-list.ts";
export { type DumpOptions, dumpLog, type LogDump, type RecoveryOutlook } from "./dump/dump-log.ts";
export type { BatchDump, BatchDuties, IndexDump, SegmentDump } from "./dump/dump-segment.ts";
export { logsAt } from "./dump/find-logs.ts";
export {
  type EpochCache,
  type EpochEnd,
  type EpochStart,
  epochAt,
  epochEnd,
} from "./epochs/epoch-cache.ts";
export { type Damage, type DamageKind, LogError, type LogErrorCode } from "./errors.ts";
export type { LogEvent, LogListener } from "./events.ts";
export { allGuards, type LogGuards } from "./guards.ts";
export type { Log } from "./log.ts";
export type { LogStatus } from "./log-state.ts";
export { createLogFiles, type LogPlace, type OpenLogOptions, openLog, type StartReport } from "./open-log.ts";
export type { ProducerState } from "./producers/producer-state.ts";
export type { ReadLimits, ReadResult } from "./read/reader.ts";
export type { OffsetAndTimestamp } from "./read/timestamps.ts";
export {
  type CompactionSettings,
  defaultCompactionSettings,
  defaultLogSettings,
  type LogSettings,
  segmentBytesMax,
} from "./settings.ts";
export type { Appended, AppendOptions } from "./write/append.ts";
export type { CutOptions } from "./write/cut.ts";
