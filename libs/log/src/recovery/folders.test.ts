/** Directories, and files that may not be read, where the files of a log should be. */
import { tmpdir } from "node:os";
import { createMemoryDisk, createNodeDisk, type Disk } from "@tidemark/disk";
import { createNodeRuntime, randomUuid } from "@tidemark/runtime";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type LogDirectory, openLogDirectory } from "../directory/log-directory.ts";
import { replicaName } from "../directory/replica-list.ts";
import { defaultLogSettings } from "../settings.ts";
import { optionsOn, other, replica } from "../testing/directories.ts";
import {
  at,
  batchAt,
  checkpointFile,
  contentOf,
  createTestLog,
  epochFile,
  logDirectory,
  logFile,
} from "../testing/fixture.ts";
import { createTestProducers } from "../testing/producers.ts";

const damageFile = `${logDirectory}/damage`;
const numbered = (offset: number, ending: string) => String(offset).padStart(20, "0") + ending;
const needed = [
  numbered(0, ".log"),
  numbered(2, ".log"),
  numbered(9, ".log"),
  `${numbered(0, "")}.${numbered(4, ".swap")}`,
  numbered(4, ".log.aside"),
  "offset-checkpoint",
  "leader-epoch-checkpoint",
  "damage",
];
const doneWithout = [
  numbered(0, ".index"),
  numbered(0, ".timeindex"),
  numbered(2, ".index"),
  numbered(6, ".index"),
  numbered(2, ".snapshot"),
  "cleaner-offset-checkpoint",
  "notes of somebody",
];
const how = { settings: { ...defaultLogSettings, segmentBytes: 200 }, onEvent: () => undefined };

describe.each([
  ["the real disk", () => createNodeDisk({ runtime: createNodeRuntime() })],
  ["the twin in memory", () => createMemoryDisk()],
])("a directory on %s that has the name", (_, make) => {
  let disk: Disk;
  let path: string;

  beforeEach(async () => {
    disk = make();
    path = `${tmpdir()}/tidemark-log-${randomUuid(createNodeRuntime().random)}`;
    await disk.makeDirectory(path);
  });
  afterEach(() => disk.remove(path));

  const openDirectory = () => openLogDirectory({ ...optionsOn(createMemoryDisk(), { path }), disk });

  /** Two replicas of six batches, closed; in the first, a folder that is not empty has taken the place of `name`. */
  async function withFolder(name: string): Promise<LogDirectory> {
    const first = await openDirectory();
    for (const each of [replica, other]) {
      await first.create(each);
      const log = await first.open(each, { ...how, producers: createTestProducers() });
      for (let offset = 0; offset < 6; offset++) {
        log.append(batchAt(offset));
        await log.flushed(at(offset + 1));
      }
    }
    await first.close();
    const place = `${path}/${replicaName(replica)}/${name}`;
    await disk.remove(place);
    await disk.makeDirectory(`${place}/inner`);
    return openDirectory();
  }

  async function expectSoundOther(directory: LogDirectory) {
    const log = await directory.open(other, how);
    expect([log.status.kind, log.logEndOffset, directory.failure]).toEqual(["online", at(6), undefined]);
  }

  it.each(needed)("%s takes the replica offline, and nothing else", async (name) => {
    const directory = await withFolder(name);
    const { status } = await directory.open(replica, how);
    expect(status).toMatchObject({
      kind: "offline",
      damage: { kind: "unreadable", detail: expect.stringContaining("directory") as string },
    });
    await expectSoundOther(directory);
    // What is kept there is nobody's to remove before the replica is given up.
    expect((await disk.list(`${path}/${replicaName(replica)}/${name}`)).map((entry) => entry.name)).toEqual(["inner"]);
    await directory.remove(replica);
    await directory.create(replica);
    expect((await directory.open(replica, how)).status.kind).toBe("online");
    await directory.close();
  });

  it.each(doneWithout)("%s is done without", async (name) => {
    const directory = await withFolder(name);
    const log = await directory.open(replica, { ...how, producers: createTestProducers() });
    expect(log.status.kind).toBe("online");
    expect(await log.offsetForTimestamp(0n)).toMatchObject({ offset: at(0) });
    for (let offset = 6; offset < 12; offset++) {
      log.append(batchAt(offset));
      await log.flushed(at(offset + 1));
    }
    expect(await contentOf(log)).toHaveLength(12);
    await log.truncateTo(at(1));
    expect([log.logEndOffset, directory.failure]).toEqual([at(1), undefined]);
    await expectSoundOther(directory);
    await directory.close();
  });

  it("of the next segment, while the log is open, takes the replica offline, and nothing else", async () => {
    const first = await openDirectory();
    for (const each of [replica, other]) await first.create(each);
    const told: string[] = [];
    const log = await first.open(replica, { ...how, onEvent: ({ kind }) => told.push(kind) });
    await disk.makeDirectory(`${path}/${replicaName(replica)}/${numbered(2, ".log")}/inner`);
    for (let offset = 0; offset < 3; offset++) log.append(batchAt(offset));
    await expect(log.flushed(at(3))).rejects.toMatchObject({ code: "OFFLINE" });
    expect(log.status).toMatchObject({ kind: "offline", damage: { kind: "unreadable", offset: at(2) } });
    expect([told.filter((kind) => kind === "offline"), first.failure]).toEqual([["offline"], undefined]);
    expect((await first.open(other, how)).status.kind).toBe("online");
    await first.close();
  });
});

describe("a file that may not be read or written", () => {
  it.each(["index", "timeindex", "snapshot"])("is done without where it is a .%s", async (ending) => {
    const test = await createTestLog({ settings: { segmentBytes: 200 }, producers: createTestProducers() });
    for (let offset = 0; offset < 6; offset++) await test.flush(batchAt(offset));
    await test.log.close();
    const isDenied = (path: string) => path.endsWith(`.${ending}`);
    test.faulty.plan(({ kind, path }) =>
      isDenied(path) && (kind === "open" || kind === "write") ? { kind: "fail", code: "DENIED" } : undefined,
    );
    await test.reopen();
    for (let offset = 6; offset < 12; offset++) await test.flush(batchAt(offset));
    expect(await contentOf(test.log)).toHaveLength(12);
    await test.log.close();
    expect(test.context.failure()).toBeUndefined();
  });

  it.each([logFile, checkpointFile])(
    "lets the log not be opened where it is %s, and takes nothing for damaged",
    async (path) => {
      const test = await createTestLog();
      await test.flush(batchAt(0));
      await test.log.close();
      test.faulty.plan((operation) =>
        operation.kind === "open" && operation.path === path ? { kind: "fail", code: "DENIED" } : undefined,
      );
      await expect(test.reopen()).rejects.toMatchObject({ code: "DENIED" });
      test.faulty.plan(() => undefined);
      await test.reopen();
      expect(await contentOf(test.log)).toEqual(["0..1"]);
    },
  );

  it.each([
    ["DENIED", "open"],
    ["IO", "open"],
    ["IO", "read"],
  ] as const)("is made anew from the batches where it has the leader epochs (%s, %s)", async (code, operation) => {
    const test = await createTestLog();
    await test.flush(batchAt(0), batchAt(1, { leaderEpoch: 3 }), batchAt(2, { leaderEpoch: 3 }));
    const { epochs } = test.log;
    await test.log.close();
    test.faulty.plan(({ kind, path }) =>
      kind === operation && path === epochFile ? { kind: "fail", code } : undefined,
    );
    await test.reopen();
    expect([test.log.status.kind, test.starts.at(-1)?.hadEpochs, test.log.epochs]).toEqual(["online", false, epochs]);
    test.faulty.plan(() => undefined);
    await test.flush(batchAt(3, { leaderEpoch: 4 }));
    test.disk.powerCut();
    await test.reopen();
    expect([test.starts.at(-1)?.hadEpochs, test.log.latestLeaderEpoch]).toEqual([true, 4]);
  });

  it.each(["DENIED", "IO"] as const)(
    "keeps the replica offline where it is the note of its damage (%s), and the others open",
    async (code) => {
      const test = await createTestLog();
      await test.flush(batchAt(0));
      await test.log.close();
      test.disk.put(damageFile, new TextEncoder().encode("{}"));
      test.faulty.plan(({ kind, path }) =>
        kind === "open" && path === damageFile ? { kind: "fail", code } : undefined,
      );
      expect((await test.reopen()).status).toMatchObject({ kind: "offline", damage: { kind: "unreadable" } });
      expect(test.context.failure()).toBeUndefined();
    },
  );
});
