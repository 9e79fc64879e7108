import { createReceiverStore } from "@tidemark/testkit/traces";
import { beforeAll, describe, it } from "vitest";
import {
  expectAttributes,
  expectChildrenWithinTheirParents,
  expectFetchesToLinkToTheirProduces,
  expectFollowersSpansToBeTheirOwn,
  expectWhatIsDrawn,
} from "./story/expect.ts";
import { type Backend, type Told, tellStory } from "./story/tell.ts";

const backend = (process.env["TIDEMARK_TEST_BACKEND"] ?? "single") as Backend;
let told: Told;

beforeAll(async () => {
  const store = await createReceiverStore();
  try {
    told = await tellStory(store, { backend, produces: 5, fetches: 3, elections: 1 });
  } finally {
    await store.close();
  }
});

describe(`5 produces, 3 fetches and an election on the backend ${backend}`, () => {
  it("are exactly the traces that are drawn", () => expectWhatIsDrawn(told));
  it("name who did what on a follower, and in which fetch", () => expectFollowersSpansToBeTheirOwn(told));
  it("lie within what they are part of", () => expectChildrenWithinTheirParents(told));
  it("lead from each fetch to what it handed out", () => expectFetchesToLinkToTheirProduces(told));
  it("say all that is drawn of them", () => expectAttributes(told));
});
