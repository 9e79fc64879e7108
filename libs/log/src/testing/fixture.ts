import {
  anyFault,
  createFaultDisk,
  createFilePool,
  createMemoryDisk,
  type Disk,
  type FaultPlan,
  type MemoryDisk,
} from "@tidemark/disk";
import type { LeaderEpoch, Offset } from "@tidemark/ids";
import { encodeBatch, nextOffsetOf, portableCrc32c, readBatchHeader } from "@tidemark/record";
import { createManualTime, type ManualTime } from "@tidemark/runtime";
import { createLogContext, type LogContext } from "../context.ts";
import type { LogEvent } from "../events.ts";
import { allGuards, type LogGuards } from "../guards.ts";
import type { Log } from "../log.ts";
import { createLogFiles, openLog, type StartReport } from "../open-log.ts";
import type { ProducerState } from "../producers/producer-state.ts";
import { defaultLogSettings, type LogSettings } from "../settings.ts";

export const logDirectory = "/data/log";
/** The first segment of a log that begins at 0. */
export const logFile = "/data/log/00000000000000000000.log";
export const epochFile = "/data/log/leader-epoch-checkpoint";
export const checkpointFile = "/data/log/offset-checkpoint";
export const at = (value: number | bigint): Offset => BigInt(value) as Offset;
export const epoch = (value: number): LeaderEpoch => value as LeaderEpoch;
export const everything = { maxBytes: 100_000_000 };

/** A batch of so many records at that place. `timestamp`: of its first record, the others follow by 1 ms. */
export function batchAt(
  baseOffset: number | bigint,
  batch: {
    readonly records?: number;
    readonly leaderEpoch?: number;
    readonly timestamp?: number;
    readonly value?: string;
    readonly key?: string;
    /** Makes a delete marker. */
    readonly isDelete?: boolean;
    readonly producer?: { readonly id: bigint; readonly epoch: number; readonly sequence: number };
  } = {},
): Uint8Array {
  const encode = (text: string) => new TextEncoder().encode(text);
  const records = Array.from({ length: batch.records ?? 1 }, (_, index) => ({
    timestamp: BigInt((batch.timestamp ?? 1_700_000_000_000) + index),
    key: batch.key === undefined ? null : encode(batch.key),
    value: batch.isDelete === true ? null : encode(batch.value ?? `value ${Number(baseOffset) + index}`),
    headers: [],
  }));
  return encodeBatch(records, {
    crc32c: portableCrc32c,
    baseOffset: at(baseOffset),
    leaderEpoch: epoch(batch.leaderEpoch ?? 0),
    ...(batch.producer === undefined ? {} : { producer: batch.producer }),
  });
}

/** The offsets of the batches in `bytes`, as "first..next". */
export function rangesOf(bytes: Uint8Array): string[] {
  const ranges: string[] = [];
  for (let position = 0; position < bytes.length; ) {
    const step = readBatchHeader(bytes, position);
    if (step.kind !== "ok") throw new Error(`No batch at ${position}`);
    ranges.push(`${step.header.baseOffset}..${nextOffsetOf(step.header)}`);
    position += step.header.sizeInBytes;
  }
  return ranges;
}

/** The batches of a log from its start to its end, as "first..next". */
export async function contentOf(log: Log): Promise<string[]> {
  const found: string[] = [];
  for (let offset = log.logStartOffset; offset < log.logEndOffset; ) {
    const { bytes, nextOffset } = await log.read(offset, everything);
    if (bytes.length === 0) break;
    found.push(...rangesOf(bytes));
    offset = nextOffset;
  }
  return found;
}

/** Moves time until the promise settles. */
export async function whileTimeGoes<Value>(time: ManualTime, promise: Promise<Value>): Promise<Value> {
  const state = { isSettled: false };
  const settle = () => {
    state.isSettled = true;
  };
  promise.then(settle, settle);
  for (let step = 0; step < 10_000 && !state.isSettled; step++) await time.advance(10);
  return promise;
}

const nobodyListens: (event: LogEvent) => void = () => undefined;

export interface TestLogOptions {
  readonly settings?: Partial<LogSettings>;
  readonly guards?: Partial<LogGuards>;
  readonly startOffset?: Offset;
  readonly producers?: ProducerState;
  readonly faults?: FaultPlan;
  /** Faults beside those that a test plans, for as long as the log lives. */
  readonly always?: FaultPlan;
  readonly readAheadBytes?: number;
  readonly recentBytes?: number;
  readonly beginWriting?: LogContext["beginWriting"];
}

/** A log on a disk in memory, which can be killed, cut off from power, and opened again. */
export interface TestLog {
  readonly disk: MemoryDisk;
  readonly time: ManualTime;
  /** The faults of the disk that the log uses, also after it is opened again. */
  readonly faulty: { plan(plan: FaultPlan): void };
  readonly events: LogEvent[];
  /** What the starts found, the latest last. */
  readonly starts: StartReport[];
  /** Told of events after they were kept. */
  onEvent: (event: LogEvent) => void;
  log: Log;
  context: LogContext;
  /** Opens the log on what the disk has. */
  reopen(settings?: Partial<LogSettings>): Promise<Log>;
  /** Appends and waits for the flush. */
  flush(...batches: readonly Uint8Array[]): Promise<void>;
}

export function testContext(
  disk: Disk,
  time = createManualTime(),
  {
    guards,
    readAheadBytes,
    recentBytes,
    beginWriting,
  }: Pick<TestLogOptions, "guards" | "readAheadBytes" | "recentBytes" | "beginWriting"> = {},
): LogContext {
  return createLogContext({
    name: "the directory",
    disk,
    files: createFilePool(disk, 8),
    runtime: time,
    crc32c: portableCrc32c,
    codecs: {},
    indexCacheBytes: 1_000_000,
    guards: { ...allGuards, ...guards },
    beginWriting,
    ...(readAheadBytes === undefined ? {} : { readAheadBytes }),
    ...(recentBytes === undefined ? {} : { recentBytes }),
  });
}

export async function createTestLog(options: TestLogOptions = {}): Promise<TestLog> {
  const disk = createMemoryDisk();
  await disk.makeDirectory("/data");
  await disk.syncDirectory("/");
  const time = createManualTime();
  await createLogFiles({ context: testContext(disk, time), directory: logDirectory }, options.startOffset ?? at(0));
  return openTestLog(disk, { ...options, time });
}

export async function openTestLog(
  disk: MemoryDisk,
  options: TestLogOptions & { readonly time?: ManualTime } = {},
): Promise<TestLog> {
  const time = options.time ?? createManualTime();
  let plan: FaultPlan = options.faults ?? (() => undefined);
  const events: LogEvent[] = [];
  const starts: StartReport[] = [];
  const open = async (changed: Partial<LogSettings> = {}) => {
    const both = anyFault([(operation) => options.always?.(operation), (operation) => plan(operation)]);
    const faulty = createFaultDisk(disk, { scheduler: time.scheduler, plan: both });
    const context = testContext(faulty, time, options);
    const settings = { ...defaultLogSettings, ...options.settings, ...changed };
    const log = await openLog(
      { context, directory: logDirectory },
      {
        settings,
        onStart: (report) => starts.push(report),
        onEvent: (event) => {
          events.push(event);
          test.onEvent(event);
        },
        ...(options.producers === undefined ? {} : { producers: options.producers }),
      },
    );
    return { context, log };
  };
  const test = {
    disk,
    time,
    faulty: {
      plan(next: FaultPlan) {
        plan = next;
      },
    },
    events,
    starts,
    onEvent: nobodyListens,
    async reopen(changed) {
      Object.assign(test, await open(changed));
      return test.log;
    },
    async flush(...batches) {
      for (const batch of batches) test.log.append(batch);
      await test.log.flushed(test.log.logEndOffset);
    },
  } as TestLog;
  await test.reopen();
  return test;
}

/** The names of what is in the log's directory. */
export async function namesOf({ disk }: TestLog): Promise<string[]> {
  return (await disk.list(logDirectory)).map(({ name }) => name);
}

/** Lets the notes of what was flushed reach the disk, and be synced. */
export function settled({ time }: TestLog): Promise<void> {
  return time.advance(2000);
}

/** Appends what is written and never flushed: the sync of it does not come back. */
export async function appendUnflushed(test: TestLog, batch: Uint8Array): Promise<void> {
  test.faulty.plan(({ kind, path }) => (kind === "sync" && path === logFile ? { kind: "hang", ms: 1e9 } : undefined));
  test.log.append(batch);
  await test.time.advance(10);
}

/** A log with three flushed batches of one record. */
export async function threeFlushed(options: TestLogOptions = {}): Promise<TestLog> {
  const test = await createTestLog(options);
  await test.flush(batchAt(0), batchAt(1), batchAt(2));
  await settled(test);
  return test;
}
