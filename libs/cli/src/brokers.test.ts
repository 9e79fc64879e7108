import { PassThrough } from "node:stream";
import { type BrokerDescription, BrokerState } from "@tidemark/client";
import { expect, test } from "vitest";
import { brokerJson, printBrokers } from "./brokers.ts";
import type { Io } from "./io.ts";

test("a broker tells how many of its replicas are offline", () => {
  const broker = {
    brokerId: 2,
    alive: true,
    state: BrokerState.RUNNING,
    endpoints: [{ listener: "client", host: "h", port: 1 }],
    rack: "r",
    leaders: 3,
    replicas: 9,
    offlineReplicas: 4,
  } as unknown as BrokerDescription;
  const stdout = new PassThrough();
  printBrokers({ stdout } as unknown as Io, [broker]);
  const [head = "", row = ""] = String(stdout.read()).split("\n");
  expect(head).toMatch(/Replicas +Offline$/);
  expect(row).toMatch(/ 9 +4$/);
  expect(brokerJson(broker)).toMatchObject({ replicas: 9, offlineReplicas: 4 });
});
