import type { MessageInitShape } from "@bufbuild/protobuf";
import { createActiveController } from "@tidemark/controller-link";
import { brokerId, partitionIndex, topicId } from "@tidemark/ids";
import {
  type AllocateProducerIdsRequest,
  type AlterPartitionRequest,
  type AlterPartitionResultSchema,
  ClusterService,
  type HeartbeatRequest,
  type RegisterRequest,
} from "@tidemark/proto/cluster/v1";
import { createChannelPool, createRpcServer, serve, type TidemarkError } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { afterEach, expect } from "vitest";

export const runtime = createNodeRuntime();
/** What a test leaves open, closed behind it in reverse. */
export const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Until the value is as a matcher wants it. */
export const eventually = <Value>(look: () => Value) => expect.poll(look, { timeout: 20_000, interval: 5 });
export const self = brokerId(1);
export const replica = (partition: number) => ({
  topicId: topicId("00000000-0000-4000-8000-000000000001"),
  partition: partitionIndex(partition),
});

/** A controller that says what a test tells it to, and the way to it. */
export async function startController() {
  const state = {
    registrations: [] as RegisterRequest[],
    beats: [] as HeartbeatRequest[],
    alters: [] as AlterPartitionRequest[],
    mayShutDown: false,
    heartbeatError: undefined as TidemarkError | undefined,
    alter: (): MessageInitShape<typeof AlterPartitionResultSchema>[] => [],
    leads: (): boolean => true,
    uncleanDefault: false,
    blocks: [] as AllocateProducerIdsRequest[],
    blockError: undefined as TidemarkError | undefined,
  };
  const server = createRpcServer({
    runtime,
    listeners: {
      internal: {
        port: 0,
        services: [
          serve(ClusterService, {
            register(request) {
              state.registrations.push(request);
              const epoch = state.registrations.length;
              return { brokerEpoch: epoch, revision: BigInt(10 * epoch), controllerEpoch: 1 };
            },
            async *heartbeat(requests) {
              for await (const request of requests) {
                state.beats.push(request);
                if (state.heartbeatError !== undefined) throw state.heartbeatError;
                yield {
                  sequence: request.sequence,
                  mayShutDown: state.mayShutDown && request.wantsShutdown,
                  uncleanLeaderElection: state.uncleanDefault,
                };
              }
            },
            alterPartition(request) {
              state.alters.push(request);
              return { controllerEpoch: 4, results: state.alter() };
            },
            confirmLeader: () => ({ leads: state.leads() }),
            allocateProducerIds(request) {
              state.blocks.push(request);
              if (state.blockError !== undefined) throw state.blockError;
              return { controllerEpoch: 1, firstProducerId: BigInt((state.blocks.length - 1) * 3), count: 3 };
            },
          }),
        ],
      },
    },
  });
  const { internal } = await server.start();
  cleanups.push(() => server.stop(0));
  const pool = createChannelPool({ runtime });
  cleanups.push(() => pool.close());
  const endpoints = [`127.0.0.1:${internal?.port ?? 0}`];
  return { state, server, controller: createActiveController({ endpoints, pool, runtime }) };
}
