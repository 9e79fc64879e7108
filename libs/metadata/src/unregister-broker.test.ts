import { brokerId } from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import { describe, expect, it, test } from "vitest";
import { applyChanges } from "./apply.ts";
import { putDeletedTopic, removal } from "./change.ts";
import { follow, idOf, ids, imageOf, partitionOf, sessionOf } from "./testing/world.ts";
import { unregisterBroker } from "./unregister-broker.ts";

const without = (broker: number) => removal({ kind: "brokerSession", brokerId: brokerId(broker) });

describe("unregistering a broker (D7)", () => {
  const image = applyChanges(
    imageOf([sessionOf(1), sessionOf(2), sessionOf(4), sessionOf(5)], [partitionOf({ replicas: [1, 2] })]),
    [
      without(2),
      without(4),
      putDeletedTopic({ topicId: idOf(1), name: "old", awaited: ids([4]) }),
      putDeletedTopic({ topicId: idOf(2), name: "older", awaited: ids([1, 4]) }),
    ],
  ).image;

  test.each([
    ["that lives, though it holds nothing", 5, Reason.INVALID_ARGUMENT, "living session"],
    ["that holds replicas", 2, Reason.INVALID_ARGUMENT, "holds 1 replica"],
    ["that nobody knows", 7, Reason.BROKER_NOT_REGISTERED, "no broker 7"],
  ])("%s is refused", (_, broker, reason, says) => {
    const message = expect.stringContaining(says) as string;
    expect(unregisterBroker(image, brokerId(broker))).toMatchObject({ kind: "refused", refusal: { reason, message } });
  });

  it("that holds nothing forgets it, and no deletion waits for it any more", () => {
    const after = follow(image, unregisterBroker(image, brokerId(4))).image;
    expect([...after.knownBrokers.keys()]).toEqual([1, 2, 5]);
    expect(after.deletedTopics.size).toBe(1);
    expect([...after.deletedTopics.buckets.flatMap((bucket) => [...bucket.values()])][0]?.awaited).toEqual([1]);
  });
});
