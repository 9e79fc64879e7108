import type { BrokerDescription } from "@tidemark/client";
import { expect, test } from "vitest";
import { warningsOf } from "./cluster-warnings.ts";

const broker = (brokerId: number, alive: boolean, offlineReplicas: number) =>
  ({ brokerId, alive, offlineReplicas }) as BrokerDescription;

test("a broker that lives and has replicas offline is warned of; one that is gone has them all offline", () => {
  const brokers = [broker(1, true, 0), broker(2, true, 1), broker(3, true, 4), broker(4, false, 5)];
  expect(warningsOf({ underReplicatedPartitions: 0, underMinIsrPartitions: 0, brokers })).toEqual([
    expect.stringMatching(/^1 replica of broker 2 is offline though it lives/),
    expect.stringMatching(/^4 replicas of broker 3 are offline though it lives/),
  ]);
});
