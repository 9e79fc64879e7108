import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { LogService } from "@tidemark/proto/log/v1";
import { describe, expect, it } from "vitest";
import { createRpcClient, TidemarkError } from "./index.ts";
import { openChannel, openClient, startServer, untilAborted } from "./testing/harness.ts";

/** The server's own limit ends these calls long before their caller would. */
const shortOnServer = { serve: { rules: { produce: { deadline: { defaultMs: 20, maxMs: 40 } } } } };

describe("a deadline at the server", () => {
  it.each([
    ["is given when the caller names none", Number.POSITIVE_INFINITY],
    ["caps the caller's", 3_600_000],
  ])("%s", async (_, timeoutMs) => {
    const { port } = await startServer({ produce: () => new Promise(() => undefined) }, shortOnServer);
    await expect(openClient(port).produce({}, { timeoutMs })).rejects.toMatchObject({
      reason: Reason.DEADLINE_EXCEEDED,
      outcome: Outcome.UNKNOWN,
      message: expect.stringContaining("left to the server") as string,
    });
  });

  it("lets the handler say what is known when its time is over", async () => {
    const { port, defects } = await startServer(
      {
        async produce(_, { signal }) {
          await untilAborted(signal).catch(() => undefined);
          throw new TidemarkError({
            reason: Reason.DEADLINE_EXCEEDED,
            message: "Appended at 7; not known to be committed.",
            baseOffset: 7n,
          });
        },
      },
      shortOnServer,
    );
    await expect(openClient(port).produce({})).rejects.toMatchObject({
      reason: Reason.DEADLINE_EXCEEDED,
      outcome: Outcome.UNKNOWN,
      fields: { baseOffset: 7n },
    });
    expect(defects).toEqual([]);
  });

  it("tells the handler how much time there is to pass on", async () => {
    const { port } = await startServer({
      produce: (_, context) => ({ results: [{ message: String((context.timeoutMs() ?? 0) <= 57_000) }] }),
    });
    const { results } = await openClient(port).produce({}, { timeoutMs: 57_000 });
    expect(results[0]?.message).toBe("true");
  });

  it("is not put on streams", async () => {
    const { port } = await startServer({
      async *subscribe(_, context) {
        yield { frame: { case: "caughtUp", value: { partition: context.timeoutMs() === undefined ? 1 : 2 } } };
      },
    });
    for await (const { frame } of openClient(port).subscribe({})) expect(frame.value).toMatchObject({ partition: 1 });
  });
});

describe("a deadline at the client", () => {
  it("ends a call that nobody answers, outcome unknown", async () => {
    const { port } = await startServer({ produce: () => new Promise(() => undefined) });
    const channel = openChannel(port);
    await channel.waitForReady(60_000);
    await expect(createRpcClient(LogService, channel).produce({}, { timeoutMs: 30 })).rejects.toMatchObject({
      reason: Reason.DEADLINE_EXCEEDED,
      outcome: Outcome.UNKNOWN,
    });
  });

  it("is on every unary call, by the channel's default", async () => {
    const { port } = await startServer({ produce: () => new Promise(() => undefined) });
    await expect(openClient(port, { defaultTimeoutMs: 30 }).produce({})).rejects.toMatchObject({
      reason: Reason.DEADLINE_EXCEEDED,
    });
  });
});
