import { createActiveController } from "@tidemark/controller-link";
import { brokerId } from "@tidemark/ids";
import { changeToWire } from "@tidemark/metadata";
import { ClusterService, MetadataFrame } from "@tidemark/proto/cluster/v1";
import { createChannelPool, createRpcServer, serve } from "@tidemark/rpc";
import { createDeferred, createNodeRuntime } from "@tidemark/runtime";
import { createLogger } from "@tidemark/telemetry";
import { afterEach, expect, test } from "vitest";
import { createOwnMetadata } from "./own-metadata.ts";

const runtime = createNodeRuntime();
const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const clusterId = "00000000-0000-4000-8000-00000000000c";
const cluster = { clusterId, formatVersion: 1, featureLevel: 1, sealed: false };

/** A controller that became active a moment ago: what it tells first has no cluster yet, until `commit` resolves. */
async function startNewController(commit: Promise<void>) {
  const server = createRpcServer({
    runtime,
    listeners: {
      internal: {
        port: 0,
        services: [
          serve(ClusterService, {
            async *watchMetadata() {
              yield { controllerEpoch: 1, revision: 1n, frame: MetadataFrame.SNAPSHOT_END, changes: [] };
              await commit;
              const changes = [changeToWire({ kind: "cluster", value: cluster })];
              yield { controllerEpoch: 1, revision: 2n, frame: MetadataFrame.DELTA, changes };
            },
          }),
        ],
      },
    },
  });
  const { internal } = await server.start();
  cleanups.push(() => server.stop(0));
  return `127.0.0.1:${internal?.port ?? 0}`;
}

async function follow(endpoint: string, configured?: string) {
  const pool = createChannelPool({ runtime });
  cleanups.push(() => pool.close());
  const first = createDeferred();
  const metadata = createOwnMetadata({
    brokerId: brokerId(1),
    clusterId: configured,
    controller: createActiveController({ endpoints: [endpoint], pool, runtime }),
    runtime,
    logger: createLogger({
      clock: runtime.clock,
      level: "error",
      service: "test",
      instanceId: "test",
      write: () => undefined,
    }),
    apply() {
      first.resolve();
      return undefined;
    },
    onFatal: (error) => first.reject(error),
  });
  const stopping = new AbortController();
  const running = metadata.run(stopping.signal);
  cleanups.push(async () => {
    stopping.abort();
    await running;
  });
  await first.promise;
  return metadata;
}

test("a broker that starts beside its first controller waits until that has made the cluster", async () => {
  const commit = createDeferred();
  const metadata = await follow(await startNewController(commit.promise));
  expect(metadata.image.cluster).toBeUndefined();
  const found = metadata.clusterId();
  commit.resolve();
  expect(await found).toBe(clusterId);
});

test("a broker of another cluster is refused as soon as the controller's is known", async () => {
  const metadata = await follow(await startNewController(Promise.resolve()), "00000000-0000-4000-8000-00000000000d");
  await expect(metadata.clusterId()).rejects.toThrow(`is of cluster ${clusterId}`);
});
