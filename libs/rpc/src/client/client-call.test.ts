import { Metadata, status } from "@grpc/grpc-js";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { LogService } from "@tidemark/proto/log/v1";
import { createManualTime } from "@tidemark/runtime";
import { expect, it } from "vitest";
import { runtime } from "../testing/harness.ts";
import { createByteBudget } from "../wire/byte-budget.ts";
import { callUnary } from "./iterable-calls.ts";
import { bindMethod } from "./method-binding.ts";
import type { RpcChannel } from "./rpc-channel.ts";

/** A channel whose only call answers, or not, when the test says so. */
const createFakeChannel = (requestSent: boolean) => {
  const time = createManualTime();
  const cancelled: string[] = [];
  let answer: () => void = () => undefined;
  const channel: RpcChannel = {
    endpoint: "broker:1",
    trafficClass: "produce",
    runtime: { ...time, random: runtime.random },
    observer: undefined,
    budget: createByteBudget({ name: "connection", limit: 1_000_000 }),
    messageLimitBytes: 1_000_000,
    defaultTimeoutMs: 1000,
    state: () => "ready",
    watchState: () => () => undefined,
    waitForReady: () => Promise.resolve(),
    close: () => undefined,
    startCall: () => ({
      requestSent,
      start(_, listener) {
        answer = () => {
          listener.onMessage(new Uint8Array());
          listener.onStatus({ code: status.OK, details: "", metadata: new Metadata() });
        };
      },
      sendMessage: (_, onFlushed) => onFlushed(),
      halfClose: () => undefined,
      startRead: () => undefined,
      cancel: (text) => cancelled.push(text),
    }),
  };
  return { channel, time, cancelled, answer: () => answer() };
};

const produce = bindMethod(LogService.method.produce);

it("takes an answer that had arrived when the deadline passed: a stalled process runs timers before its input", async () => {
  const { channel, time, answer } = createFakeChannel(true);
  const call = callUnary(channel, produce, {});
  // Due at the same moment, and read after the timers.
  time.scheduler.after(1000, answer);
  await time.advance(1000);
  await expect(call).resolves.toMatchObject({ results: [] });
  expect(time.pending()).toBe(0);
});

it.each([
  [true, Outcome.UNKNOWN],
  [false, Outcome.NOT_APPLIED],
])("ends at the deadline; request sent: %s", async (requestSent, outcome) => {
  const { channel, time, cancelled } = createFakeChannel(requestSent);
  const call = expect(callUnary(channel, produce, {})).rejects.toMatchObject({
    reason: Reason.DEADLINE_EXCEEDED,
    outcome,
    message: "Produce at broker:1 did not end within 1000 ms.",
  });
  await time.advance(1000);
  await call;
  expect(cancelled).toHaveLength(1);
  expect(time.pending()).toBe(0);
});

it("leaves no timer and no listener behind", async () => {
  const { channel, time, answer } = createFakeChannel(true);
  const abort = new AbortController();
  const call = callUnary(channel, produce, {}, { signal: abort.signal });
  answer();
  await call;
  abort.abort();
  expect(time.pending()).toBe(0);
});

it("refuses what is no message of the method with a typed error, and leaves nothing open", async () => {
  const { channel, time, cancelled } = createFakeChannel(false);
  await expect(callUnary(channel, produce, { partition: 1e12 })).rejects.toMatchObject({
    reason: Reason.INVALID_ARGUMENT,
    outcome: Outcome.NOT_APPLIED,
    message: expect.stringContaining("1000000000000") as string,
  });
  expect(cancelled).toHaveLength(1);
  expect(time.pending()).toBe(0);
});
