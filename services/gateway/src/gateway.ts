/** One gateway: it follows the metadata and passes calls on. It holds nothing that is lost when it is killed. */
import type { DescService } from "@bufbuild/protobuf";
import { type ActiveController, createMetadataFeed } from "@tidemark/controller-link";
import type { ControllerEpoch } from "@tidemark/ids";
import { emptyImage, type MetadataImage } from "@tidemark/metadata";
import { AdminService } from "@tidemark/proto/admin/v1";
import { MetadataService } from "@tidemark/proto/admin/v1/metadata";
import type { Codecs } from "@tidemark/record";
import {
  type ByteBudget,
  type ChannelPool,
  createProcessBudget,
  type DeadlineRule,
  type ServedService,
  type ServeOptions,
  serve,
} from "@tidemark/rpc";
import { createDeferred, type Runtime } from "@tidemark/runtime";
import { StartRefusedError } from "@tidemark/service";
import type { Logger, Tracer } from "@tidemark/telemetry";
import { createAdminService, createMetadataService } from "./controller/admin-service.ts";
import { createDeleteRecords } from "./log/delete-records.ts";
import { createLogService } from "./log/log-service.ts";
import { createLeaders } from "./routing/leaders.ts";
import { createEndpointRetirement } from "./routing/retire-endpoints.ts";
import { createRouteTable } from "./routing/route-table.ts";

export interface GatewayOptions {
  /** Undefined: whichever cluster the controller belongs to. */
  readonly clusterId: string | undefined;
  readonly controller: ActiveController;
  readonly pool: Pick<ChannelPool, "get" | "drop" | "renew" | "endPause">;
  readonly runtime: Runtime;
  readonly codecs: Codecs;
  readonly tracer: Tracer;
  readonly logger: Logger;
  /** The largest batch of a topic that does not say, in bytes. */
  readonly batchBytesMax: number;
  /** What the messages of all produce streams may cost that are not answered. Absent: a quarter of the heap. */
  readonly unansweredBudget?: ByteBudget;
  /** Of calls with one answer. */
  readonly deadline: DeadlineRule;
}

export interface Gateway {
  /** To be mounted on the `client` listener. */
  readonly services: readonly ServedService[];
  /** The metadata as this gateway has them. */
  readonly image: MetadataImage;
  /** Resolves when the metadata are there. Throws StartRefusedError where the controller is of another cluster. */
  open(): Promise<void>;
  /** Stops following the metadata. Calls are to be over before. */
  stop(): Promise<void>;
}

export function createGateway(options: GatewayOptions): Gateway {
  const { controller, runtime, logger, deadline, unansweredBudget = createProcessBudget() } = options;
  const abort = new AbortController();
  const table = createRouteTable(emptyImage);
  const retirement = createEndpointRetirement(options.pool, runtime.scheduler);
  const known = createDeferred();
  let running: Promise<void> = Promise.resolve();

  const feed = createMetadataFeed({
    controller,
    runtime,
    controllerEpochFloor: 0 as ControllerEpoch,
    onUpdate: ({ image }) => {
      table.apply(image);
      retirement.apply(image);
      known.resolve();
    },
    onInterrupted(why) {
      // Before there are any metadata, this is why the gateway does not start to serve.
      const level = feed.version === undefined ? "warn" : "info";
      logger[level]("No metadata from the controller; trying again", { controller: controller.endpoint, why });
    },
  });
  const toController = { controller, runtime };
  const context = { ...options, table, leaders: createLeaders(options.pool), unansweredBudget };
  const admin = createAdminService(toController, table, createDeleteRecords(context));

  return {
    services: [
      createLogService(context, deadline),
      serve(AdminService, admin, { rules: unaryRules(AdminService, deadline) }),
      serve(MetadataService, createMetadataService(toController), { rules: unaryRules(MetadataService, deadline) }),
    ],
    get image() {
      return table.image;
    },
    async open() {
      running = feed.run(abort.signal);
      await known.promise;
      const found = feed.image.cluster?.clusterId;
      if (options.clusterId === undefined || options.clusterId === found) return;
      throw new StartRefusedError(
        `cluster.id is ${options.clusterId}, and the controller at ${controller.endpoint} is of cluster ${found ?? "none"}`,
      );
    },
    async stop() {
      abort.abort();
      await running;
      retirement.stop();
    },
  };
}

function unaryRules<Desc extends DescService>(
  service: Desc,
  deadline: DeadlineRule,
): NonNullable<ServeOptions<Desc>["rules"]> {
  const unary = service.methods.filter(({ methodKind }) => methodKind === "unary");
  return Object.fromEntries(unary.map(({ localName }) => [localName, { deadline }])) as NonNullable<
    ServeOptions<Desc>["rules"]
  >;
}
