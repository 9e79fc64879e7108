/** Controllers that say what a test tells them to. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  ClusterService,
  type WatchMetadataRequest,
  type WatchMetadataResponseSchema,
} from "@tidemark/proto/cluster/v1";
import { type CallContext, createRpcServer, type ServiceImpl, serve } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";

export const runtime = createNodeRuntime();

export type Frame = MessageInitShape<typeof WatchMetadataResponseSchema>;

export interface FakeController {
  readonly endpoint: string;
  /** What each watcher asked for, in the order in which they came. */
  readonly watched: WatchMetadataRequest[];
  /** To be replaced by tests. */
  watch: (request: WatchMetadataRequest, call: CallContext) => AsyncIterable<Frame>;
  register: ServiceImpl<typeof ClusterService>["register"];
  stop(): Promise<void>;
}

export async function startFakeController(): Promise<FakeController> {
  const controller: Omit<FakeController, "endpoint" | "stop"> = {
    watched: [],
    watch: (_, { signal }) => silence(signal),
    register: () => ({}),
  };
  const server = createRpcServer({
    runtime,
    listeners: {
      internal: {
        port: 0,
        services: [
          serve(ClusterService, {
            watchMetadata(request, call) {
              controller.watched.push(request);
              return controller.watch(request, call);
            },
            register: (request, call) => controller.register(request, call),
          }),
        ],
      },
    },
  });
  const { internal } = await server.start();
  return Object.assign(controller, {
    endpoint: `127.0.0.1:${internal?.port ?? 0}`,
    stop: () => server.stop(0),
  });
}

/** Sends these frames, then says nothing more until the watcher leaves. */
export async function* frames(all: readonly Frame[], signal: AbortSignal): AsyncGenerator<Frame> {
  yield* all;
  yield* silence(signal);
}

async function* silence(signal: AbortSignal): AsyncGenerator<Frame> {
  await new Promise<void>((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
  yield* [];
}
