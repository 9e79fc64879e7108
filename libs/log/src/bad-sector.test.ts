/** Case 20l: a bad sector is one replica's trouble; a device that gives nothing back is its directory's, and harms none. */
import {
  createFaultDisk,
  createMemoryDisk,
  type DiskErrorCode,
  type DiskOperation,
  type MemoryDisk,
} from "@tidemark/disk";
import { createManualTime } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { openLogDirectory } from "./directory/log-directory.ts";
import { replicaName } from "./directory/replica-list.ts";
import type { Log } from "./log.ts";
import { defaultLogSettings } from "./settings.ts";
import { optionsOn, other, replica } from "./testing/directories.ts";
import { at, batchAt, contentOf, everything } from "./testing/fixture.ts";

const own = `/d/${replicaName(replica)}`;
const settings = { ...defaultLogSettings, segmentBytes: 200, retentionMs: 1 };
const sixBatches = ["0..1", "1..2", "2..3", "3..4", "4..5", "5..6"];

type Refuses = (operation: DiskOperation) => DiskErrorCode | undefined;

/** A directory of which `refuses` says what the device does not do. */
async function openOn(memory: MemoryDisk, refuses: Refuses) {
  const failures: string[] = [];
  const { scheduler } = createManualTime();
  const disk = createFaultDisk(memory, {
    scheduler,
    plan(operation) {
      const code = refuses(operation);
      return code === undefined ? undefined : { kind: "fail", code };
    },
  });
  const onFailure = ({ code }: { readonly code: string }) => failures.push(code);
  const directory = await openLogDirectory({ ...optionsOn(memory, { onFailure }), disk });
  const offline: string[] = [];
  const open = (id: typeof replica) =>
    directory.open(id, {
      settings,
      onEvent: (event) => {
        if (event.kind === "offline") offline.push(event.damage.kind);
      },
    });
  return { directory, open, failures, offline };
}

const nothing: Refuses = () => undefined;

/** Two replicas of six batches in segments of one each, closed. Their indexes are gone: who looks for something reads. */
async function twoReplicas(): Promise<MemoryDisk> {
  const memory = createMemoryDisk();
  const { directory, open } = await openOn(memory, nothing);
  for (const each of [replica, other]) {
    await directory.create(each);
    const log = await open(each);
    for (let offset = 0; offset < 6; offset++) {
      log.append(batchAt(offset));
      await log.flushed(at(offset + 1));
    }
    log.setHighWatermark(at(6));
  }
  await directory.close();
  for (const each of [replica, other]) {
    const files = await memory.list(`/d/${replicaName(each)}`);
    for (const { name } of files) if (name.endsWith("index")) await memory.remove(`/d/${replicaName(each)}/${name}`);
  }
  return memory;
}

const touches: Readonly<Record<string, (log: Log) => Promise<unknown>>> = {
  "a read": (log) => log.read(at(0), everything),
  "a cut": (log) => log.truncateTo(at(1)),
  retention: (log) => log.applyRetention(9_000_000_000_000n),
};
const isRead = ({ kind, path }: DiskOperation) => kind === "read" && path.startsWith("/d/");

describe.each(Object.entries(touches))("where %s gets an error of the device", (_, touch) => {
  it.each(["IO", "HUNG"] as const)("and the directory's own file does too (%s), the directory failed", async (code) => {
    const memory = await twoReplicas();
    let isFailing = false;
    const { directory, open, failures, offline } = await openOn(memory, (operation) => {
      if (!isFailing || !isRead(operation)) return undefined;
      return operation.path.startsWith(own) ? "IO" : code;
    });
    const log = await open(replica);
    isFailing = true;
    await expect(touch(log)).rejects.toMatchObject({ code: "DIRECTORY_FAILED" });
    expect([failures, offline, directory.failure?.code]).toEqual([["DIRECTORY_FAILED"], [], "DIRECTORY_FAILED"]);
    expect(memory.peek(`${own}/damage`)).toBeUndefined();
    await directory.close().catch(() => undefined);
  });

  it("and the directory's own file does not, one replica is damaged", async () => {
    const memory = await twoReplicas();
    let isFailing = false;
    const { directory, open, failures, offline } = await openOn(memory, (operation) =>
      isFailing && isRead(operation) && operation.path.startsWith(own) ? "IO" : undefined,
    );
    const log = await open(replica);
    isFailing = true;
    await expect(touch(log)).rejects.toMatchObject({ code: "OFFLINE" });
    expect([failures, offline, directory.failure]).toEqual([[], ["unreadable"], undefined]);
    expect(await contentOf(await open(other))).toEqual(sixBatches);
    await directory.close();
  });
});

/** What simulated seed 900278 found: each of its replicas counted as damaged. */
describe("a device that gives nothing back while replicas are opened", () => {
  it("is the directory's failure, and when it is mended nothing was lost", async () => {
    const memory = await twoReplicas();
    let isFailing = false;
    const failing = await openOn(memory, (operation) => (isFailing && isRead(operation) ? "IO" : undefined));
    isFailing = true;
    for (const each of [replica, other])
      await expect(failing.open(each)).rejects.toMatchObject({ code: "DIRECTORY_FAILED" });
    expect(failing.failures).toEqual(["DIRECTORY_FAILED"]);
    await failing.directory.close().catch(() => undefined);
    const mended = await openOn(memory, nothing);
    for (const each of [replica, other]) expect(await contentOf(await mended.open(each))).toEqual(sixBatches);
    await mended.directory.close();
  });
});
