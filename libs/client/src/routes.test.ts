import { Reason } from "@tidemark/proto/common/v1";
import { describe, expect, test } from "vitest";
import { createRoutes } from "./routes.ts";
import { answerLost, refused } from "./testing/fake-cluster.ts";

const place = { topic: "t", partition: 0 };
const hint = (leader: string, leaderEpoch: number) => refused(Reason.NOT_LEADER, { leader, leaderEpoch });

describe("a route", () => {
  test("is the bootstrap endpoint until an answer names the leader's", () => {
    const routes = createRoutes("gateway:1");
    expect(routes.endpointOf("t", 0)).toBe("gateway:1");
    routes.heed(place, "gateway:1", hint("broker:2", 3));
    expect([routes.endpointOf("t", 0), routes.endpointOf("t", 1)]).toEqual(["broker:2", "gateway:1"]);
  });

  test("never goes back to a leader of an older leader epoch, also after it was left", () => {
    const routes = createRoutes("gateway:1");
    routes.heed(place, "gateway:1", hint("broker:2", 3));
    routes.heed(place, "broker:2", hint("broker:1", 2));
    expect(routes.endpointOf("t", 0)).toBe("broker:2");
    routes.heed(place, "broker:2", answerLost());
    routes.heed(place, "gateway:1", hint("broker:1", 2));
    expect(routes.endpointOf("t", 0)).toBe("gateway:1");
  });

  test("stays when another endpoint's call fails", () => {
    const routes = createRoutes("gateway:1");
    routes.heed(place, "gateway:1", hint("broker:2", 3));
    routes.heed(place, "gateway:1", answerLost());
    routes.heed(place, "broker:2", refused(Reason.RESOURCE_EXHAUSTED));
    expect(routes.endpointOf("t", 0)).toBe("broker:2");
  });
});
