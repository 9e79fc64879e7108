import { expect, test } from "vitest";
import { isStoreKey } from "./store-key.ts";

test.each([
  ["/controller", true],
  ["/controllers", true],
  ["/controllers/1", true],
  ["/controllers/anything/else", true],
  ["/controller_epoch", true],
  ["/append", true],
  ["/cluster", false],
  ["/controllersx", false],
  ["/append/x", false],
  ["/brokers/ids/1", false],
])("%s belongs to the store: %s", (text, belongs) => {
  expect(isStoreKey(text)).toBe(belongs);
});
