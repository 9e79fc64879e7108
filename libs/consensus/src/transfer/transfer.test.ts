import { crc32c } from "@tidemark/compression";
import { createMemoryDisk } from "@tidemark/disk";
import { createNodeRuntime } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { utf8 } from "../bytes.ts";
import { createCandidate } from "../candidate/candidate.ts";
import type { Change } from "../consensus.ts";
import { openStoreOnDisk } from "../single/open.ts";
import { directory, identity, openOn, put, startController } from "../single/testing.ts";
import type { StoreLink } from "../store/store-link.ts";
import { importedContent } from "./import-store.ts";
import { exportStore, formatExport, importStore, parseExport } from "./index.ts";

const runtime = createNodeRuntime();
const { signal } = new AbortController();
const memory = () => createMemoryDisk().attach();
const openLink = (disk: ReturnType<typeof memory>) =>
  openStoreOnDisk({ disk, directory, crc32c, runtime, onEvent: () => {} });
const cluster = put("/cluster", '{"clusterId":"blue","formatVersion":1}');

/** A store with a cluster and so many topics, and no controller. */
async function storeOf(topics: number) {
  const disk = memory();
  const controller = await startController(disk);
  const changes: readonly Change[] = [
    cluster,
    ...Array.from({ length: topics }, (_, n) => put(`/topics/${n}`, `{"n":${n}}`)),
  ];
  for (let at = 0; at < changes.length; at += 100) {
    const outcome = await controller.consensus.append(controller.epoch, changes.slice(at, at + 100));
    expect(outcome.kind).toBe("committed");
  }
  await controller.close();
  return disk;
}

async function exportFrom(disk: ReturnType<typeof memory>, isSealing: boolean) {
  const store = await openOn(disk);
  const consensus = store.candidate();
  try {
    return await exportStore(consensus, { sealAs: isSealing ? identity(1) : undefined, signal });
  } finally {
    await consensus.close();
    await store.close();
  }
}

async function importInto(disk: ReturnType<typeof memory>, text: string, epochFloor = 0) {
  const store = await openLink(disk);
  try {
    return await importStore(store, parseExport(text), { epochFloor, random: runtime.random, signal });
  } finally {
    await store.close();
  }
}

describe("moving the metadata to another store", () => {
  it("brings everything over, in a later epoch, and the old store takes nothing more", async () => {
    const source = await storeOf(250);
    const exported = await exportFrom(source, true);
    expect(exported).toMatchObject({ clusterId: "blue", sealed: true });
    const target = memory();
    const { keys, controllerEpoch } = await importInto(target, formatExport(exported));
    expect(keys).toBe(251);
    const controller = await startController(target);
    expect(controller.epoch).toBeGreaterThan(exported.controllerEpoch);
    expect(controller.epoch).toBeGreaterThan(controllerEpoch);
    const tree = await controller.tree();
    expect(tree.get("/topics/249")).toBe('{"n":249}');
    expect(JSON.parse(tree.get("/cluster") ?? "")).toEqual({ clusterId: "blue", formatVersion: 1 });
    expect(tree.has("/import")).toBe(false);
    expect((await controller.append("/topics/new", "1")).kind).toBe("committed");
    await controller.close();
    const again = await exportFrom(source, true);
    expect(again.entries).toEqual(exported.entries);
  });

  it("without the seal is a backup: the store goes on, and a restore begins a million epochs later", async () => {
    const source = await storeOf(3);
    const exported = await exportFrom(source, false);
    expect(exported.sealed).toBe(false);
    const controller = await startController(source);
    expect((await controller.append("/topics/new", "1")).kind).toBe("committed");
    await controller.close();
    const { controllerEpoch } = await importInto(memory(), formatExport(exported));
    expect(controllerEpoch).toBe(exported.controllerEpoch + 1_000_000);
  });

  it("of a backup begins producer ids far above those that it knows of, and of an export that sealed goes on with them", async () => {
    const exported = await exportFrom(await storeOf(1), false);
    const next = (value: string, sealed: boolean) => {
      const entries = new Map([["/producers/next", utf8(value)]]);
      const { entries: imported } = importedContent({ ...exported, entries, sealed }, 0);
      return new TextDecoder().decode(imported.get("/producers/next"));
    };
    expect(next('{"nextProducerId":"3000"}', true)).toBe('{"nextProducerId":"3000"}');
    expect(next('{"nextProducerId":"3000"}', false)).toBe('{"nextProducerId":"1099511630776"}');
    expect(next("{}", false)).toBe('{"nextProducerId":"1099511627776"}');
    expect(next("malformed", false)).toBe("malformed");
  });

  it("of a backup has brokers register in far later broker epochs, and of an export that sealed in the next ones", async () => {
    const exported = await exportFrom(await storeOf(1), false);
    const known = (value: string, sealed: boolean) => {
      const entries = new Map([["/brokers/known/3", utf8(value)]]);
      const { entries: imported } = importedContent({ ...exported, entries, sealed }, 0);
      return new TextDecoder().decode(imported.get("/brokers/known/3"));
    };
    expect(known('{"brokerId":3,"brokerEpoch":7}', true)).toBe('{"brokerId":3,"brokerEpoch":7}');
    expect(known('{"brokerId":3,"brokerEpoch":7}', false)).toBe('{"brokerId":3,"brokerEpoch":1000007}');
    expect(known('{"brokerEpoch":"seven"}', false)).toBe('{"brokerEpoch":"seven"}');
    expect(known("malformed", false)).toBe("malformed");
  });

  it("takes a floor for the epoch", async () => {
    const exported = await exportFrom(await storeOf(1), true);
    expect((await importInto(memory(), formatExport(exported), 77)).controllerEpoch).toBe(77);
  });

  it("refuses a store that is not empty, and goes on with an import of the same file that broke off", async () => {
    const text = formatExport(await exportFrom(await storeOf(250), true));
    await expect(importInto(await storeOf(1), text)).rejects.toMatchObject({ code: "NOT_EMPTY" });
    const target = memory();
    const store = await openLink(target);
    await expect(
      importStore(breakingBehind(store, 2), parseExport(text), { epochFloor: 0, random: runtime.random, signal }),
    ).rejects.toThrow();
    await store.close();
    const other = formatExport(await exportFrom(await storeOf(2), true));
    await expect(importInto(target, other)).rejects.toMatchObject({ code: "NOT_EMPTY" });
    await importInto(target, text);
    const controller = await startController(target);
    expect((await controller.tree()).get("/topics/249")).toBe('{"n":249}');
    await controller.close();
  });

  it("stops where a controller is started on the store meanwhile, and goes on when that is gone", async () => {
    const text = formatExport(await exportFrom(await storeOf(250), true));
    const target = memory();
    const store = await openLink(target);
    const controller = createCandidate({ link: store, runtime, onEvent: () => {} });
    const importing = importStore(
      interrupted(store, 2, async () => {
        await controller.join(identity(1));
        for await (const { kind } of controller.leadership()) if (kind === "leading") return;
      }),
      parseExport(text),
      { epochFloor: 0, random: runtime.random, signal },
    );
    await expect(importing).rejects.toMatchObject({ code: "NOT_WRITTEN" });
    await expect(
      importStore(store, parseExport(text), { epochFloor: 0, random: runtime.random, signal }),
    ).rejects.toMatchObject({
      code: "CONTROLLERS_ALIVE",
    });
    await controller.close();
    await store.close();
    await importInto(target, text);
    const next = await startController(target);
    expect((await next.tree()).get("/topics/249")).toBe('{"n":249}');
    await next.close();
  });

  it("brings the known brokers with its first change, so that a controller founds no other cluster meanwhile", async () => {
    const taken = await exportFrom(await storeOf(250), true);
    const entries = new Map([...taken.entries, ["/brokers/ids/1", utf8("{}")], ["/brokers/known/1", utf8("{}")]]);
    const exported = parseExport(formatExport({ ...taken, entries }));
    const target = memory();
    const store = await openLink(target);
    await expect(
      importStore(breakingBehind(store, 1), exported, { epochFloor: 0, random: runtime.random, signal }),
    ).rejects.toThrow();
    await store.close();
    const controller = await startController(target);
    const kept = [...(await controller.tree()).keys()];
    expect(kept).toEqual(expect.arrayContaining(["/import", "/brokers/known/1"]));
    expect(kept).not.toContain("/cluster");
    await controller.close();
  });

  it("finds nothing to export in an empty store", async () => {
    await expect(exportFrom(memory(), true)).rejects.toMatchObject({ code: "EMPTY" });
  });

  it.each([
    ["that is cut off", (text: string) => text.slice(0, -20)],
    ["with a sign changed", (text: string) => text.replace('"n\\":1', '"n\\":2')],
    ["of a newer version", (text: string) => text.replace('"format":1', '"format":9')],
    ["that is something else", () => "hello"],
    ["that is empty", () => ""],
  ])("refuses a file %s", async (_, change) => {
    const text = formatExport(await exportFrom(await storeOf(2), true));
    expect(change(text)).not.toBe(text);
    expect(() => parseExport(change(text))).toThrow(/file/);
  });
});

/** A store that loses the connection behind so many requests. */
function breakingBehind(link: StoreLink, requests: number): StoreLink {
  return interrupted(link, requests, () => Promise.reject(new Error("the connection was lost")));
}

/** A store with which something happens behind so many requests. */
function interrupted(link: StoreLink, requests: number, happen: () => Promise<void>): StoreLink {
  return {
    async connect(from, handlers, ended) {
      const session = await link.connect(from, handlers, ended);
      let left = requests;
      return {
        ...session,
        async request(request) {
          if (left === 0) await happen();
          left -= 1;
          return session.request(request);
        },
      };
    },
  };
}

it("a value that is no text survives the way through a file", async () => {
  const taken = await exportFrom(await storeOf(1), false);
  const exported = { ...taken, entries: new Map([...taken.entries, ["/odd", Uint8Array.from([0xff, 0])]]) };
  expect(parseExport(formatExport(exported)).entries.get("/odd")).toEqual(Uint8Array.from([0xff, 0]));
  expect(parseExport(formatExport(exported)).entries.get("/topics/0")).toEqual(utf8('{"n":0}'));
});
