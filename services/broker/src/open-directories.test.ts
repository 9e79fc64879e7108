import { createFaultDisk, createMemoryDisk } from "@tidemark/disk";
import { partitionIndex, topicId } from "@tidemark/ids";
import { createManualTime, createSeededRandom } from "@tidemark/runtime";
import { createLogger } from "@tidemark/telemetry";
import { expect, it } from "vitest";
import { openDirectories } from "./open-directories.ts";

const replica = (partition: number) => ({
  topicId: topicId("00000000-0000-4000-8000-000000000001"),
  partition: partitionIndex(partition),
});

const owner = { clusterId: "00000000-0000-4000-8000-0000000000c1", nodeId: 1 };

it("tells of a list of replicas of which lines cannot be read, or that is gone, once", async () => {
  const { clock, scheduler } = createManualTime();
  const memory = createMemoryDisk();
  const told: string[] = [];
  const write = (line: string) => void told.push(line);
  const open = async () => {
    const [directory] = await openDirectories({
      paths: ["/data"],
      owner,
      diskFor: () => memory,
      codecs: {},
      runtime: { clock, scheduler, random: createSeededRandom(1) },
      logger: createLogger({ clock, level: "error", service: "test", instanceId: "test", write }),
      onFlush: () => undefined,
      onNoneLeft: () => undefined,
    });
    return directory;
  };
  const first = await open();
  await first?.create(replica(0));
  await first?.create(replica(1));
  await first?.close();
  memory.flipBit("/data/replicas", { byte: 3, bit: 0 });
  for (let start = 0; start < 2; start++) await (await open())?.close();
  expect(told).toEqual([expect.stringContaining("/data/replicas has lines that cannot be read")]);
  await memory.remove("/data/replicas");
  for (let start = 0; start < 2; start++) await (await open())?.close();
  expect(told.slice(1)).toEqual([expect.stringContaining("/data/replicas is gone")]);
});

it("tells when the last log directory has failed, and not before", async () => {
  const { clock, scheduler } = createManualTime();
  const memory = createMemoryDisk();
  const failing = new Set<string>();
  const ends: string[] = [];
  const [first, second] = await openDirectories({
    paths: ["/data/a", "/data/b"],
    owner,
    diskFor: () =>
      createFaultDisk(memory, {
        scheduler,
        plan: ({ kind, path }) =>
          kind === "create" && [...failing].some((each) => path.startsWith(each))
            ? { kind: "fail", code: "IO" }
            : undefined,
      }),
    codecs: {},
    runtime: { clock, scheduler, random: createSeededRandom(1) },
    logger: createLogger({ clock, level: "error", service: "test", instanceId: "test", write: () => undefined }),
    onFlush: () => undefined,
    onNoneLeft: ({ message }) => ends.push(message),
  });
  failing.add("/data/a");
  await expect(first?.create(replica(0))).rejects.toMatchObject({ code: "DIRECTORY_FAILED" });
  expect(ends).toEqual([]);
  failing.add("/data/b");
  await expect(second?.create(replica(1))).rejects.toMatchObject({ code: "DIRECTORY_FAILED" });
  expect(ends).toEqual([expect.stringContaining("No log directory is left: /data/b failed")]);
});
