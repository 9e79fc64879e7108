import { describe, expect, it } from "vitest";
import { at, batchAt, createTestLog } from "../testing/fixture.ts";
import { createTestProducers } from "../testing/producers.ts";

const from = (offset: number, id: bigint) => batchAt(offset, { producer: { id, epoch: 0, sequence: offset } });

describe("the producers of a log", () => {
  it("are what the log has, after a roll, a kill and a cut", async () => {
    const producers = createTestProducers();
    const test = await createTestLog({ producers, settings: { segmentBytes: 300 } });
    for (let offset = 0; offset < 9; offset++) await test.flush(from(offset, BigInt(offset % 2)));
    expect([...producers.last]).toEqual([
      ["0", "8 at 8"],
      ["1", "7 at 7"],
    ]);
    test.disk.kill();
    await test.reopen();
    expect(producers.last.get("0")).toBe("8 at 8");
    await test.log.truncateTo(at(6));
    expect([...producers.last]).toEqual([
      ["0", "4 at 4"],
      ["1", "5 at 5"],
    ]);
  });

  it("are shown only what is behind the newest snapshot", async () => {
    const producers = createTestProducers();
    const test = await createTestLog({ producers });
    for (let offset = 0; offset < 5; offset++) await test.flush(from(offset, 1n));
    await test.log.close();
    producers.replayed = 0;
    await test.reopen();
    expect([producers.replayed, producers.last.get("1")]).toEqual([0, "4 at 4"]);
  });

  it("do not count a snapshot that is torn, or of a log that was cut", async () => {
    const producers = createTestProducers();
    const test = await createTestLog({ producers });
    for (let offset = 0; offset < 3; offset++) await test.flush(from(offset, 1n));
    await test.log.close();
    const name = "/data/log/00000000000000000003.snapshot";
    test.disk.flipBit(name, { byte: 30, bit: 0 });
    await test.reopen();
    expect(producers.last.get("1")).toBe("2 at 2");
    await test.log.close();
    await test.reopen();
    await test.log.truncateTo(at(1));
    await test.flush(from(1, 9n), from(2, 9n));
    test.disk.kill();
    await test.reopen();
    expect([...producers.last]).toEqual([
      ["1", "0 at 0"],
      ["9", "2 at 2"],
    ]);
  });

  it("forget a batch that the disk had no room for", async () => {
    const producers = createTestProducers();
    const test = await createTestLog({ producers });
    await test.flush(from(0, 1n));
    test.faulty.plan(({ kind }) => (kind === "write" ? { kind: "short", bytes: 10, code: "NO_SPACE" } : undefined));
    test.log.append(from(1, 1n));
    await expect(test.log.flushed(at(2))).rejects.toMatchObject({ code: "NO_SPACE" });
    test.faulty.plan(() => undefined);
    await test.time.advance(0);
    expect(producers.last.get("1")).toBe("0 at 0");
    await test.flush(from(1, 1n));
    expect(producers.last.get("1")).toBe("1 at 1");
  });

  it("forget it at once, so that an append that follows the refusal counts", async () => {
    const producers = createTestProducers();
    const test = await createTestLog({ producers, settings: { segmentBytes: 300 } });
    // The next segment's snapshot has seen everything when there is no room for its first batch.
    const isNext = (path: string) => path.endsWith(".log") && !path.endsWith("00.log");
    test.faulty.plan(({ kind, path }) =>
      kind === "write" && isNext(path) ? { kind: "fail", code: "NO_SPACE" } : undefined,
    );
    let end = 0;
    test.onEvent = ({ kind }) => {
      if (kind !== "refused") return;
      test.onEvent = () => undefined;
      // Nor for another snapshot, which would come in front of the one that has seen too much.
      test.faulty.plan(({ kind, path }) =>
        kind === "write" && path.includes(".snapshot") ? { kind: "fail", code: "NO_SPACE" } : undefined,
      );
      end = Number(test.log.logEndOffset);
      expect([...producers.last]).toEqual([["9", `${end - 1} at ${end - 1}`]]);
      test.log.append(from(end, 2n));
    };
    for (let offset = 0; offset < 6; offset++) test.log.append(from(offset, 9n));
    await expect(test.log.flushed(at(6))).rejects.toMatchObject({ code: "NO_SPACE" });
    for (let offset = end + 1; offset < 7; offset++) await test.flush(from(offset, 2n));
    test.disk.kill();
    test.faulty.plan(() => undefined);
    await test.reopen();
    expect([...producers.last]).toEqual([
      ["9", `${end - 1} at ${end - 1}`],
      ["2", "6 at 6"],
    ]);
  });

  it("are not kept in a snapshot while the log is to be cut", async () => {
    const producers = createTestProducers();
    const test = await createTestLog({ producers, settings: { segmentBytes: 200 } });
    await test.flush(from(0, 1n), from(1, 1n));
    // The log rolls, and before it comes to its snapshot it is cut.
    let cut: Promise<unknown> | undefined;
    test.faulty.plan(({ path }) => {
      if (path.includes(".index")) cut ??= test.log.truncateTo(at(2));
      return undefined;
    });
    for (let offset = 2; offset < 6; offset++) test.log.append(from(offset, 9n));
    await test.time.advance(1);
    expect(cut).toBeDefined();
    await cut;
    test.faulty.plan(() => undefined);
    expect([...producers.last]).toEqual([["1", "1 at 1"]]);
    test.disk.kill();
    await test.reopen();
    expect([...producers.last]).toEqual([["1", "1 at 1"]]);
  });

  it("are not kept again by a stop of a log that did not grow, nor by one of an empty log", async () => {
    const producers = createTestProducers();
    const test = await createTestLog({ producers });
    const kept: string[] = [];
    test.faulty.plan(({ kind, path }) => {
      if (kind === "write" && path.includes(".snapshot")) kept.push(path);
      return undefined;
    });
    await test.log.close();
    await test.reopen();
    expect(kept).toEqual([]);
    await test.flush(from(0, 1n));
    await test.log.close();
    await test.reopen();
    expect(kept).toHaveLength(1);
    await test.log.close();
    await test.reopen();
    expect([kept.length, [...producers.last]]).toEqual([1, [["1", "0 at 0"]]]);
    await test.flush(from(1, 1n));
    await test.log.truncateTo(at(1));
    await test.flush(from(1, 2n));
    await test.log.close();
    producers.replayed = 0;
    await test.reopen();
    expect([producers.replayed, kept.length]).toEqual([0, 2]);
  });
});
