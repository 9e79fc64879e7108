import { topicId } from "@tidemark/ids";
import { emptyImage } from "@tidemark/metadata";
import { Reason } from "@tidemark/proto/common/v1";
import { toErrorDetail } from "@tidemark/rpc";
import { createManualTime } from "@tidemark/runtime";
import { expect, it } from "vitest";
import { askOnce, type LeaderGroup, type PartitionAnswer } from "./ask-leaders.ts";
import { replacedGraceMs } from "./replaced-leaders.ts";
import { createRouteTable, type Route } from "./route-table.ts";

it("a leader that does not answer is left once another one leads one of its partitions, and the answers of others stand", async () => {
  const time = createManualTime();
  const watchers = new Set<() => void>();
  const routes: Route[] = [1, 1, 2].map((broker) => ({ broker, endpoint: `${broker}:1`, leaderEpoch: 1 }));
  const id = topicId("aaaaaaaa-0000-4000-8000-000000000001");
  const table = {
    ...createRouteTable(emptyImage),
    route: ({ partition }: { readonly partition: number }) => routes[partition],
    onChange(watcher: () => void) {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
  };
  const over: AbortSignal[] = [];
  const ask = (
    { endpoint, partitions }: LeaderGroup,
    _: number,
    signal: AbortSignal,
  ): Promise<readonly PartitionAnswer[]> => {
    over.push(signal);
    return endpoint === "1:1"
      ? new Promise(() => undefined)
      : Promise.resolve(partitions.map(({ partition }) => ({ partition, message: "" })));
  };
  let reasons: readonly unknown[] | undefined;
  askOnce<PartitionAnswer>({
    table,
    runtime: { scheduler: time.scheduler },
    partitions: routes.map((_, partition) => ({ topic: "orders", topicId: id, partition })),
    signal: new AbortController().signal,
    ask,
    failed: (partition, error) => ({ partition, error: toErrorDetail(error), message: error.message }),
  }).then(
    (answers) => {
      reasons = [0, 1, 2].map((partition) => answers.get(partition)?.error?.reason);
    },
    () => undefined,
  );
  await time.advance(10 * replacedGraceMs);
  routes[1] = { broker: 2, endpoint: "2:1", leaderEpoch: 2 };
  for (const watcher of [...watchers]) watcher();
  await time.advance(replacedGraceMs - 1);
  expect(reasons).toBeUndefined();
  expect(over.map(({ aborted }) => aborted)).toEqual([false, false]);
  await time.advance(1);
  // It is not left waiting there: what it was asked for is cancelled.
  expect(over.map(({ aborted }) => aborted)).toEqual([true, false]);
  expect(reasons).toEqual([Reason.NOT_LEADER, Reason.NOT_LEADER, undefined]);
  expect([watchers.size, time.pending()]).toEqual([0, 0]);
});
