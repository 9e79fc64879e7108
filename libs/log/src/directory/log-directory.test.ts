import { createFaultDisk, createMemoryDisk, type FaultPlan, scriptedFaults } from "@tidemark/disk";
import { brokerEpoch } from "@tidemark/ids";
import { createManualTime, createSeededRandom } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { newDisk, optionsOn, other, replica, settings } from "../testing/directories.ts";
import { at, batchAt, whileTimeGoes } from "../testing/fixture.ts";
import { type LogDirectoryOptions, openLogDirectories, openLogDirectory } from "./log-directory.ts";
import { replicaName } from "./replica-list.ts";

describe("a log directory", () => {
  it("keeps its id, its replicas and what they hold", async () => {
    const disk = await newDisk();
    const first = await openLogDirectory(optionsOn(disk));
    await first.create(replica);
    await first.create(other, at(7));
    const log = await first.open(replica, settings);
    log.append(batchAt(0));
    await first.close({ brokerEpoch: brokerEpoch(4) });
    disk.powerCut();

    const second = await openLogDirectory(optionsOn(disk));
    expect(second.id).toBe(first.id);
    expect(second.stoppedBy).toBe(4);
    expect(second.replicas()).toEqual([replica, other]);
    expect((await second.open(replica, settings)).logEndOffset).toBe(at(1));
    expect((await second.open(other, settings)).logEndOffset).toBe(at(7));
  });

  it("is there after a power cut, with every directory above it that was made for it (L5)", async () => {
    const disk = createMemoryDisk();
    const first = await openLogDirectory(optionsOn(disk, { path: "/data/log" }));
    await first.create(replica);
    disk.powerCut();
    const second = await openLogDirectory(optionsOn(disk, { path: "/data/log" }));
    expect(second.id).toBe(first.id);
    expect(second.replicas()).toEqual([replica]);
  });

  it("takes a stop for clean only once, and only when it was (L10)", async () => {
    const disk = await newDisk();
    const first = await openLogDirectory(optionsOn(disk));
    await first.close({ brokerEpoch: brokerEpoch(4) });
    await openLogDirectory(optionsOn(disk));
    disk.powerCut();
    const third = await openLogDirectory(optionsOn(disk));
    expect(third.stoppedBy).toBeUndefined();
  });

  it.each([
    ["of another cluster", { owner: { clusterId: "other", nodeId: 1 } }, "OTHER_CLUSTER"],
    ["of another node", { owner: { clusterId: "c", nodeId: 2 } }, "OTHER_NODE"],
  ])("refuses to be opened by a process %s", async (_, changed, code) => {
    const disk = await newDisk();
    await (await openLogDirectory(optionsOn(disk))).close();
    await expect(openLogDirectory(optionsOn(disk, changed))).rejects.toMatchObject({ code });
    // The lock was given back.
    await (await openLogDirectory(optionsOn(disk))).close();
  });

  it("refuses a format of a later version", async () => {
    const disk = await newDisk();
    await (await openLogDirectory(optionsOn(disk))).close();
    const meta = new TextDecoder().decode(disk.peek("/d/meta.properties"));
    disk.put("/d/meta.properties", new TextEncoder().encode(meta.replace("version=1", "version=2")));
    await expect(openLogDirectory(optionsOn(disk))).rejects.toMatchObject({ code: "NEWER_FORMAT" });
  });

  it("is open in one place at a time", async () => {
    const disk = await newDisk();
    await openLogDirectory(optionsOn(disk));
    await expect(openLogDirectory(optionsOn(disk))).rejects.toMatchObject({ code: "LOCKED" });
  });

  it("is offline alone when it is missing or its meta.properties is empty", async () => {
    const disk = await newDisk();
    await (await openLogDirectory(optionsOn(disk, { path: "/d/empty" }))).close();
    disk.put("/d/empty/meta.properties", new Uint8Array(0));
    const { open, failed } = await openLogDirectories([
      optionsOn(disk, { path: "/missing", createMissing: false }),
      optionsOn(disk, { path: "/d/empty" }),
      optionsOn(disk, { path: "/d/sound" }),
    ]);
    expect(open.map(({ path }) => path)).toEqual(["/d/sound"]);
    expect(failed.map(({ path, code }) => [path, code])).toEqual([
      ["/missing", "UNAVAILABLE"],
      ["/d/empty", "UNAVAILABLE"],
    ]);
  });

  it("is offline alone when it has replicas and lost its meta.properties: nobody knows whose it is", async () => {
    for (const left of ["replicas", replicaName(replica)]) {
      const disk = await newDisk();
      const first = await openLogDirectory(optionsOn(disk));
      await first.create(replica);
      await first.close();
      for (const name of ["meta.properties", "replicas", replicaName(replica)]) {
        if (name !== left) await disk.remove(`/d/${name}`);
      }
      await expect(openLogDirectory(optionsOn(disk))).rejects.toMatchObject({ code: "UNAVAILABLE" });
      expect((await disk.list("/d")).map(({ name }) => name)).toContain(left);
    }
  });

  it.each(["lock", "create"] as const)("is offline alone where the file system is read-only (%s)", async (kind) => {
    const disk = await newDisk();
    await disk.makeDirectory("/d/sound");
    const readOnly = createFaultDisk(disk, {
      scheduler: createManualTime().scheduler,
      plan: (operation) => (operation.kind === kind ? { kind: "fail", code: "DENIED" } : undefined),
    });
    const { open, failed } = await openLogDirectories([
      { ...optionsOn(disk), disk: readOnly },
      optionsOn(disk, { path: "/d/sound" }),
    ]);
    expect(open.map(({ path }) => path)).toEqual(["/d/sound"]);
    expect(failed.map(({ path, code }) => [path, code])).toEqual([["/d", "UNAVAILABLE"]]);
  });

  it("finds a replica damaged that is listed and not there (L10)", async () => {
    const disk = await newDisk();
    const first = await openLogDirectory(optionsOn(disk));
    await first.create(replica);
    await first.close();
    await disk.remove(`/d/${replicaName(replica)}`);
    const second = await openLogDirectory(optionsOn(disk));
    const log = await second.open(replica, settings);
    expect(log.status).toMatchObject({ kind: "offline", damage: { kind: "missing" } });
  });

  it("tells what the start of a replica found", async () => {
    const disk = await newDisk();
    const first = await openLogDirectory(optionsOn(disk));
    await first.create(replica);
    await first.close();
    await disk.remove(`/d/${replicaName(replica)}/offset-checkpoint`);
    const told: unknown[] = [];
    const onStart: LogDirectoryOptions["onStart"] = (of, { hadNotes }) => told.push([of, hadNotes]);
    const second = await openLogDirectory(optionsOn(disk, { onStart }));
    await second.open(replica, settings);
    expect(told).toEqual([[replica, false]]);
  });

  it("forgets a replica that was removed, also when power fails right after", async () => {
    const disk = await newDisk();
    const first = await openLogDirectory(optionsOn(disk));
    await first.create(replica);
    await first.remove(replica);
    disk.powerCut();
    const second = await openLogDirectory(optionsOn(disk));
    expect(second.replicas()).toEqual([]);
    expect((await disk.list("/d")).map(({ name }) => name)).not.toContain(replicaName(replica));
  });

  it("makes a replica once, and again what a full disk interrupted", async () => {
    for (let steps = 0; steps < 8; steps++) {
      const disk = await newDisk();
      let left = Number.POSITIVE_INFINITY;
      const plan: FaultPlan = () => (left-- === 0 ? { kind: "fail", code: "NO_SPACE" } : undefined);
      const full = createFaultDisk(disk, { scheduler: createManualTime().scheduler, plan });
      const directory = await openLogDirectory({ ...optionsOn(disk), disk: full });
      left = steps;
      await expect(directory.create(replica)).rejects.toMatchObject({ code: "NO_SPACE" });
      await directory.create(replica);
      expect((await directory.open(replica, settings)).status.kind).toBe("online");
      await expect(directory.create(replica)).rejects.toMatchObject({ code: "EXISTS" });
    }
  });

  it("has failed with the first error of its device, says so once, and does nothing more (L6)", async () => {
    const disk = await newDisk();
    let isFailing = false;
    const plan: FaultPlan = ({ kind }) => (isFailing && kind === "sync" ? { kind: "fail", code: "IO" } : undefined);
    const failing = createFaultDisk(disk, { scheduler: createManualTime().scheduler, plan });
    const told: string[] = [];
    const onFailure: LogDirectoryOptions["onFailure"] = ({ code }) => told.push(code);
    const directory = await openLogDirectory({ ...optionsOn(disk), disk: failing, onFailure });
    isFailing = true;
    await expect(directory.create(replica)).rejects.toMatchObject({ code: "DIRECTORY_FAILED" });
    isFailing = false;
    await expect(directory.create(other)).rejects.toMatchObject({ code: "DIRECTORY_FAILED" });
    expect([told, directory.failure?.code]).toEqual([["DIRECTORY_FAILED"], "DIRECTORY_FAILED"]);
  });

  it("lets go of those that it opened when the process must not start", async () => {
    const disk = await newDisk();
    await (await openLogDirectory(optionsOn(disk, { path: "/d/foreign" }))).close();
    const foreign = optionsOn(disk, { path: "/d/foreign", owner: { clusterId: "c", nodeId: 9 } });
    const both = openLogDirectories([optionsOn(disk, { path: "/d/sound" }), foreign]);
    await expect(both).rejects.toMatchObject({ code: "OTHER_NODE" });
    await (await openLogDirectory(optionsOn(disk, { path: "/d/sound" }))).close();
  });

  it("knows damage from its note, durably, and also from a note that cannot be read (L10)", async () => {
    const disk = await newDisk();
    const note = `/d/${replicaName(replica)}/damage`;
    const first = await openLogDirectory(optionsOn(disk));
    await first.create(replica);
    await first.close();
    await disk.remove(`/d/${replicaName(replica)}`);
    const second = await openLogDirectory(optionsOn(disk));
    await second.open(replica, settings);
    disk.powerCut();
    expect(new TextDecoder().decode(disk.peek(note))).toContain('"missing"');
    for (const text of ["", "{}", "no note", '{"kind":"other","offset":"1"}', '{"kind":"missing","offset":-1}']) {
      disk.put(note, new TextEncoder().encode(text));
      const next = await openLogDirectory(optionsOn(disk));
      const { status } = await next.open(replica, settings);
      expect(status).toMatchObject({ kind: "offline", damage: { kind: "unreadable", offset: at(0) } });
      await next.close();
    }
  });

  it("sets a replica aside with what it holds, and takes it back, also across power cuts", async () => {
    const disk = await newDisk();
    const first = await openLogDirectory(optionsOn(disk));
    await first.create(replica);
    await first.create(other);
    const log = await first.open(replica, settings);
    log.append(batchAt(0));
    await first.setAside(replica);
    expect([first.replicas(), first.aside()]).toEqual([[other], [replica]]);
    disk.powerCut();

    const second = await openLogDirectory(optionsOn(disk));
    expect([second.replicas(), second.aside()]).toEqual([[other], [replica]]);
    await second.takeBack(replica);
    disk.powerCut();

    const third = await openLogDirectory(optionsOn(disk));
    expect([third.replicas(), third.aside()]).toEqual([[other, replica], []]);
    expect((await third.open(replica, settings)).logEndOffset).toBe(at(1));
    await third.setAside(replica);
    await third.remove(replica);
    expect([third.replicas(), third.aside()]).toEqual([[other], []]);
    expect((await disk.list("/d")).some(({ name }) => name.startsWith(replicaName(replica)))).toBe(false);
  });

  it("throws no data away where other data of the replica was set aside before (D7)", async () => {
    const disk = await newDisk();
    const directory = await openLogDirectory(optionsOn(disk));
    await directory.create(replica);
    const log = await directory.open(replica, settings);
    log.append(batchAt(0));
    await directory.setAside(replica);
    await directory.create(replica);
    await expect(directory.setAside(replica)).rejects.toMatchObject({ code: "EXISTS" });
    await expect(directory.takeBack(replica)).rejects.toMatchObject({ code: "EXISTS" });
    expect([directory.replicas(), directory.aside(), directory.failure]).toEqual([[replica], [replica], undefined]);
    expect((await directory.open(replica, settings)).logEndOffset).toBe(at(0));
    await directory.remove(replica);
    expect([directory.replicas(), directory.aside()]).toEqual([[], []]);
    expect((await disk.list("/d")).some(({ name }) => name.startsWith(replicaName(replica)))).toBe(false);
  });

  it("takes data back also where a replica was half made in its place", async () => {
    const disk = await newDisk();
    const directory = await openLogDirectory(optionsOn(disk));
    await directory.create(replica);
    const log = await directory.open(replica, settings);
    log.append(batchAt(0));
    await directory.setAside(replica);
    await disk.makeDirectory(`/d/${replicaName(replica)}`);
    disk.put(`/d/${replicaName(replica)}/leader-epoch-checkpoint`, new Uint8Array(0));
    await directory.takeBack(replica);
    expect((await directory.open(replica, settings)).logEndOffset).toBe(at(1));
  });

  it("removes a replica also where the files of one that was removed before are still there", async () => {
    const disk = await newDisk();
    // The files of what was renamed cannot be removed.
    const plan = scriptedFaults([
      { kind: "remove", path: ".removed", skip: 1, effect: { kind: "fail", code: "DENIED" } },
    ]);
    const faulty = createFaultDisk(disk, { scheduler: createManualTime().scheduler, plan });
    const directory = await openLogDirectory({ ...optionsOn(disk), disk: faulty });
    await directory.create(replica);
    await expect(directory.remove(replica)).rejects.toMatchObject({ code: "DENIED" });
    await directory.create(replica);
    await directory.remove(replica);
    expect([directory.replicas(), directory.failure]).toEqual([[], undefined]);
    expect((await disk.list("/d")).some(({ name }) => name.startsWith(replicaName(replica)))).toBe(false);
  });

  it("opens a replica once, until its log is closed or it is forgotten", async () => {
    const disk = await newDisk();
    const directory = await openLogDirectory(optionsOn(disk));
    await directory.create(replica);
    const opening = directory.open(replica, settings);
    await expect(directory.open(replica, settings)).rejects.toMatchObject({ code: "LOCKED" });
    const log = await opening;
    await expect(directory.open(replica, settings)).rejects.toMatchObject({ code: "LOCKED" });
    expect(directory.failure).toBeUndefined();
    log.append(batchAt(0));
    await log.close();
    const again = await directory.open(replica, settings);
    expect(again.logEndOffset).toBe(at(1));
    await directory.remove(replica);
    expect(again.status.kind).toBe("closed");
    await directory.create(replica);
    expect((await directory.open(replica, settings)).logEndOffset).toBe(at(0));
  });

  it("opens a replica again only when the last write of its log has ended", async () => {
    const disk = await newDisk();
    const time = createManualTime();
    const operations: string[] = [];
    const plan: FaultPlan = ({ kind, path }) => {
      if (!path.endsWith("offset-checkpoint")) return undefined;
      operations.push(kind);
      return kind === "sync" ? { kind: "delay", ms: 100 } : undefined;
    };
    const slow = createFaultDisk(disk, { scheduler: time.scheduler, plan });
    const random = createSeededRandom(1);
    const directory = await openLogDirectory({ ...optionsOn(disk), disk: slow, runtime: { ...time, random } });
    await whileTimeGoes(time, directory.create(replica));
    const log = await whileTimeGoes(time, directory.open(replica, settings));
    log.append(batchAt(0));
    await time.advance(10);
    disk.flipBit(`/d/${replicaName(replica)}/00000000000000000000.log`, { byte: 70, bit: 0 });
    await expect(log.offsetForTimestamp(0n)).rejects.toMatchObject({ code: "OFFLINE" });
    operations.length = 0;
    const closing = log.close();
    for (let step = 0; step < 200 && log.status.kind !== "closed"; step++) await time.advance(1);
    const opening = directory.open(replica, settings);
    const order: string[] = [];
    const both = [closing.then(() => order.push("closed")), opening.then(() => order.push("opened"))];
    await whileTimeGoes(time, Promise.all(both));
    expect([order, operations]).toEqual([["closed", "opened"], ["sync"]]);
    expect((await opening).status.kind).toBe("offline");
  });

  it("opens a replica again that was damaged, when that was closed, and one whose opening failed", async () => {
    const disk = await newDisk();
    let isFull = false;
    const plan: FaultPlan = ({ kind }) =>
      isFull && kind === "open" ? { kind: "fail", code: "NO_HANDLES" } : undefined;
    const full = createFaultDisk(disk, { scheduler: createManualTime().scheduler, plan });
    const directory = await openLogDirectory({ ...optionsOn(disk), disk: full });
    await directory.create(replica);
    isFull = true;
    await expect(directory.open(replica, settings)).rejects.toMatchObject({ code: "NO_HANDLES" });
    isFull = false;
    await disk.remove(`/d/${replicaName(replica)}`);
    const damaged = await directory.open(replica, settings);
    await expect(directory.open(replica, settings)).rejects.toMatchObject({ code: "LOCKED" });
    await damaged.close();
    expect((await directory.open(replica, settings)).status.kind).toBe("offline");
  });

  it("closes also what is being opened when it is closed, and opens nothing more", async () => {
    const disk = await newDisk();
    const directory = await openLogDirectory(optionsOn(disk));
    await directory.create(replica);
    await directory.create(other);
    const opening = directory.open(replica, settings);
    await directory.close({ brokerEpoch: brokerEpoch(4) });
    expect((await opening).status.kind).toBe("closed");
    await expect(directory.open(other, settings)).rejects.toMatchObject({ code: "CLOSED" });
  });

  it("does not call a stop clean where the disk had no room to secure what a start found", async () => {
    const disk = await newDisk();
    const first = await openLogDirectory(optionsOn(disk));
    await first.create(replica);
    await first.close();
    disk.put(`/d/${replicaName(replica)}/00000000000000000000.log`, batchAt(0).subarray(0, 20));
    const plan: FaultPlan = ({ kind, path }) =>
      kind === "write" && path.includes(".torn") ? { kind: "fail", code: "NO_SPACE" } : undefined;
    const full = createFaultDisk(disk, { scheduler: createManualTime().scheduler, plan });
    const second = await openLogDirectory({ ...optionsOn(disk), disk: full });
    await second.open(replica, settings);
    await second.close({ brokerEpoch: brokerEpoch(4) });
    expect((await openLogDirectory(optionsOn(disk))).stoppedBy).toBeUndefined();
  });
});
