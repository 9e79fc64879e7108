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

it("tells when the last log directory has failed, and not before", async () => {
  const { clock, scheduler } = createManualTime();
  const memory = createMemoryDisk();
  const failing = new Set<string>();
  const ends: string[] = [];
  const [first, second] = await openDirectories({
    paths: ["/data/a", "/data/b"],
    owner: { clusterId: "00000000-0000-4000-8000-0000000000c1", nodeId: 1 },
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
