import { createMemoryDisk, type Disk, type DiskFile } from "@tidemark/disk";
import { describe, expect, it } from "vitest";
import { createLogFiles, openLog } from "../open-log.ts";
import { defaultLogSettings } from "../settings.ts";
import { at, batchAt, logDirectory, rangesOf, testContext } from "../testing/fixture.ts";

const segments = 10_000;
/** The pool of `testContext`. */
const poolSize = 8;

/** The same disk, and how many files were open at once at most. */
function countingHandles(disk: Disk) {
  const handles = { now: 0, most: 0 };
  const counted = async (opening: Promise<DiskFile>): Promise<DiskFile> => {
    const file = await opening;
    handles.most = Math.max(handles.most, ++handles.now);
    const close = async () => {
      handles.now--;
      await file.close();
    };
    return { ...file, close };
  };
  const counting: Disk = {
    ...disk,
    open: (path, how) => counted(disk.open(path, how)),
    create: (path) => counted(disk.create(path)),
  };
  return { counting, handles };
}

describe("a log of ten thousand segments", () => {
  it("is opened, read, cut and retained with as many files open as the pool has, and a few", async () => {
    const disk = createMemoryDisk();
    await disk.makeDirectory("/data");
    const { counting, handles } = countingHandles(disk);
    const context = testContext(counting);
    await createLogFiles({ context, directory: logDirectory });
    for (let offset = 0; offset < segments; offset++) {
      disk.put(`${logDirectory}/${String(offset).padStart(20, "0")}.log`, batchAt(offset, { value: "v" }));
    }
    const settings = { ...defaultLogSettings, retentionBytes: 1000, retentionMs: -1 };
    const log = await openLog({ context, directory: logDirectory }, { settings, onEvent: () => undefined });
    expect([log.status.kind, log.segmentCount, log.logEndOffset]).toEqual(["online", segments, at(segments)]);
    await log.flushed(at(segments));
    const reads = Array.from({ length: 64 }, async (_, number) => {
      const offset = number * 150;
      const { bytes } = await log.read(at(offset), { maxBytes: 1 });
      expect(rangesOf(bytes)).toEqual([`${offset}..${offset + 1}`]);
    });
    // As many reads as are under way at once need their files, and no more.
    await Promise.all(reads);
    expect(handles.most).toBeLessThanOrEqual(reads.length + poolSize);
    handles.most = handles.now;
    await log.truncateTo(at(segments - 10));
    log.setHighWatermark(at(segments - 10));
    await log.applyRetention(1_700_000_000_000n);
    expect(log.segmentCount).toBeLessThan(20);
    expect(handles.most).toBeLessThanOrEqual(poolSize + 4);
    await log.close();
    await context.files.close();
    expect(handles.now).toBe(0);
  });
});
