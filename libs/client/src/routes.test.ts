import { Reason } from "@tidemark/proto/common/v1";
import { describe, expect, test } from "vitest";
import { createRoutes } from "./routes.ts";
import { answerLost, refused } from "./testing/fake-cluster.ts";

const everywhere = { isReachable: () => true, avoid: () => undefined };
const place = { topic: "t", partition: 0 };
const t = { topic: "t", topicId: "one" };
const hint = (leader: string, leaderEpoch: number) => refused(Reason.NOT_LEADER, { leader, leaderEpoch });

describe("a route", () => {
  test("is the bootstrap endpoint until an answer names the leader's", () => {
    const routes = createRoutes("gateway:1", everywhere);
    expect(routes.endpointOf("t", 0)).toBe("gateway:1");
    routes.heed(place, "gateway:1", hint("broker:2", 3));
    expect([routes.endpointOf("t", 0), routes.endpointOf("t", 1)]).toEqual(["broker:2", "gateway:1"]);
  });

  test("never goes back to a leader of an older leader epoch, also after it was left", () => {
    const routes = createRoutes("gateway:1", everywhere);
    routes.heed(place, "gateway:1", hint("broker:2", 3));
    routes.heed(place, "broker:2", hint("broker:1", 2));
    expect(routes.endpointOf("t", 0)).toBe("broker:2");
    routes.heed(place, "broker:2", answerLost());
    routes.heed(place, "gateway:1", hint("broker:1", 2));
    expect(routes.endpointOf("t", 0)).toBe("gateway:1");
  });

  test("tells its newest leader, and none once that one's endpoint was left", () => {
    const routes = createRoutes("gateway:1", everywhere);
    expect(routes.leaderOf("t", 0)).toBeUndefined();
    routes.heed(place, "gateway:1", hint("broker:2", 3));
    expect(routes.leaderOf("t", 0)).toEqual({ endpoint: "broker:2", leaderEpoch: 3 });
    routes.heed(place, "broker:2", answerLost());
    expect(routes.leaderOf("t", 0)).toBeUndefined();
  });

  test("stays when another endpoint's call fails", () => {
    const routes = createRoutes("gateway:1", everywhere);
    routes.heed(place, "gateway:1", hint("broker:2", 3));
    routes.heed(place, "gateway:1", answerLost());
    routes.heed(place, "broker:2", refused(Reason.RESOURCE_EXHAUSTED));
    expect(routes.endpointOf("t", 0)).toBe("broker:2");
  });

  test("goes to a described leader only once a connection there stands", () => {
    const reached = new Set<string>();
    const routes = createRoutes("gateway:1", {
      isReachable: (endpoint) => reached.has(endpoint),
      avoid: (endpoint) => reached.delete(endpoint),
    });
    routes.learn(t, new Map([[0, { endpoint: "broker:2", leaderEpoch: 3 }]]));
    expect(routes.endpointOf("t", 0)).toBe("gateway:1");
    reached.add("broker:2");
    expect(routes.endpointOf("t", 0)).toBe("broker:2");
    routes.heed(place, "broker:2", answerLost());
    expect(routes.endpointOf("t", 0)).toBe("gateway:1");
  });

  test("does not go back to the leader before the one that a hint named", () => {
    const routes = createRoutes("gateway:1", everywhere);
    routes.heed(place, "gateway:1", hint("broker:2", 3));
    routes.learn(t, new Map([[0, { endpoint: "broker:1", leaderEpoch: 2 }]]));
    expect(routes.endpointOf("t", 0)).toBe("broker:2");
    routes.learn(t, new Map([[0, { endpoint: "broker:3", leaderEpoch: 4 }]]));
    expect(routes.endpointOf("t", 0)).toBe("broker:3");
  });

  test("of a topic that was deleted does not bar the leaders of another one that was made under its name", () => {
    const routes = createRoutes("broker:9", everywhere);
    const other = { topic: "u", topicId: "two" };
    for (const topic of [t, other]) {
      routes.learn(topic, new Map([0, 1].map((partition) => [partition, { endpoint: "broker:1", leaderEpoch: 7 }])));
    }
    routes.learn({ topic: "t", topicId: "three" }, new Map([[0, { endpoint: "broker:2", leaderEpoch: 0 }]]));
    expect([routes.endpointOf("t", 0), routes.endpointOf("t", 1)]).toEqual(["broker:2", "broker:9"]);
    expect([routes.endpointOf("u", 0), routes.endpointOf("u", 1)]).toEqual(["broker:1", "broker:1"]);
  });
});
