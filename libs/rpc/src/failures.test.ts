import { createServer } from "node:net";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { LogService } from "@tidemark/proto/log/v1";
import { createDeferred } from "@tidemark/runtime";
import { createTcpProxy } from "@tidemark/testkit/tcp-proxy";
import { describe, expect, it } from "vitest";
import { createRpcServer, openRawStream, serve, type TidemarkError } from "./index.ts";
import { cleanUp, eventually, openChannel, openClient, runtime, startServer, untilAborted } from "./testing/harness.ts";

/** Short for a test, and long enough for a machine that is busy. */
const keepalive = { timeMs: 20, timeoutMs: 500 };

const proxyTo = async (port: number) => {
  const proxy = await createTcpProxy({ target: { port } });
  cleanUp(proxy.close);
  return proxy;
};

/** A port where nobody listens. */
const freePort = () =>
  new Promise<number>((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });

const endless = {
  async *subscribe(_: unknown, { signal }: { readonly signal: AbortSignal }) {
    yield { frame: { case: "caughtUp", value: { partition: 1 } } as const };
    await untilAborted(signal);
  },
};

describe("49: a peer that is silent on a connection that stands", () => {
  it("49: ends streams at the client by keepalive, with an unknown outcome", async () => {
    const { port } = await startServer(endless);
    const proxy = await proxyTo(port);
    const log = openClient(proxy.port, { keepalive });
    const read = async () => {
      for await (const { frame } of log.subscribe({})) {
        expect(frame.case).toBe("caughtUp");
        proxy.forward("toServer", "drop");
        proxy.forward("toClient", "drop");
      }
    };
    await expect(read()).rejects.toMatchObject({
      reason: Reason.UNAVAILABLE,
      outcome: Outcome.UNKNOWN,
      retriable: true,
    });
  });

  it("49: ends streams at the server by keepalive, and tells the handler", async () => {
    const told = createDeferred<unknown>();
    const { port, server } = await startServer(
      {
        async *subscribe(_, { signal }) {
          yield { frame: { case: "caughtUp", value: { partition: 1 } } };
          await untilAborted(signal).catch(told.resolve);
        },
      },
      { listener: { keepalive } },
    );
    const proxy = await proxyTo(port);
    const iterator = openClient(proxy.port).subscribe({})[Symbol.asyncIterator]();
    await iterator.next();
    proxy.forward("toServer", "drop");
    await expect(told.promise).resolves.toMatchObject({ reason: Reason.CANCELLED });
    await eventually(() => [server.activeCalls, server.connections]).toEqual([0, 0]);
  });

  it("49: ends unary calls by their deadline, with an unknown outcome once the request may have left", async () => {
    const { port } = await startServer({ produce: () => ({}) });
    const proxy = await proxyTo(port);
    const log = openClient(proxy.port);
    await log.produce({});
    proxy.forward("toClient", "hold");
    await expect(log.produce({}, { timeoutMs: 30 })).rejects.toMatchObject({
      reason: Reason.DEADLINE_EXCEEDED,
      outcome: Outcome.UNKNOWN,
    });
  });

  it("49: a server that takes connections and never speaks leaves the request unsent, and says so", async () => {
    const proxy = await proxyTo(await freePort());
    proxy.forward("toClient", "drop");
    const { port } = await startServer({ produce: () => ({}) });
    proxy.setTarget({ port });
    await expect(openClient(proxy.port).produce({}, { timeoutMs: 50 })).rejects.toMatchObject({
      reason: Reason.DEADLINE_EXCEEDED,
      outcome: Outcome.NOT_APPLIED,
    });
  });
});

describe("50: a server that was not there", () => {
  it("50: refuses the connection: the call is certainly not applied", async () => {
    const channel = openClient(await freePort());
    await expect(channel.produce({})).rejects.toMatchObject({
      reason: Reason.UNAVAILABLE,
      outcome: Outcome.NOT_APPLIED,
      retriable: true,
    });
  });

  it("50: is reached once it starts, by a channel that waited for it", async () => {
    const port = await freePort();
    const channel = openChannel(port);
    const ready = channel.waitForReady(60_000);
    const failed = createDeferred();
    cleanUp(channel.watchState((state) => state === "failing" && failed.resolve()));
    await failed.promise;
    await startServer({ produce: () => ({ results: [{ partition: 5 }] }) }, { listener: { port } });
    await ready;
    expect(channel.state()).toBe("ready");
  });

  it("50: is reached once it starts, by a call that waits for it", async () => {
    const port = await freePort();
    const call = openClient(port).produce({}, { waitForReady: true, timeoutMs: 60_000 });
    await startServer({ produce: () => ({ results: [{ partition: 5 }] }) }, { listener: { port } });
    expect((await call).results[0]?.partition).toBe(5);
  });

  it("50: is reached again after it was restarted, and at another address", async () => {
    const first = await startServer({ produce: () => ({ results: [{ partition: 1 }] }) });
    const proxy = await proxyTo(first.port);
    const log = openClient(proxy.port);
    expect((await log.produce({})).results[0]?.partition).toBe(1);
    const second = await startServer({ produce: () => ({ results: [{ partition: 2 }] }) });
    proxy.setTarget({ port: second.port });
    await first.server.stop(0);
    const answer = await log.produce({}, { waitForReady: true, timeoutMs: 60_000 });
    expect(answer.results[0]?.partition).toBe(2);
  });

  it("50: waiting for it ends at the limit, at the signal, and when the channel is closed", async () => {
    const channel = openChannel(await freePort());
    await expect(channel.waitForReady(20)).rejects.toMatchObject({
      reason: Reason.UNAVAILABLE,
      outcome: Outcome.NOT_APPLIED,
    });
    const abort = new AbortController();
    const waiting = channel.waitForReady(60_000, abort.signal);
    abort.abort();
    await expect(waiting).rejects.toMatchObject({ reason: Reason.CANCELLED, outcome: Outcome.NOT_APPLIED });
    const interrupted = channel.waitForReady(60_000);
    channel.close();
    await expect(interrupted).rejects.toMatchObject({ reason: Reason.UNAVAILABLE, outcome: Outcome.NOT_APPLIED });
    expect(channel.state()).toBe("closed");
  });
});

describe("54: calls that are open when one side goes", () => {
  it("54: a vanished client ends its calls at the server, raw streams too", async () => {
    const closed = createDeferred<TidemarkError | undefined>();
    const begun = createDeferred();
    const aborted = createDeferred<unknown>();
    const { port, server, defects } = await startServer(
      {
        async fetch(_, { signal }) {
          begun.resolve();
          return untilAborted(signal).catch((reason: unknown) => {
            aborted.resolve(reason);
            throw reason;
          });
        },
      },
      {
        serve: {
          raw: {
            produceStream: (stream) => ({ onMessage: () => stream.write({}), onClose: closed.resolve }),
          },
        },
      },
    );
    const proxy = await proxyTo(port);
    const channel = openChannel(proxy.port);
    const answered = createDeferred();
    const lost = createDeferred<TidemarkError | undefined>();
    const stream = openRawStream(channel, LogService.method.produceStream, () => ({
      onMessage: () => answered.resolve(),
      onClose: lost.resolve,
    }));
    stream.write({ sequence: 1n });
    const call = expect(openClient(proxy.port).fetch({})).rejects.toMatchObject({
      reason: Reason.UNAVAILABLE,
      outcome: Outcome.UNKNOWN,
    });
    await Promise.all([answered.promise, begun.promise]);
    proxy.reset();
    expect(await closed.promise).toMatchObject({ reason: Reason.CANCELLED });
    expect(await aborted.promise).toMatchObject({ reason: Reason.CANCELLED });
    expect(await lost.promise).toMatchObject({ reason: Reason.UNAVAILABLE, outcome: Outcome.UNKNOWN });
    await call;
    await eventually(() => server.activeCalls).toBe(0);
    expect(defects).toEqual([]);
  });

  it("54: a stopping server ends its streams with SHUTTING_DOWN, and lets other calls finish", async () => {
    const begun = createDeferred();
    const release = createDeferred();
    const { port, server } = await startServer({
      ...endless,
      async produce() {
        begun.resolve();
        await release.promise;
        return { results: [{ partition: 3 }] };
      },
    });
    const log = openClient(port);
    const iterator = log.subscribe({})[Symbol.asyncIterator]();
    await iterator.next();
    const produce = log.produce({});
    await begun.promise;
    const stopped = server.stop(60_000);
    await expect(iterator.next()).rejects.toMatchObject({
      reason: Reason.SHUTTING_DOWN,
      outcome: Outcome.NOT_APPLIED,
      retriable: true,
    });
    release.resolve();
    expect((await produce).results[0]?.partition).toBe(3);
    await stopped;
    expect([server.activeCalls, server.connections]).toEqual([0, 0]);
  });

  it("54: a stopping server tells long polls at once, and raw streams that asked to be told", async () => {
    const begun = [createDeferred(), createDeferred()];
    const { port, server } = await startServer(
      {
        async fetch(_, { signal }) {
          begun[0]!.resolve();
          await untilAborted(signal).catch(() => undefined);
          return { partitions: [{ partition: 9 }] };
        },
      },
      {
        serve: {
          rules: { fetch: { longPoll: true } },
          raw: {
            produceStream: (stream) => ({
              onMessage: () => begun[1]!.resolve(),
              onStop() {
                stream.write({ results: [{ sequence: 1n }] });
                stream.end();
              },
            }),
          },
        },
      },
    );
    const channel = openChannel(port);
    const answers: bigint[] = [];
    const closed = createDeferred<TidemarkError | undefined>();
    const stream = openRawStream(channel, LogService.method.produceStream, () => ({
      onMessage: ({ results }) => answers.push(...results.map(({ sequence }) => sequence)),
      onClose: closed.resolve,
    }));
    stream.write({ sequence: 1n });
    const poll = openClient(port).fetch({});
    await Promise.all(begun.map(({ promise }) => promise));
    await server.stop(60_000);
    expect((await poll).partitions[0]?.partition).toBe(9);
    expect(await closed.promise).toBeUndefined();
    expect(answers).toEqual([1n]);
  });

  it("54: a server that stops does not wait for ever: what does not end is ended, outcome unknown", async () => {
    const begun = createDeferred();
    const { port, server } = await startServer({
      produce() {
        begun.resolve();
        return new Promise(() => undefined);
      },
    });
    const call = expect(openClient(port).produce({})).rejects.toMatchObject({
      reason: Reason.SHUTTING_DOWN,
      outcome: Outcome.UNKNOWN,
    });
    await begun.promise;
    await server.stop(10);
    await call;
  });

  it("54: streams whose handlers do not end are ended, and their clients are told before the connection goes", async () => {
    const { port, server } = await startServer(
      {},
      {
        serve: { raw: { produceStream: (stream) => ({ onMessage: () => stream.write({}), onStop: () => undefined }) } },
      },
    );
    const channel = openChannel(port);
    const closed: Promise<TidemarkError | undefined>[] = [];
    const begun: Promise<void>[] = [];
    for (let count = 0; count < 50; count++) {
      const [first, end] = [createDeferred(), createDeferred<TidemarkError | undefined>()];
      begun.push(first.promise);
      closed.push(end.promise);
      const listener = { onMessage: () => first.resolve(), onClose: end.resolve };
      openRawStream(channel, LogService.method.produceStream, () => listener).write({});
    }
    await Promise.all(begun);
    await server.stop(10);
    for (const error of await Promise.all(closed)) {
      expect(error).toMatchObject({ reason: Reason.SHUTTING_DOWN, outcome: Outcome.UNKNOWN });
    }
  });

  it("54: a stopped server refuses connections, and stopping twice is stopping once", async () => {
    const { port, server } = await startServer({ produce: () => ({}) });
    await Promise.all([server.stop(0), server.stop(0)]);
    await expect(openClient(port).produce({})).rejects.toMatchObject({ outcome: Outcome.NOT_APPLIED });
  });

  it("54: a closed channel ends its calls at both sides", async () => {
    const { port, server } = await startServer(endless);
    const channel = openChannel(port);
    const closed = createDeferred<TidemarkError | undefined>();
    const begun = createDeferred();
    openRawStream(channel, LogService.method.subscribe, () => ({
      onMessage: () => begun.resolve(),
      onClose: closed.resolve,
    })).write({});
    const stream = openRawStream(channel, LogService.method.subscribe, () => ({
      onMessage: () => begun.resolve(),
      onClose: closed.resolve,
    }));
    stream.write({});
    stream.end();
    await begun.promise;
    channel.close();
    expect(await closed.promise).toMatchObject({ reason: Reason.CANCELLED });
    await eventually(() => server.activeCalls).toBe(0);
  });

  it("54: a server that cannot bind frees what it had bound", async () => {
    const taken = await startServer({});
    const port = await freePort();
    const services = [serve(LogService, {})];
    const server = createRpcServer({
      runtime,
      listeners: { client: { port, services }, internal: { port: taken.port, services } },
    });
    await expect(server.start()).rejects.toMatchObject({
      reason: Reason.INVALID_CONFIG,
      message: expect.stringMatching(
        /"internal" cannot bind 127\.0\.0\.1:\d+: another process listens there/,
      ) as string,
    });
    await startServer({}, { listener: { port } });
  });
});
