import type { EtcdChange } from "@tidemark/consensus-etcd";
import { expect, test } from "vitest";
import { createStoreWatch } from "./store-watch.ts";
import { createViolations } from "./violations.ts";

const put = (key: string, value: string): EtcdChange => ({
  kind: "put",
  key: `/sim${key}`,
  value: new TextEncoder().encode(value),
  lease: "0",
  createRevision: 1n,
  modRevision: 1n,
});
const append = (controllerEpoch: number, sequence: number) =>
  put("/append", JSON.stringify({ controllerEpoch, sequence: String(sequence), attempt: "a" }));

/** What is found wrong with these revisions, one behind the other. */
function rulesOf(...revisions: readonly (readonly EtcdChange[])[]): readonly string[] {
  const violations = createViolations({ nowMs: 0 });
  const look = createStoreWatch(violations);
  for (const changes of revisions) look(changes);
  return violations.found.map(({ rule }) => rule);
}

test("what is fenced, and the keys that candidates write themselves, are as they should be", () => {
  const claim = [put("/controller", "{}"), put("/controller_epoch", "2"), append(2, 0)];
  const gone: EtcdChange = { kind: "delete", key: "/sim/controllers/1", modRevision: 9n };
  expect(rulesOf([append(1, 1), put("/topics/a", "{}")], claim, [append(2, 1)], [gone])).toEqual([]);
});

test.for([
  ["an older controller epoch", [append(2, 0)], [append(1, 5)], "etcd took an append behind the fence"],
  ["a sequence once more", [append(2, 3)], [append(2, 3)], "etcd took an append behind the fence"],
  ["a change beside the fence", [append(2, 0)], [put("/topics/a", "{}")], "a change without the fence"],
  [
    "a controller epoch once more",
    [append(2, 0), put("/controller_epoch", "2")],
    [append(2, 1), put("/controller_epoch", "2")],
    "the controller epoch did not grow",
  ],
] as const)("%s is found", ([, first, second, rule]) => {
  expect(rulesOf(first, second)).toEqual([rule]);
});
