/** Controllers that say what a test tells them to. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  ClusterService,
  type WatchControllerResponseSchema,
  type WatchMetadataRequest,
  type WatchMetadataResponseSchema,
} from "@tidemark/proto/cluster/v1";
import { Reason } from "@tidemark/proto/common/v1";
import { type CallContext, createRpcServer, type ServiceImpl, serve, TidemarkError } from "@tidemark/rpc";
import { createDeferred, createNodeRuntime } from "@tidemark/runtime";

export const runtime = createNodeRuntime();

export type Frame = MessageInitShape<typeof WatchMetadataResponseSchema>;

type Active = MessageInitShape<typeof WatchControllerResponseSchema>;

export interface FakeController {
  readonly endpoint: string;
  /** What each watcher asked for, in the order in which they came. */
  readonly watched: WatchMetadataRequest[];
  /** To be replaced by tests. */
  watch: (request: WatchMetadataRequest, call: CallContext) => AsyncIterable<Frame>;
  register: ServiceImpl<typeof ClusterService>["register"];
  /** Tells everyone who listens, and who will, which controller is the active one. */
  tell(active: Active): void;
  /** How many listen. */
  readonly listeners: number;
  /** Whoever listens from now on is refused, over a connection that works. */
  refusesListeners: boolean;
  stop(): Promise<void>;
}

export async function startFakeController(): Promise<FakeController> {
  const told: Active[] = [];
  let listeners = 0;
  let changed = createDeferred();
  async function* tellOn(signal: AbortSignal): AsyncGenerator<Active> {
    if (controller.refusesListeners) throw new TidemarkError({ reason: Reason.UNAVAILABLE, message: "refused" });
    listeners += 1;
    signal.addEventListener("abort", () => changed.resolve(), { once: true });
    for (let place = 0; !signal.aborted; ) {
      const change = changed.promise;
      for (; place < told.length; place++) yield told[place] as Active;
      await change;
    }
  }
  const controller: Omit<FakeController, "endpoint" | "stop"> = {
    watched: [],
    refusesListeners: false,
    get listeners() {
      return listeners;
    },
    tell(active) {
      told.push(active);
      const before = changed;
      changed = createDeferred();
      before.resolve();
    },
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
            watchController: (_, { signal }) => tellOn(signal),
          }),
        ],
      },
    },
  });
  const { internal } = await server.start();
  return Object.defineProperties(controller, {
    endpoint: { value: `127.0.0.1:${internal?.port ?? 0}` },
    stop: { value: () => server.stop(0) },
  }) as FakeController;
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
