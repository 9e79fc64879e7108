import { createFaultDisk, createMemoryDisk, type DiskErrorCode, type MemoryDisk } from "@tidemark/disk";
import { controllerEpoch } from "@tidemark/ids";
import { createManualTime } from "@tidemark/runtime";
import { expect, it } from "vitest";
import { optionsOn } from "../testing/directories.ts";
import { openLogDirectory } from "./log-directory.ts";

const file = "/d/controller-epoch";
const epochs = [3, 1, 7, 5].map(controllerEpoch);

const openOn = (disk: MemoryDisk) => openLogDirectory(optionsOn(disk));

it("keeps the highest controller epoch that was noted, through a power cut", async () => {
  const disk = createMemoryDisk();
  const directory = await openOn(disk);
  expect(directory.controllerEpoch).toBe(0);
  await Promise.all(epochs.map((epoch) => directory.noteControllerEpoch(epoch)));
  expect(directory.controllerEpoch).toBe(7);
  disk.powerCut();
  const next = await openOn(disk);
  expect(next.controllerEpoch).toBe(7);
  await next.noteControllerEpoch(controllerEpoch(6));
  await next.close();
  expect((await openOn(disk)).controllerEpoch).toBe(7);
});

it.each([
  ["empty", ""],
  ["without its checksum", "controller.epoch=9\n"],
  ["with a flipped digit", undefined],
])("takes a file that is %s for none", async (_, text) => {
  const disk = createMemoryDisk();
  const directory = await openOn(disk);
  await directory.noteControllerEpoch(controllerEpoch(4));
  await directory.close();
  const written = new TextDecoder().decode(disk.peek(file));
  disk.put(file, new TextEncoder().encode(text ?? written.replace("=4", "=5")));
  expect((await openOn(disk)).controllerEpoch).toBe(0);
});

it.each<[string, DiskErrorCode, "open" | "read"]>([
  ["may not be read", "DENIED", "open"],
  ["is on a bad sector", "IO", "read"],
])("keeps the directory out of service where the file %s, and names it", async (_, code, kind) => {
  const disk = createMemoryDisk();
  const directory = await openOn(disk);
  await directory.noteControllerEpoch(controllerEpoch(4));
  await directory.close();
  let isBroken = true;
  const { scheduler } = createManualTime();
  const faulty = createFaultDisk(disk, {
    scheduler,
    plan: (operation) =>
      isBroken && operation.kind === kind && operation.path === file ? { kind: "fail", code } : undefined,
  });
  const open = () => openLogDirectory({ ...optionsOn(disk), disk: faulty });
  await expect(open()).rejects.toMatchObject({
    code: "UNAVAILABLE",
    message: expect.stringContaining(`controller-epoch cannot be read (${code}: ${kind} ${file})`) as string,
  });
  isBroken = false;
  expect((await open()).controllerEpoch).toBe(4);
});

it("keeps the directory out of service where a folder has the file's name", async () => {
  const disk = createMemoryDisk();
  await (await openOn(disk)).close();
  await disk.makeDirectory(`${file}/inner`);
  await expect(openOn(disk)).rejects.toMatchObject({ code: "UNAVAILABLE" });
});
