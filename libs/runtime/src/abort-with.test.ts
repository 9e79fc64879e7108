import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { abortWith } from "./abort-with.ts";

test("is aborted with the first signal that is, with its reason, and hangs on none of them afterwards", () => {
  const [first, second, follower] = [new AbortController(), new AbortController(), new AbortController()];
  abortWith(follower, first.signal, second.signal);
  expect(follower.signal.aborted).toBe(false);
  second.abort("enough");
  first.abort("too late");
  expect(follower.signal.reason).toBe("enough");
  expect(getEventListeners(first.signal, "abort")).toEqual([]);
});

test("is aborted at once where a signal is aborted already", () => {
  const [first, second, follower] = [new AbortController(), new AbortController(), new AbortController()];
  second.abort("before");
  abortWith(follower, first.signal, second.signal);
  expect(follower.signal.reason).toBe("before");
  expect(getEventListeners(first.signal, "abort")).toEqual([]);
});

test("is left alone once that was ended", () => {
  const [signal, follower] = [new AbortController(), new AbortController()];
  abortWith(follower, signal.signal)();
  signal.abort();
  expect(follower.signal.aborted).toBe(false);
});
