import { create } from "@bufbuild/protobuf";
import type { ControllerEpoch } from "@tidemark/ids";
import { topicId } from "@tidemark/ids";
import { changeToWire, findTopic, type MetadataChange } from "@tidemark/metadata";
import { MetadataFrame } from "@tidemark/proto/cluster/v1";
import { Reason } from "@tidemark/proto/common/v1";
import { MetadataChangeSchema } from "@tidemark/proto/metadata/v1";
import { createChannelPool, TidemarkError } from "@tidemark/rpc";
import { waitFor } from "@tidemark/testkit";
import { afterEach, describe, expect, it } from "vitest";
import { createActiveController } from "./active-controller.ts";
import { createMetadataFeed, type MetadataUpdate } from "./metadata-feed.ts";
import { type FakeController, type Frame, frames, runtime, startFakeController } from "./testing/fake-controller.ts";

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function controller(): Promise<FakeController> {
  const started = await startFakeController();
  cleanups.push(() => started.stop());
  return started;
}

function follow(controllers: readonly FakeController[], controllerEpochFloor = 0) {
  const pool = createChannelPool({ runtime });
  const updates: MetadataUpdate[] = [];
  const interruptions: string[] = [];
  const feed = createMetadataFeed({
    controller: createActiveController({ endpoints: controllers.map(({ endpoint }) => endpoint), pool, runtime }),
    runtime,
    controllerEpochFloor: controllerEpochFloor as ControllerEpoch,
    onUpdate: (update) => updates.push(update),
    onInterrupted: (why) => interruptions.push(why),
  });
  const abort = new AbortController();
  const ended = feed.run(abort.signal);
  const stop = async () => {
    abort.abort();
    await ended;
  };
  cleanups.push(async () => {
    await stop();
    pool.close();
  });
  const names = () => ["a", "b", "c"].filter((name) => findTopic(feed.image, name) !== undefined).join("");
  const reached = (revision: bigint) => waitFor(`revision ${revision}`, () => feed.version?.revision === revision);
  return { feed, updates, interruptions, stop, names, reached };
}

const idOf = (name: string) => topicId(`aaaaaaaa-0000-4000-8000-00000000000${name.charCodeAt(0) - 96}`);
const put = (name: string): MetadataChange => ({
  kind: "topic",
  name,
  value: { name, topicId: idOf(name), partitions: 1, replicationFactor: 1, settings: new Map() },
});
const frame = (controllerEpoch: number, revision: bigint, kind: MetadataFrame, ...names: string[]): Frame => ({
  controllerEpoch,
  revision,
  frame: kind,
  changes: names.map((name) => changeToWire(put(name))),
});
const { SNAPSHOT_PART, SNAPSHOT_END, DELTA } = MetadataFrame;
const says =
  (...all: readonly Frame[]): FakeController["watch"] =>
  (_, { signal }) =>
    frames(all, signal);
/** Breaks off after these frames. */
const breaksAfter = (...all: readonly Frame[]): FakeController["watch"] =>
  async function* () {
    yield* all;
    throw new TidemarkError({ reason: Reason.SHUTTING_DOWN, message: "leaving" });
  };

describe("the feed of metadata", () => {
  it("takes a snapshot as a whole, then every change in its order", async () => {
    const one = await controller();
    one.watch = says(frame(1, 5n, SNAPSHOT_PART, "a"), frame(1, 5n, SNAPSHOT_END, "b"), frame(1, 6n, DELTA, "c"));
    const { updates, names, reached } = follow([one]);
    await reached(6n);
    expect(updates.map(({ revision }) => revision)).toEqual([5n, 6n]);
    expect(names()).toBe("abc");
  });

  it("goes on after the revision that it has when the stream breaks", async () => {
    const one = await controller();
    one.watch = (request, call) =>
      request.afterRevision === undefined
        ? breaksAfter(frame(3, 5n, SNAPSHOT_END, "a"))(request, call)
        : says(frame(3, 6n, DELTA, "b"))(request, call);
    const { names, reached, interruptions } = follow([one]);
    await reached(6n);
    expect(one.watched[1]).toMatchObject({ controllerEpoch: 3, afterRevision: 5n });
    expect(names()).toBe("ab");
    expect(interruptions).toEqual(["leaving"]);
  });

  it("forgets half a snapshot", async () => {
    const one = await controller();
    let attempts = 0;
    one.watch = (request, call) =>
      attempts++ === 0
        ? breaksAfter(frame(1, 5n, SNAPSHOT_PART, "a"))(request, call)
        : says(frame(1, 7n, SNAPSHOT_END, "b"))(request, call);
    const { names, reached, updates } = follow([one]);
    await reached(7n);
    expect(names()).toBe("b");
    expect(updates).toHaveLength(1);
  });

  it("tells what a later snapshot does not have any more", async () => {
    const one = await controller();
    one.watch = says(frame(1, 5n, SNAPSHOT_END, "a", "b"), frame(1, 9n, SNAPSHOT_END, "b"));
    const { names, reached, updates } = follow([one]);
    await reached(9n);
    expect(names()).toBe("b");
    expect(updates[1]?.delta.topics).toHaveLength(1);
  });

  it("never goes back to an older controller epoch, and turns to another controller", async () => {
    const [deposed, active] = [await controller(), await controller()];
    deposed.watch = says(frame(1, 50n, SNAPSHOT_END, "a"));
    active.watch = says(frame(2, 6n, SNAPSHOT_END, "b"));
    const { names, reached } = follow([deposed, active], 2);
    await reached(6n);
    expect(names()).toBe("b");
  });

  it("never goes back to an older revision of a controller epoch", async () => {
    const [fresh, behind] = [await controller(), await controller()];
    fresh.watch = breaksAfter(frame(1, 9n, SNAPSHOT_END, "a", "b"));
    behind.watch = says(frame(1, 8n, SNAPSHOT_END, "a"));
    const { names, feed, updates } = follow([fresh, behind]);
    await waitFor("the one that is behind to be asked", () => behind.watched.length > 0);
    await waitFor("the first to be asked again", () => fresh.watched.length > 1);
    expect(feed.version?.revision).toBe(9n);
    expect(names()).toBe("ab");
    expect(updates.every(({ revision }) => revision === 9n)).toBe(true);
  });

  it("passes over a change that it has already", async () => {
    const one = await controller();
    one.watch = says(frame(1, 5n, SNAPSHOT_END, "a"), frame(1, 5n, DELTA, "b"), frame(1, 6n, DELTA, "c"));
    const { names, reached } = follow([one]);
    await reached(6n);
    expect(names()).toBe("ac");
  });

  it("takes a lower revision of a newer controller epoch", async () => {
    const one = await controller();
    one.watch = says(frame(1, 9n, SNAPSHOT_END, "a"), frame(2, 7n, SNAPSHOT_END, "b"));
    const { names, reached } = follow([one]);
    await reached(7n);
    expect(names()).toBe("b");
  });

  it("finds the active controller by the hint of another", async () => {
    const [standby, active] = [await controller(), await controller()];
    standby.watch = () => {
      throw new TidemarkError({
        reason: Reason.NOT_CONTROLLER,
        message: "not me",
        controller: { id: 2, endpoint: active.endpoint, controllerEpoch: 1 },
      });
    };
    active.watch = says(frame(1, 5n, SNAPSHOT_END, "a"));
    const { reached, names } = follow([standby]);
    await reached(5n);
    expect(names()).toBe("a");
  });

  it("leaves a controller that says nothing for the one that tells of itself", async () => {
    const [silent, other] = [await controller(), await controller()];
    silent.watch = says(frame(1, 5n, SNAPSHOT_END, "a"));
    other.watch = says(frame(2, 6n, SNAPSHOT_END, "b"));
    const { reached, names } = follow([silent, other]);
    await reached(5n);
    other.tell({ controllerEpoch: 2, controllerId: 2, endpoint: other.endpoint });
    await reached(6n);
    expect(names()).toBe("b");
  });

  it("passes over keys of kinds that it does not know", async () => {
    const one = await controller();
    const foreign = create(MetadataChangeSchema, { key: "/tomorrow/1" });
    const changes = [foreign, changeToWire(put("a"))];
    one.watch = says({ controllerEpoch: 1, revision: 5n, frame: SNAPSHOT_END, changes });
    const { reached, names } = follow([one]);
    await reached(5n);
    expect(names()).toBe("a");
  });

  it("says when it last heard of a controller", async () => {
    const one = await controller();
    one.watch = says(frame(1, 5n, SNAPSHOT_END));
    const { feed, reached } = follow([one]);
    expect(feed.lastContactMs).toBeUndefined();
    await reached(5n);
    expect(feed.lastContactMs).toBeLessThanOrEqual(runtime.clock.monotonicMs());
  });

  it("ends when it is told to, also while it waits to try again", async () => {
    const one = await controller();
    one.watch = breaksAfter();
    const { stop, interruptions } = follow([one]);
    await waitFor("an interruption", () => interruptions.length > 0);
    await stop();
  });
});
