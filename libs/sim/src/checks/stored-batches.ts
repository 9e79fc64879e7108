import type { MemoryDisk } from "@tidemark/disk";
import { type BatchHeader, type Codecs, decodeRecords, iterateBatches, type StoredRecord } from "@tidemark/record";

/** A batch as it stands on a disk. */
export interface StoredBatch {
  readonly header: BatchHeader;
  readonly bytes: Uint8Array;
}

/** What a machine's disk holds of one replica. */
export interface StoredLog {
  /** From the first segment on, as far as one follows the other. */
  readonly batches: readonly StoredBatch[];
  /** Whether it was compacted here. */
  readonly isCompacted: boolean;
}

type Reading = Pick<MemoryDisk, "list" | "peek">;

const logsRoot = "/data";
const segmentName = /^\d{20}\.log$/;
const cleanerName = "cleaner-offset-checkpoint";

/** What can be read of a replica now. `replica`: its directory's name. Without batches where it is not there. */
export async function readStoredLog(disk: Reading, replica: string): Promise<StoredLog> {
  for (const root of await namesIn(disk, logsRoot)) {
    const directory = `${logsRoot}/${root}/${replica}`;
    const names = await namesIn(disk, directory);
    if (names.length === 0) continue;
    const segments = names.filter((name) => segmentName.test(name)).toSorted();
    const batches = segments.flatMap((name) => batchesIn(disk.peek(`${directory}/${name}`)));
    return { batches, isCompacted: names.includes(cleanerName) };
  }
  return { batches: [], isCompacted: false };
}

/** Records of a batch. Throws for one that cannot be read: a leader takes none of those. */
export function recordsIn({ header, bytes }: StoredBatch, codecs: Codecs): readonly StoredRecord[] {
  const decoded = decodeRecords(bytes, { ...header, position: 0 }, { codecs, maxDecompressedBytes: 2 ** 26 });
  if (decoded.kind === "failed") throw new Error(`A batch at offset ${header.baseOffset}: ${decoded.reason}`);
  return [...decoded.records];
}

async function namesIn(disk: Reading, path: string): Promise<readonly string[]> {
  const entries = await disk.list(path).catch(() => []);
  return entries.map(({ name }) => name);
}

function batchesIn(segment: Uint8Array = new Uint8Array(0)): readonly StoredBatch[] {
  const batches: StoredBatch[] = [];
  for (const step of iterateBatches(segment)) {
    if (step.kind !== "ok") break;
    const { header } = step;
    batches.push({ header, bytes: segment.subarray(header.position, header.position + header.sizeInBytes) });
  }
  return batches;
}
