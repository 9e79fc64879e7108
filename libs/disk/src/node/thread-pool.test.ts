import process from "node:process";
import { afterEach, describe, expect, it } from "vitest";
import { threadPoolSize } from "./node-disk.ts";
import { reserveThreads } from "./thread-pool.ts";

const before = process.env["UV_THREADPOOL_SIZE"];
afterEach(() => {
  if (before === undefined) delete process.env["UV_THREADPOOL_SIZE"];
  else process.env["UV_THREADPOOL_SIZE"] = before;
});

describe("the threads of a process", () => {
  it("are as many as its disks need", () => {
    delete process.env["UV_THREADPOOL_SIZE"];
    expect(reserveThreads(3)).toEqual({ threads: threadPoolSize(3), needed: threadPoolSize(3) });
    expect(process.env["UV_THREADPOOL_SIZE"]).toBe(String(threadPoolSize(3)));
  });

  it("are as many as was said from outside, though that may be too few", () => {
    process.env["UV_THREADPOOL_SIZE"] = "4";
    expect(reserveThreads(3)).toEqual({ threads: 4, needed: threadPoolSize(3) });
    expect(process.env["UV_THREADPOOL_SIZE"]).toBe("4");
  });
});
