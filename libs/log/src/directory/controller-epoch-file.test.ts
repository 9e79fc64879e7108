import { createMemoryDisk, type MemoryDisk } from "@tidemark/disk";
import { controllerEpoch } from "@tidemark/ids";
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
