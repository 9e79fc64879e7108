import { create, toBinary } from "@bufbuild/protobuf";
import { loadCodecs } from "@tidemark/compression";
import type { Change, Consensus, WatchEvent } from "@tidemark/consensus";
import type { Revision } from "@tidemark/ids";
import { MetadataFrame, WatchMetadataResponseSchema } from "@tidemark/proto/cluster/v1";
import { MetadataChangeSchema } from "@tidemark/proto/metadata/v1";
import { expect, test } from "vitest";
import { aimedPlan } from "../runs/aimed-plan.ts";
import { simulate } from "../runs/simulate.ts";
import { switches } from "../runs/switches.ts";
import { createRevisionWatch } from "./revision-watch.ts";
import { createViolations } from "./violations.ts";

const differs = "metadata differ at one revision";
const { SNAPSHOT_PART, SNAPSHOT_END, DELTA } = MetadataFrame;

/** A message of a controller. `keys`: undefined stands for a key that was removed. */
function frame(
  frame: MetadataFrame,
  [controllerEpoch, revision]: readonly [epoch: number, revision: bigint],
  keys: Readonly<Record<string, string | undefined>> = {},
): Uint8Array {
  const changes = Object.entries(keys).map(([key, name]) =>
    create(MetadataChangeSchema, {
      key,
      record: name === undefined ? { case: "removed", value: {} } : { case: "topic", value: { topicId: name } },
    }),
  );
  return toBinary(
    WatchMetadataResponseSchema,
    create(WatchMetadataResponseSchema, { controllerEpoch, revision, frame, changes }),
  );
}

/** What is found when each process is told these messages, one process after the other. */
function rulesOf(told: Readonly<Record<string, readonly Uint8Array[]>>): readonly string[] {
  const violations = createViolations({ nowMs: 0 });
  const watch = createRevisionWatch(violations);
  for (const [process, frames] of Object.entries(told)) {
    const tell = watch.follow(process);
    for (const each of frames) tell(each);
  }
  return violations.found.map(({ rule }) => rule);
}

const base = frame(SNAPSHOT_END, [1, 5n], { "/topics/a": "one", "/topics/b": "two" });

test("one snapshot in parts, and another with what changed since, say the same at one revision", () => {
  expect(
    rulesOf({
      "broker-1#1": [base, frame(DELTA, [1, 7n], { "/topics/a": "three", "/topics/b": undefined })],
      "gateway-1#1": [
        frame(SNAPSHOT_PART, [2, 7n], { "/topics/a": "three" }),
        frame(SNAPSHOT_END, [2, 7n], { "/topics/c": undefined }),
      ],
    }),
  ).toEqual([]);
});

test.for([
  ["another value", [frame(SNAPSHOT_END, [1, 5n], { "/topics/a": "one", "/topics/b": "three" })]],
  ["a key that is missing", [frame(SNAPSHOT_END, [1, 5n], { "/topics/a": "one" })]],
  ["a value under another key", [frame(SNAPSHOT_END, [1, 5n], { "/topics/a": "one", "/topics/c": "two" })]],
  ["a change that was left out", [frame(SNAPSHOT_END, [1, 4n], { "/topics/a": "one" }), frame(DELTA, [1, 5n])]],
  [
    "a removal that was left out",
    [
      frame(SNAPSHOT_END, [1, 4n], { "/topics/d": "old" }),
      frame(DELTA, [1, 5n], { "/topics/a": "one", "/topics/b": "two" }),
    ],
  ],
] as const)("%s is found, whoever tells it", ([, frames]) => {
  expect(rulesOf({ "broker-1#1": [base], "broker-1#2": frames })).toEqual([differs]);
});

test("what a process does not take counts for nothing: an older controller's word, and what it knows", () => {
  const newer = frame(SNAPSHOT_END, [2, 6n], { "/topics/a": "two" });
  const old = frame(SNAPSHOT_END, [1, 9n], { "/topics/z": "never" });
  const again = frame(DELTA, [2, 6n], { "/topics/z": "never" });
  expect(
    rulesOf({ "broker-1#1": [newer, old, again, frame(DELTA, [2, 9n])], "broker-2#1": [newer, frame(DELTA, [2, 9n])] }),
  ).toEqual([]);
});

test("a snapshot whose stream broke off counts for nothing in the next one", () => {
  const violations = createViolations({ nowMs: 0 });
  const watch = createRevisionWatch(violations);
  watch.follow("broker-1#1")(base);
  watch.follow("broker-2#1")(frame(SNAPSHOT_PART, [1, 5n], { "/topics/z": "half" }));
  watch.follow("broker-2#1")(base);
  expect(violations.found).toEqual([]);
});

const put = (key: string, value: string): Change => ({ kind: "put", key, value: new TextEncoder().encode(value) });

/** Reads these events of a store through the watch. */
async function read(watch: ReturnType<typeof createRevisionWatch>, process: string, events: readonly WatchEvent[]) {
  async function* tell() {
    yield* events;
  }
  const store = watch.lookAt(process, { watch: tell } as unknown as Consensus);
  const seen: WatchEvent[] = [];
  for await (const event of store.watch(new AbortController().signal)) seen.push(event);
  expect(seen).toEqual(events);
}

test("a store that shows two controllers two batches at one revision is found, and its events pass as they are", async () => {
  const violations = createViolations({ nowMs: 0 });
  const watch = createRevisionWatch(violations);
  const snapshot: WatchEvent = { kind: "snapshot", revision: 1n as Revision, entries: new Map() };
  const batch = (...changes: readonly Change[]): WatchEvent => ({ kind: "batch", revision: 2n as Revision, changes });
  await read(watch, "controller-1#1", [snapshot, batch(put("/a", "1"), put("/b", "2"))]);
  await read(watch, "controller-2#1", [snapshot, batch(put("/b", "2"), put("/a", "1"))]);
  expect(violations.found).toEqual([]);
  await read(watch, "controller-1#2", [snapshot, batch(put("/a", "1"), put("/b", "3"))]);
  expect(violations.found.map(({ rule }) => rule)).toEqual([differs]);
});

test("controllers that tell of what they have not committed are found out when the power fails", {
  timeout: 120_000,
}, async () => {
  const { broken = {}, scenario = "leaderFalls" } = switches.get("controller.publishesCommitted") ?? {};
  const { codecs } = await loadCodecs();
  const plan = (guards: typeof broken) =>
    simulate(1, (random) => aimedPlan(random, { scenario, broken: guards, durationMs: 5000 }), codecs);
  expect((await plan(broken)).violations.map(({ rule }) => rule)).toContain(differs);
  expect((await plan({})).violations).toEqual([]);
});
