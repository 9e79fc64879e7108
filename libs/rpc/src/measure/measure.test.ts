import { createTcpProxy } from "@tidemark/testkit/tcp-proxy";
import { expect, it } from "vitest";
import { cleanUp, runtime } from "../testing/harness.ts";
import { measureEncoding, measureStream } from "./index.ts";

it("measures a stream that arrives as a whole, also through something in between", async () => {
  const through = async (port: number) => {
    const proxy = await createTcpProxy({ target: { port }, delayMs: 1 });
    cleanUp(proxy.close);
    return proxy.port;
  };
  const { bytes, durationMs } = await measureStream({ runtime, batchBytes: 10_000, messages: 300, through });
  expect(bytes).toBe(3_000_000);
  expect(durationMs).toBeGreaterThan(0);
});

it("measures both codecs", () => {
  const figures = measureEncoding({ clock: runtime.clock, batchBytes: 10_000, rounds: 10 });
  expect(figures.leanMs).toBeGreaterThan(0);
  expect(figures.protobufMs).toBeGreaterThan(0);
});
