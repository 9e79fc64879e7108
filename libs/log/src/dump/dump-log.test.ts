import { portableCrc32c, readBatchHeader } from "@tidemark/record";
import { describe, expect, it } from "vitest";
import { encodeEpochs } from "../epochs/epoch-file.ts";
import { defaultCompactionSettings } from "../settings.ts";
import { at, batchAt, createTestLog, epoch, logDirectory, logFile } from "../testing/fixture.ts";
import { type DumpOptions, dumpLog } from "./dump-log.ts";
import { logsAt } from "./find-logs.ts";

async function stopped() {
  const test = await createTestLog({ settings: { segmentBytes: 300, indexIntervalBytes: 100 } });
  for (let offset = 0; offset < 10; offset += 2)
    await test.flush(batchAt(offset, { records: 2, leaderEpoch: offset >> 2 }));
  test.log.setHighWatermark(at(8));
  await test.log.close();
  const options: DumpOptions = { disk: test.disk, crc32c: portableCrc32c, codecs: {} };
  return { test, options };
}

describe("a dump", () => {
  it("says what a sound log holds, and that a start has nothing to do", async () => {
    const { options } = await stopped();
    const seen: string[] = [];
    const dump = await dumpLog(
      { ...options, onBatch: ({ header, hasValidCrc }) => seen.push(`${header.baseOffset} ${hasValidCrc}`) },
      logDirectory,
    );
    expect(dump.problems).toEqual([]);
    expect(dump.noted).toEqual({ flushed: at(10), highWatermark: at(8), logStart: at(0) });
    expect(dump.recovery).toEqual({ kind: "nothing", end: 10n });
    expect(dump.segments.map(({ baseOffset, nextOffset, records }) => [baseOffset, nextOffset, records])).toEqual([
      [at(0), at(6), 6],
      [at(6), at(10), 4],
    ]);
    expect(dump.segments.every(({ index }) => index.kind === "sound")).toBe(true);
    expect(seen).toEqual(["0 true", "2 true", "4 true", "6 true", "8 true"]);
  });

  it("shows the records of a batch", async () => {
    const { options } = await stopped();
    const values: string[] = [];
    const onBatch: DumpOptions["onBatch"] = ({ records }) => {
      const decoded = records();
      if (decoded.kind === "ok") for (const { value } of decoded.records) values.push(Buffer.from(value!).toString());
    };
    await dumpLog({ ...options, onBatch }, logFile);
    expect(values).toEqual([0, 1, 2, 3, 4, 5].map((offset) => `value ${offset}`));
  });

  it("hands on what it saw piece by piece, and finds records that cannot be read although their checksum holds", async () => {
    const { test, options } = await stopped();
    // The count of records is one more than there are.
    const bytes = test.disk.peek(logFile)!.slice();
    new DataView(bytes.buffer, bytes.byteOffset).setInt32(57, 3);
    new DataView(bytes.buffer, bytes.byteOffset).setInt32(23, 2);
    const first = readBatchHeader(bytes);
    if (first.kind !== "ok") throw new Error("no batch");
    const crc = portableCrc32c(bytes.subarray(21, first.header.sizeInBytes));
    new DataView(bytes.buffer, bytes.byteOffset).setUint32(17, crc);
    test.disk.put(logFile, bytes);
    let seen = 0;
    let handedOn = 0;
    const onPiece = async () => {
      handedOn = seen;
    };
    const dump = await dumpLog({ ...options, deep: true, onBatch: () => seen++, onPiece }, logFile);
    expect([seen, handedOn]).toEqual([3, 3]);
    expect(dump.problems[0]).toContain("the records of the batch at 0 cannot be read");
    expect((await dumpLog(options, logFile)).problems.join()).not.toContain("cannot be read");
  });

  it("names the batch that is damaged, goes on behind it, and says what a start would do", async () => {
    const { test, options } = await stopped();
    test.disk.flipBit(logFile, { byte: batchAt(0, { records: 2 }).length + 70, bit: 0 });
    const dump = await dumpLog(options, logDirectory);
    expect(dump.problems).toEqual([expect.stringContaining("the batch at 2 has a wrong checksum")]);
    expect(dump.segments[0]).toMatchObject({ batches: 3 });
  });

  it("tells a torn tail from damage", async () => {
    const { test, options } = await stopped();
    const last = `${logDirectory}/00000000000000000006.log`;
    const bytes = test.disk.peek(last)!;
    test.disk.put(last, Buffer.concat([bytes, batchAt(10).subarray(0, 70)]));
    expect((await dumpLog(options, logDirectory)).recovery).toEqual({
      kind: "rewrite",
      from: 10n,
      end: 10n,
      tornBytes: 70,
    });
    test.disk.put(last, bytes.subarray(0, bytes.length - 1));
    expect((await dumpLog(options, logDirectory)).recovery).toMatchObject({ kind: "offline" });
  });

  it.each([
    ["cut where a gap begins", false, { from: 6n, end: 8n, tornBytes: batchAt(9).length }],
    ["kept where gaps were copied", true, { from: 6n, end: 10n, tornBytes: 0 }],
  ])("says that a tail is %s", async (_, isCopied, outlook) => {
    const { test, options } = await stopped();
    const tail = [batchAt(6, { records: 2, leaderEpoch: 1 }), batchAt(9, { leaderEpoch: 2 })];
    test.disk.put(`${logDirectory}/00000000000000000006.log`, Buffer.concat(tail));
    await test.disk.remove(`${logDirectory}/offset-checkpoint`);
    if (isCopied) test.disk.put(`${logDirectory}/gaps`, new Uint8Array(0));
    expect((await dumpLog(options, logDirectory)).recovery).toMatchObject({ kind: "rewrite", ...outlook });
  });

  it("finds a list of leader epochs that is not that of the batches", async () => {
    const { test, options } = await stopped();
    const epochs = [
      { leaderEpoch: epoch(0), startOffset: at(0) },
      { leaderEpoch: epoch(1), startOffset: at(6) },
      { leaderEpoch: epoch(2), startOffset: at(8) },
    ];
    test.disk.put(`${logDirectory}/leader-epoch-checkpoint`, encodeEpochs(epochs, test.context));
    const { problems } = await dumpLog(options, logDirectory);
    const where = `${logFile} at byte ${2 * batchAt(0, { records: 2 }).length}`;
    expect(problems).toEqual([`${where}: the batch at 4 is of leader epoch 1; leader-epoch-checkpoint has 0 there`]);
  });

  it.each([
    ["0 of the second", 1, 0, ["offset 3 after 2", "offset 4 after 5"]],
    [
      "0 of the last before another segment",
      2,
      0,
      ["offset 5 after 4", "ends behind it, the next segment begins at 6"],
    ],
    ["40 of the last before another segment", 2, 40, ["offset 1099511627780 after 4", "ends behind it"]],
  ])(
    "finds a base offset whose bit %s batch has changed, which no checksum covers",
    async (_, batch, bit, expected) => {
      const { test, options } = await stopped();
      const size = batchAt(0, { records: 2 }).length;
      test.disk.flipBit(logFile, { byte: batch * size + 7 - Math.floor(bit / 8), bit: bit % 8 });
      const { problems } = await dumpLog(options, logDirectory);
      for (const problem of expected) expect(problems.join("\n")).toContain(problem);
    },
  );

  it("takes what compaction left out for no damage", async () => {
    const compaction = { ...defaultCompactionSettings, minDirtyRatio: 0 };
    const test = await createTestLog({ settings: { gaps: true, segmentBytes: 300, compaction } });
    for (const [offset, key] of Array.from("abcbdefgh").entries()) await test.flush(batchAt(offset, { key }));
    test.log.setHighWatermark(at(9));
    await test.log.compact(1_800_000_000_000n);
    await test.log.close();
    const dump = await dumpLog({ disk: test.disk, crc32c: portableCrc32c, codecs: {} }, logDirectory);
    expect([dump.segments[0]?.batches, dump.problems]).toEqual([2, []]);
  });

  it("changes nothing", async () => {
    const { test, options } = await stopped();
    const content = async () =>
      (await test.disk.list(logDirectory)).map(({ name }) => [name, test.disk.peek(`${logDirectory}/${name}`)]);
    const before = await content();
    await dumpLog(options, logDirectory);
    expect(await content()).toEqual(before);
  });

  it("finds a directory where a segment should be, and reads the others", async () => {
    const { test, options } = await stopped();
    await test.disk.remove(logFile);
    await test.disk.makeDirectory(logFile);
    const { recovery, problems, segments } = await dumpLog(options, logDirectory);
    expect(recovery).toMatchObject({ kind: "offline", damage: { kind: "unreadable" } });
    expect(problems).toEqual([`a start takes this replica offline: ${logFile} is a directory`]);
    expect(segments.map(({ baseOffset }) => baseOffset)).toEqual([at(6)]);
  });

  it("fails for what is not there", async () => {
    const { options } = await stopped();
    await expect(dumpLog(options, "/nowhere")).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(dumpLog(options, "/data/log/other.log")).rejects.toMatchObject({ code: "NOT_FOUND" });
  });
});

describe("what is dumped at a path", () => {
  const replica = (partition: number) => `00000000-0000-4000-8000-000000000001-${partition}`;
  const bytes = (text: string) => new TextEncoder().encode(text);

  it("is the path itself where it is a log", async () => {
    const { options } = await stopped();
    expect(await logsAt(options, logDirectory)).toEqual([logDirectory]);
    expect(await logsAt(options, logFile)).toEqual([logFile]);
  });

  it("is every replica of a log directory, also one that is listed and gone", async () => {
    const { test, options } = await stopped();
    const fields = `+ ${replica(1)}`;
    const checksum = portableCrc32c(bytes(fields)).toString(16).padStart(8, "0");
    test.disk.put("/data/meta.properties", bytes("version=1\n"));
    test.disk.put("/data/replicas", bytes(`${fields} ${checksum}\n`));
    await test.disk.makeDirectory(`/data/${replica(0)}`);
    expect(await logsAt(options, "/data")).toEqual([`/data/${replica(0)}`, `/data/${replica(1)}`]);
    await expect(logsAt(options, "/")).rejects.toThrow("name one below it");
  });
});
