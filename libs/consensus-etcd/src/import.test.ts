/** Moving metadata into an etcd where something of before is still on its way. */
import { importStore, type MetadataExport } from "@tidemark/consensus/transfer";
import { controllerEpoch, revision } from "@tidemark/ids";
import { createSeededRandom } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { createEtcdLink } from "./link.ts";
import type { EtcdMembers } from "./stubs.ts";
import { type Course, runCourse } from "./testing/course.ts";

const { signal } = new AbortController();
const bytes = (text: string) => new TextEncoder().encode(text);
const blue = '{"clusterId":"blue","formatVersion":1}';

/** What was exported from the cluster blue: a file of three batches. */
const exported: MetadataExport & { readonly checksum: string } = {
  clusterId: "blue",
  revision: revision(9n),
  controllerEpoch: controllerEpoch(4),
  sealed: true,
  entries: new Map([
    ["/cluster", bytes(blue)],
    ...Array.from({ length: 150 }, (_, n) => [`/topics/${n}`, bytes(`{"n":${n}}`)] as const),
  ]),
  checksum: "0000",
};

/** Brings it into the etcd of the course. `behind`: called once, when so many transactions of the import are through. */
async function importInto(c: Course, behind?: { readonly transactions: number; happen(): Promise<void> }) {
  let transactions = 0;
  const between = (members: EtcdMembers): EtcdMembers => ({
    endpoints: members.endpoints,
    connect(endpoint) {
      const stubs = members.connect(endpoint);
      return {
        ...stubs,
        async txn(request) {
          const answer = await stubs.txn(request);
          transactions += 1;
          if (transactions === behind?.transactions) await behind.happen();
          return answer;
        },
      };
    },
  });
  const link = createEtcdLink({
    members: between(c.etcd.members),
    settings: { prefix: c.prefix, leaseMs: 2_000, renewalMs: 500, compaction: undefined },
    runtime: c.runtime,
    onEvent: () => {},
  });
  try {
    return await c.settled(importStore(link, exported, { epochFloor: 0, random: createSeededRandom(5), signal }));
  } finally {
    link.close();
  }
}

/** A controller that was killed on an empty store while its first batch was stuck on the way to etcd. */
async function stuckFoundation(c: Course) {
  const first = await c.join(1);
  const epoch = await c.leading(first);
  const late = c.cluster.delayNextRequest(1, "silence");
  const founding = { kind: "put", key: "/cluster", value: bytes('{"clusterId":"red","formatVersion":1}') } as const;
  first.consensus.append(epoch, [founding]).catch(() => undefined);
  await c.settled(late.sent);
  c.cluster.kill(1);
  // Until its lease is gone: an import refuses where controllers live.
  await c.advance(10_000);
  return late;
}

async function treeOf(c: Course) {
  const next = await c.join(2);
  const epoch = await c.leading(next);
  const tree = new Map([...next.tree].map(([key, value]) => [key, new TextDecoder().decode(value)]));
  return { epoch, tree };
}

describe("an import into an etcd on which a controller ran", () => {
  it("34b is not overwritten by what that controller had on its way, which comes behind the import", async () => {
    const { violations } = await runCourse({}, async (c) => {
      const late = await stuckFoundation(c);
      const { controllerEpoch: imported } = await importInto(c);
      await late.arrive();
      const { epoch, tree } = await treeOf(c);
      expect(tree.get("/cluster")).toBe(blue);
      expect(tree.has("/topics/149")).toBe(true);
      expect(epoch).toBeGreaterThan(imported);
    });
    expect(violations).toEqual([]);
  });

  it("34b is neither stopped nor changed by what comes in the midst of it", async () => {
    const { violations } = await runCourse({}, async (c) => {
      const late = await stuckFoundation(c);
      await importInto(c, { transactions: 1, happen: () => late.arrive() });
      const { tree } = await treeOf(c);
      expect(tree.get("/cluster")).toBe(blue);
      expect(tree.has("/import")).toBe(false);
    });
    expect(violations).toEqual([]);
  });

  it("begins in an epoch above the one that the controller had, whatever the export says", async () => {
    const { violations } = await runCourse({}, async (c) => {
      await c.cluster.plant("/controller_epoch", bytes("900"));
      const first = await c.join(1);
      const had = await c.leading(first);
      c.cluster.kill(1);
      await c.advance(10_000);
      await importInto(c);
      const { epoch } = await treeOf(c);
      expect(epoch).toBeGreaterThan(had);
    });
    expect(violations).toEqual([]);
  });
});
