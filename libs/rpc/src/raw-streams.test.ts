import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { LogService } from "@tidemark/proto/log/v1";
import { createDeferred } from "@tidemark/runtime";
import { createTcpProxy } from "@tidemark/testkit/tcp-proxy";
import { describe, expect, it } from "vitest";
import {
  createProcessBudget,
  openRawStream,
  QUEUE_HIGH_WATER_BYTES,
  QUEUE_LIMIT_BYTES,
  type RawStream,
  TidemarkError,
} from "./index.ts";
import { cleanUp, eventually, openChannel, runtime, startServer } from "./testing/harness.ts";

const { produceStream, subscribe } = LogService.method;
const batches = new Uint8Array(64 * 1024).fill(7);
const settled = (count: number) => ({ results: [{ sequence: BigInt(count) }] });

/** Windows small enough that a peer that does not read is felt at once. */
const smallWindows = { receiveWindowBytes: { stream: 65_535, connection: 65_535 } };

const proxied = async (port: number) => {
  const proxy = await createTcpProxy({ target: { port } });
  cleanUp(proxy.close);
  return proxy;
};

describe("a raw stream", () => {
  it("carries messages both ways in order, and ends well when both sides have ended", async () => {
    const closedAtServer = createDeferred<TidemarkError | undefined>();
    const { port } = await startServer(
      {},
      {
        serve: {
          raw: {
            produceStream: (stream) => ({
              onMessage: ({ sequence }) => stream.write({ results: [{ sequence }] }),
              onEnd: () => stream.end(),
              onClose: closedAtServer.resolve,
            }),
          },
        },
      },
    );
    const answers: bigint[] = [];
    const closed = createDeferred<TidemarkError | undefined>();
    const stream = openRawStream(openChannel(port), produceStream, () => ({
      onMessage: ({ results }) => answers.push(...results.map(({ sequence }) => sequence)),
      onClose: closed.resolve,
    }));
    for (let sequence = 0n; sequence < 500n; sequence++) stream.write({ sequence, topic: "t" });
    stream.end();
    expect(await closed.promise).toBeUndefined();
    expect(await closedAtServer.promise).toBeUndefined();
    expect(answers).toEqual(Array.from({ length: 500 }, (_, index) => BigInt(index)));
    expect([stream.write({}), stream.bytesQueued()]).toEqual([false, 0]);
  });

  it("that its caller cancels is told so, and not before that the caller has nothing more to say", async () => {
    const told: string[] = [];
    const begun = createDeferred();
    const closed = createDeferred();
    const { port } = await startServer(
      {},
      {
        serve: {
          raw: {
            produceStream: () => ({
              onMessage: () => begun.resolve(),
              onEnd: () => told.push("end"),
              onClose(error) {
                told.push(`closed ${error?.reason}`);
                closed.resolve();
              },
            }),
          },
        },
      },
    );
    const stream = openRawStream(openChannel(port), produceStream, () => ({ onMessage: () => undefined }));
    stream.write({ topic: "t" });
    await begun.promise;
    stream.end(new TidemarkError({ reason: Reason.CANCELLED, message: "enough" }));
    await closed.promise;
    expect(told).toEqual([`closed ${Reason.CANCELLED}`]);
  });

  it("holds the writer back at the high water, and lets it go on when the reader takes", async () => {
    const reading = createDeferred<RawStream<unknown>>();
    let received = 0;
    const done = createDeferred();
    const { port } = await startServer(
      {},
      {
        listener: smallWindows,
        serve: {
          raw: {
            produceStream(stream) {
              stream.pause();
              reading.resolve(stream);
              return { onMessage: () => (received += 1), onEnd: () => (stream.end(), done.resolve()) };
            },
          },
        },
      },
    );
    let left = 200;
    let drains = 0;
    let highest = 0;
    const pump = (stream: RawStream<{ batches: Uint8Array }>) => {
      while (left > 0) {
        left -= 1;
        const more = stream.write({ batches });
        highest = Math.max(highest, stream.bytesQueued());
        if (!more) return;
      }
      stream.end();
    };
    const stream = openRawStream(openChannel(port), produceStream, (made) => ({
      onMessage: () => undefined,
      onDrain() {
        drains += 1;
        pump(made);
      },
    }));
    pump(stream);
    expect(left).toBeGreaterThan(150);
    (await reading.promise).resume();
    await done.promise;
    expect(received).toBe(200);
    expect(drains).toBeGreaterThan(1);
    expect(highest).toBeLessThan(QUEUE_HIGH_WATER_BYTES + 2 * batches.length);
  });

  it("ends with RESOURCE_EXHAUSTED at a client that does not wait, and gives back what it held", async () => {
    const { port } = await startServer({}, { listener: smallWindows, serve: { raw: { produceStream: neverReads } } });
    const processBudget = createProcessBudget();
    const closed = createDeferred<TidemarkError | undefined>();
    const stream = openRawStream(openChannel(port, { processBudget }), produceStream, () => ({
      onMessage: () => undefined,
      onClose: closed.resolve,
    }));
    let highest = 0;
    for (let count = 0; count < 2000; count++) {
      stream.write({ batches });
      highest = Math.max(highest, stream.bytesQueued());
    }
    expect(await closed.promise).toMatchObject({ reason: Reason.RESOURCE_EXHAUSTED, retriable: true });
    expect(highest).toBeLessThanOrEqual(QUEUE_LIMIT_BYTES.stream);
    expect([stream.bytesQueued(), processBudget.used]).toEqual([0, 0]);
  });

  it("ends with RESOURCE_EXHAUSTED at a server that does not wait for its reader", async () => {
    const processBudget = createProcessBudget();
    const closed = createDeferred<TidemarkError | undefined>();
    let highest = 0;
    const { port } = await startServer(
      {},
      {
        server: { processBudget },
        serve: {
          raw: {
            subscribe: (stream) => ({
              onMessage() {
                for (let count = 0; count < 2000; count++) {
                  stream.write({ frame: { case: "data", value: { batches } } });
                  highest = Math.max(highest, stream.bytesQueued());
                }
              },
              onClose: closed.resolve,
            }),
          },
        },
      },
    );
    const channel = openChannel(port, { receiveWindowBytes: 65_535 });
    const stream = openRawStream(channel, subscribe, () => ({ onMessage: () => undefined }));
    stream.pause();
    stream.write({});
    expect(await closed.promise).toMatchObject({ reason: Reason.RESOURCE_EXHAUSTED, outcome: Outcome.UNKNOWN });
    expect(highest).toBeLessThanOrEqual(QUEUE_LIMIT_BYTES.stream);
    // What was written waits for its reader still.
    expect(processBudget.used).toBeGreaterThan(QUEUE_LIMIT_BYTES.stream / 2);
    expect(processBudget.used).toBeLessThanOrEqual(QUEUE_LIMIT_BYTES.stream);
    channel.close();
    await eventually(() => processBudget.used).toBe(0);
  });

  it.each([
    ["stream", { stream: 2 * QUEUE_HIGH_WATER_BYTES, connection: 64 * QUEUE_HIGH_WATER_BYTES }],
    ["connection", { stream: 64 * QUEUE_HIGH_WATER_BYTES, connection: 2 * QUEUE_HIGH_WATER_BYTES }],
  ])("ends so at a server that allows a %s less", async (name, queueLimitBytes) => {
    const closed = createDeferred<TidemarkError | undefined>();
    const { port } = await startServer(
      {},
      {
        listener: { queueLimitBytes },
        serve: {
          raw: {
            subscribe: (stream) => ({
              onMessage() {
                for (let count = 0; count < 200; count++) stream.write({ frame: { case: "data", value: { batches } } });
              },
              onClose: closed.resolve,
            }),
          },
        },
      },
    );
    const stream = openRawStream(openChannel(port, { receiveWindowBytes: 65_535 }), subscribe, () => ({
      onMessage: () => undefined,
    }));
    stream.pause();
    stream.write({});
    expect((await closed.promise)?.message).toContain(
      `More than ${2 * QUEUE_HIGH_WATER_BYTES} bytes wait to be sent on this ${name}.`,
    );
  });

  it("shares the process's budget with every other stream", async () => {
    const { port } = await startServer({}, { listener: smallWindows, serve: { raw: { produceStream: neverReads } } });
    const processBudget = createProcessBudget(3 * QUEUE_HIGH_WATER_BYTES);
    const reasons: (Reason | undefined)[] = [];
    const streams = Array.from({ length: 4 }, () =>
      openRawStream(openChannel(port, { processBudget }), produceStream, () => ({
        onMessage: () => undefined,
        onClose: (error) => reasons.push(error?.reason),
      })),
    );
    for (const stream of streams) while (stream.write({ batches }));
    expect(reasons).toContain(Reason.RESOURCE_EXHAUSTED);
    expect(processBudget.used).toBeLessThanOrEqual(processBudget.limit);
  });

  it("is not read while paused, but for a message that was on its way", async () => {
    const { port } = await startServer(
      {},
      {
        serve: {
          raw: {
            subscribe: (stream) => ({
              onMessage() {
                for (let count = 0; count < 50; count++) stream.write({});
                stream.end();
              },
            }),
          },
        },
      },
    );
    const got: number[] = [];
    const closed = createDeferred<TidemarkError | undefined>();
    const resumed = createDeferred();
    const stream = openRawStream(openChannel(port), subscribe, (made) => ({
      onMessage() {
        got.push(got.length);
        if (got.length !== 10) return;
        made.pause();
        runtime.scheduler.after(30, () => {
          expect(got).toHaveLength(10);
          resumed.resolve();
          made.resume();
        });
      },
      onClose: closed.resolve,
    }));
    stream.write({});
    stream.end();
    await resumed.promise;
    expect(await closed.promise).toBeUndefined();
    expect(got).toHaveLength(50);
  });

  it("ends when its listener throws, and says so on that side", async () => {
    const atServer = createDeferred<TidemarkError | undefined>();
    const { port, defects } = await startServer(
      {},
      {
        serve: {
          raw: {
            produceStream: (stream) => ({
              onMessage({ sequence }) {
                if (sequence === 1n) throw new Error("handler broke");
                stream.write(settled(1));
              },
              onClose: atServer.resolve,
            }),
          },
        },
      },
    );
    const channel = openChannel(port);
    const broken = createDeferred<TidemarkError | undefined>();
    openRawStream(channel, produceStream, () => ({ onMessage: () => undefined, onClose: broken.resolve })).write({
      sequence: 1n,
    });
    expect(await broken.promise).toMatchObject({ reason: Reason.INTERNAL });
    expect(await atServer.promise).toMatchObject({ reason: Reason.INTERNAL });
    expect(defects).toEqual([new Error("handler broke")]);

    const failed = createDeferred<TidemarkError | undefined>();
    openRawStream(channel, produceStream, () => ({
      onMessage() {
        throw new Error("reader broke");
      },
      onClose: failed.resolve,
    })).write({ sequence: 2n });
    expect(await failed.promise).toMatchObject({ reason: Reason.INTERNAL, cause: new Error("reader broke") });
  });

  it("frees what it had queued when its peer freezes and the connection is given up", async () => {
    const { port } = await startServer({}, { serve: { raw: { produceStream: neverReads } } });
    const proxy = await proxied(port);
    const processBudget = createProcessBudget();
    const keepalive = { timeMs: 20, timeoutMs: 500 };
    const channel = openChannel(proxy.port, { processBudget, keepalive });
    const closed = createDeferred<TidemarkError | undefined>();
    const stream = openRawStream(channel, produceStream, () => ({
      onMessage: () => undefined,
      onClose: closed.resolve,
    }));
    await channel.waitForReady(60_000);
    proxy.forward("toClient", "drop");
    proxy.forward("toServer", "drop");
    while (stream.write({ batches }));
    expect(processBudget.used).toBeGreaterThan(0);
    expect(await closed.promise).toMatchObject({ reason: Reason.UNAVAILABLE });
    expect(processBudget.used).toBe(0);
  });
});

function neverReads(stream: RawStream<unknown>) {
  stream.pause();
  return { onMessage: () => undefined };
}
