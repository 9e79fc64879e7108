import { brokerEpoch, brokerId } from "@tidemark/ids";
import { type BrokerSession, emptyImage, type MetadataImage } from "@tidemark/metadata";
import { createManualTime } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { createEndpointRetirement } from "./retire-endpoints.ts";

const minuteMs = 60_000;

/** An image with brokers at these ports. */
function brokersAt(...ports: readonly number[]): MetadataImage {
  return startedBrokersAt("first", ...ports);
}

function startedBrokersAt(incarnationId: string, ...ports: readonly number[]): MetadataImage {
  const sessions = ports.map((port, index): [BrokerSession["brokerId"], BrokerSession] => [
    brokerId(index),
    {
      brokerId: brokerId(index),
      brokerEpoch: brokerEpoch(1),
      incarnationId,
      directoryIds: [],
      endpoints: [{ listener: "client", host: "broker", port }],
      rack: "",
      state: "running",
    },
  ]);
  return { ...emptyImage, sessions: new Map(sessions) };
}

function world() {
  const time = createManualTime();
  const dropped: string[] = [];
  const unpaused: string[] = [];
  const pool = {
    drop: (endpoint: string) => dropped.push(endpoint),
    endPause: (endpoint: string) => unpaused.push(endpoint),
  };
  const retirement = createEndpointRetirement(pool, time.scheduler);
  return { ...time, dropped, unpaused, retirement };
}

describe("an endpoint that no broker has any more", () => {
  it("is left some minutes later", async () => {
    const { retirement, dropped, advance } = world();
    retirement.apply(brokersAt(1, 2));
    retirement.apply(brokersAt(2));
    await advance(4 * minuteMs);
    expect(dropped).toEqual([]);
    await advance(minuteMs);
    expect(dropped).toEqual(["broker:1"]);
  });

  it("is kept where a broker comes back to it in time", async () => {
    const { retirement, dropped, advance, pending } = world();
    retirement.apply(brokersAt(1));
    retirement.apply(brokersAt());
    await advance(4 * minuteMs);
    retirement.apply(brokersAt(1));
    await advance(10 * minuteMs);
    expect(dropped).toEqual([]);
    expect(pending()).toBe(0);
  });

  it("is nobody's concern once the gateway stops", async () => {
    const { retirement, pending } = world();
    retirement.apply(brokersAt(1));
    retirement.apply(brokersAt());
    retirement.stop();
    expect(pending()).toBe(0);
  });
});

describe("an endpoint where a broker registers anew", () => {
  it("is called at once, however long it refused: after its session ended, or in its place", () => {
    const { retirement, unpaused } = world();
    retirement.apply(brokersAt(1, 2));
    expect(unpaused.splice(0)).toEqual(["broker:1", "broker:2"]);
    retirement.apply(brokersAt(1, 2));
    retirement.apply(brokersAt(1));
    expect(unpaused).toEqual([]);
    retirement.apply(brokersAt(1, 2));
    expect(unpaused.splice(0)).toEqual(["broker:2"]);
    retirement.apply(startedBrokersAt("second", 1, 2));
    expect(unpaused).toEqual(["broker:1", "broker:2"]);
  });
});
