import { afterEach, expect, test, vi } from "vitest";
import { createDeferred } from "./deferred.ts";

afterEach(() => vi.unstubAllGlobals());

test("a deferred promise settles as it is told, also where Node.js has no Promise.withResolvers", async () => {
  class PromiseOfNode20<Value> extends Promise<Value> {
    static override withResolvers = undefined as never;
  }
  vi.stubGlobal("Promise", PromiseOfNode20);
  const done = createDeferred<number>();
  const failed = createDeferred();
  done.resolve(7);
  failed.reject(new Error("no"));
  expect(await done.promise).toBe(7);
  await expect(failed.promise).rejects.toThrow("no");
});
