import { createFaultDisk, keepAll } from "@tidemark/disk";
import { partitionIndex } from "@tidemark/ids";
import { portableCrc32c } from "@tidemark/record";
import { createManualTime } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { newDisk, optionsOn, other, replica, settings } from "../testing/directories.ts";
import { openLogDirectory } from "./log-directory.ts";
import { encodeReplicaLine, parseReplicaList, replicaName } from "./replica-list.ts";

const third = { ...replica, partition: partitionIndex(2) };
const encode = (text: string) => new TextEncoder().encode(text);
const line = (sign: "+" | "-", of: typeof replica) => encodeReplicaLine(sign, of, portableCrc32c);
const parse = (bytes: Uint8Array) => parseReplicaList(bytes, portableCrc32c);
const namesIn = (bytes: Uint8Array) => [...parse(bytes).replicas.keys()];

describe("the list of replicas", () => {
  const lines = [line("+", replica), line("+", other), line("-", replica), line("+", third)];

  it("loses by a flipped bit what that line said, and nothing that other lines say", () => {
    const whole = encode(lines.join(""));
    let start = 0;
    for (const [index, each] of lines.entries()) {
      // Without its line end a line takes the next one with it.
      const without = (count: number) => namesIn(encode(lines.toSpliced(index, count).join("")));
      for (let byte = start; byte < start + each.length; byte++) {
        for (let bit = 0; bit < 8; bit++) {
          const flipped = whole.slice();
          flipped[byte]! ^= 1 << bit;
          const isEnd = byte === start + each.length - 1;
          expect(namesIn(flipped)).toEqual(without(isEnd ? 2 : 1));
          const isTorn = isEnd && index === lines.length - 1;
          expect(parse(flipped).unreadableLines > 0).toBe(!isTorn);
        }
      }
      start += each.length;
    }
  });

  it("has no unreadable line where a crash tore its last one", () => {
    const whole = encode(lines.join(""));
    for (let length = whole.length - lines.at(-1)!.length; length < whole.length; length++) {
      expect(namesIn(whole.subarray(0, length))).toEqual([replicaName(other)]);
      expect(parse(whole.subarray(0, length)).unreadableLines).toBe(0);
    }
  });
});

describe("a log directory of which a line of the list cannot be read", () => {
  /** Three replicas; the first one's line is damaged, and `prepare` changes what else is there. */
  async function withDamagedLine(prepare: (disk: Awaited<ReturnType<typeof newDisk>>) => Promise<void>) {
    const disk = await newDisk();
    const first = await openLogDirectory(optionsOn(disk));
    for (const each of [replica, other, third]) await first.create(each);
    await first.close();
    await prepare(disk);
    disk.flipBit("/d/replicas", { byte: 5, bit: 0 });
    return disk;
  }

  it("lists what is there, says so once, and keeps the list as it was found", async () => {
    const disk = await withDamagedLine(async () => undefined);
    const found = disk.peek("/d/replicas");
    const second = await openLogDirectory(optionsOn(disk));
    expect(second.unreadableLines).toBe(1);
    expect(new Set(second.replicas())).toEqual(new Set([replica, other, third]));
    for (const each of second.replicas()) expect((await second.open(each, settings)).status.kind).toBe("online");
    await second.close();
    disk.powerCut();
    expect(disk.peek("/d/replicas.unreadable")).toEqual(found);
    const next = await openLogDirectory(optionsOn(disk));
    expect([next.unreadableLines, next.replicas().length]).toEqual([0, 3]);
  });

  it("still misses those of the other lines", async () => {
    const disk = await withDamagedLine(async (before) => before.remove(`/d/${replicaName(third)}`));
    const second = await openLogDirectory(optionsOn(disk));
    expect((await second.open(third, settings)).status).toMatchObject({ kind: "offline", damage: { kind: "missing" } });
  });

  it("still knows damage that was noted of that replica", async () => {
    const disk = await withDamagedLine(async (before) => {
      await before.remove(`/d/${replicaName(replica)}`);
      const noting = await openLogDirectory(optionsOn(before));
      expect((await noting.open(replica, settings)).status.kind).toBe("offline");
      await noting.close();
    });
    const second = await openLogDirectory(optionsOn(disk));
    expect(second.replicas()).toContainEqual(replica);
    expect((await second.open(replica, settings)).status).toMatchObject({
      kind: "offline",
      damage: { kind: "missing" },
    });
  });
});

describe("a list of replicas", () => {
  it("that is gone is made anew from the folders of its replicas, and that is said once", async () => {
    const disk = await newDisk();
    const first = await openLogDirectory(optionsOn(disk));
    for (const each of [replica, other]) await first.create(each);
    await first.setAside(other);
    await first.close();
    await disk.remove("/d/replicas");
    const second = await openLogDirectory(optionsOn(disk));
    expect([first.lostList, second.lostList, second.replicas(), second.aside()]).toEqual([
      false,
      true,
      [replica],
      [other],
    ]);
    expect((await second.open(replica, settings)).status.kind).toBe("online");
    disk.powerCut();
    const third = await openLogDirectory(optionsOn(disk));
    expect([third.lostList, third.replicas()]).toEqual([false, [replica]]);
  });

  it("that is gone is not taken for one that is empty, also where no replica is left", async () => {
    const disk = await newDisk();
    const first = await openLogDirectory(optionsOn(disk));
    await first.close();
    const second = await openLogDirectory(optionsOn(disk));
    await second.close();
    await disk.remove("/d/replicas");
    const third = await openLogDirectory(optionsOn(disk));
    expect([first, second, third].map(({ lostList }) => lostList)).toEqual([false, false, true]);
  });

  it("is not taken for lost where a new directory is interrupted at any step", async () => {
    for (let steps = 0, isDone = false; !isDone; steps++) {
      const disk = await newDisk();
      let left = steps;
      const faulty = createFaultDisk(disk, {
        scheduler: createManualTime().scheduler,
        plan: () => (left-- > 0 ? undefined : { kind: "fail", code: "IO" }),
      });
      isDone = await openLogDirectory({ ...optionsOn(disk), disk: faulty }).then(
        () => true,
        () => false,
      );
      disk.powerCut(keepAll);
      expect((await openLogDirectory(optionsOn(disk))).lostList).toBe(false);
    }
  });
});
