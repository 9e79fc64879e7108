import { LogService } from "@tidemark/proto/log/v1";
import { createDeferred } from "@tidemark/runtime";
import { createTcpProxy } from "@tidemark/testkit/tcp-proxy";
import { describe, expect, it } from "vitest";
import { openRawStream, type RawStream, RECEIVE_WINDOW_BYTES } from "./index.ts";
import { cleanUp, eventually, openChannel, startServer } from "./testing/harness.ts";

const MiB = 1024 * 1024;
const batches = new Uint8Array(64 * 1024);
const { produceStream, subscribe } = LogService.method;

/** Writes for ever, as fast as `write` allows. */
const flood = <Message>(stream: RawStream<Message>, message: Message) => {
  const pump = () => {
    while (stream.write(message));
  };
  return { pump, listener: { onMessage: () => undefined, onDrain: pump } };
};

describe("a link on which nothing comes back", () => {
  it("carries a stream's whole window to a server before any of it was acknowledged", async () => {
    const begun = createDeferred();
    const { port } = await startServer(
      {},
      { serve: { raw: { produceStream: () => ({ onMessage: () => begun.resolve() }) } } },
    );
    const proxy = await createTcpProxy({ target: { port } });
    cleanUp(proxy.close);
    const stream = openRawStream(openChannel(proxy.port), produceStream, (made) => flood(made, { batches }).listener);
    // One message through, so that both sides know each other's settings.
    stream.write({});
    await begun.promise;
    proxy.forward("toClient", "hold");
    const before = proxy.received.toServer;
    flood(stream, { batches }).pump();
    await eventually(() => proxy.received.toServer - before).toBeGreaterThan(RECEIVE_WINDOW_BYTES.stream - MiB / 2);
    expect(proxy.received.toServer - before).toBeLessThan(RECEIVE_WINDOW_BYTES.stream + MiB / 2);
  });

  it("carries a stream's whole window to a client before any of it was acknowledged", async () => {
    const held = createDeferred();
    const { port } = await startServer(
      {},
      {
        serve: {
          raw: {
            subscribe(stream) {
              const { pump, listener } = flood(stream, { frame: { case: "data" as const, value: { batches } } });
              held.promise.then(pump).catch(() => undefined);
              return { ...listener, onMessage: () => stream.write({}) };
            },
          },
        },
      },
    );
    const proxy = await createTcpProxy({ target: { port } });
    cleanUp(proxy.close);
    const begun = createDeferred();
    const stream = openRawStream(openChannel(proxy.port), subscribe, () => ({ onMessage: () => begun.resolve() }));
    stream.write({});
    await begun.promise;
    proxy.forward("toServer", "hold");
    const before = proxy.received.toClient;
    held.resolve();
    await eventually(() => proxy.received.toClient - before).toBeGreaterThan(RECEIVE_WINDOW_BYTES.stream - MiB / 2);
  });

  it("lets several streams fill the connection's window, which is larger than one stream's", async () => {
    const begun = createDeferred();
    const { port } = await startServer(
      {},
      { serve: { raw: { produceStream: () => ({ onMessage: () => begun.resolve() }) } } },
    );
    const proxy = await createTcpProxy({ target: { port } });
    cleanUp(proxy.close);
    const channel = openChannel(proxy.port);
    const streams = Array.from({ length: 4 }, () =>
      openRawStream(channel, produceStream, (made) => flood(made, { batches }).listener),
    );
    streams[0]!.write({});
    await begun.promise;
    proxy.forward("toClient", "hold");
    const before = proxy.received.toServer;
    for (const stream of streams) flood(stream, { batches }).pump();
    const { stream: ofStream, connection } = RECEIVE_WINDOW_BYTES;
    await eventually(() => proxy.received.toServer - before).toBeGreaterThan(connection - MiB / 2);
    expect(connection).toBeGreaterThan(ofStream);
    expect(proxy.received.toServer - before).toBeLessThan(connection + MiB / 2);
  });
});
