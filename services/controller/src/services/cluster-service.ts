import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ControllerId, Revision } from "@tidemark/ids";
import {
  allocateProducerIds,
  findPartition,
  registerBroker,
  seenEpochMax,
  sessionProblem,
  weighSeen,
} from "@tidemark/metadata";
import type {
  ClusterService,
  ConfirmLeaderRequest,
  ConfirmLeaderResponseSchema,
  RegisterRequest,
  RegisterResponseSchema,
} from "@tidemark/proto/cluster/v1";
import { Reason } from "@tidemark/proto/common/v1";
import { type ServiceImpl, TidemarkError } from "@tidemark/rpc";
import { type ControllerCore, electionContext } from "../core.ts";
import { invalidArgument } from "../errors.ts";
import { alterPartition } from "./alter-partition.ts";
import { heartbeat } from "./heartbeat.ts";
import {
  readBroker,
  readBrokerEpoch,
  readBrokerId,
  readDirectoryIds,
  readEndpoint,
  readLeaderEpoch,
  readPartition,
  readReplicaId,
  readSeenState,
  readTopicId,
  readUuid,
} from "./requests.ts";
import { watchController } from "./watch-controller.ts";
import { watchMetadata } from "./watch-metadata.ts";

/** What brokers and gateways ask of the active controller, `own` or another. Each answer carries its epoch. */
export function createClusterService(core: ControllerCore, own: ControllerId): ServiceImpl<typeof ClusterService> {
  return {
    register: (request, { signal }) => register(core, request, signal),
    heartbeat: (requests) => heartbeat(core, requests),
    async *watchMetadata(request, { signal }) {
      const watcher = request.brokerId === undefined ? undefined : readBrokerId(request.brokerId);
      const { follower, traces } = core;
      const onPublished = (revision: Revision) => {
        if (watcher !== undefined) core.onEvent({ kind: "published", brokerId: watcher, revision });
      };
      yield* watchMetadata(request, { follower, traces, watcher, term: core.role.require(), signal, onPublished });
    },
    alterPartition: (request, { signal }) => alterPartition(core, request, signal),
    confirmLeader: (request) => confirmLeader(core, request),
    watchController: (_, { signal }) => watchController(core, own, signal),
    async allocateProducerIds(request, { signal }) {
      const broker = readBroker(request);
      const { answer, epoch } = await core.queue.submit(
        {
          name: "allocate producer ids",
          decide: (image) => sessionProblem(image, broker) ?? allocateProducerIds(image),
        },
        signal,
      );
      return { controllerEpoch: epoch, ...answer };
    },
  };
}

async function register(
  core: ControllerCore,
  request: RegisterRequest,
  signal: AbortSignal,
): Promise<MessageInitShape<typeof RegisterResponseSchema>> {
  const { seen, damaged } = weighSeen(request.regressedReplicas.map(readSeenState));
  const command = {
    brokerId: readBrokerId(request.brokerId),
    incarnationId: readUuid("incarnation_id", request.incarnationId),
    clusterId: request.clusterId,
    directoryIds: readDirectoryIds(request.directoryIds),
    allDirectoriesWork: request.allDirectoriesWork,
    endpoints: request.endpoints.map(readEndpoint),
    rack: request.rack,
    cleanStopBrokerEpoch:
      request.cleanStopBrokerEpoch === undefined ? undefined : readBrokerEpoch(request.cleanStopBrokerEpoch),
    bootId: request.bootId,
    flushAsync: request.flushAsync,
    damaged: [...request.damagedReplicas.map(readReplicaId), ...damaged],
    regressed: seen,
    offline: request.offlineReplicas.map(readReplicaId),
  };
  await refuseRegressed(core, request);
  const { answer, epoch, revision, image } = await core.queue.submit(
    {
      name: "register broker",
      decide: (current, controllerEpoch) => registerBroker(current, command, electionContext(core, controllerEpoch)),
    },
    signal,
  );
  return {
    controllerEpoch: epoch,
    clusterId: image.cluster?.clusterId ?? "",
    brokerEpoch: answer,
    revision,
    sessionTimeoutMs: core.settings.sessionTimeoutMs,
  };
}

/**
 * A broker that has seen a higher controller epoch either reached a controller that was deposed, which the barrier
 * shows, or the metadata were restored from a backup: then nothing is right until an operator decides, and this
 * controller stops deciding. A broker that does not name this cluster is refused and believed nothing, and so is one
 * that says what no cluster has seen.
 */
async function refuseRegressed(core: ControllerCore, request: RegisterRequest): Promise<void> {
  const term = core.role.require();
  if (request.controllerEpoch <= term.epoch) return;
  const { cluster } = core.follower.image;
  if (request.clusterId !== "" && cluster !== undefined && request.clusterId !== cluster.clusterId) return;
  if (request.controllerEpoch > seenEpochMax) {
    throw invalidArgument(
      `controller_epoch: no cluster gets as far as ${request.controllerEpoch}. What broker ${request.brokerId} keeps of it is damaged`,
    );
  }
  await core.queue.barrier(term);
  const brokerId = readBrokerId(request.brokerId);
  core.onEvent({ kind: "regressed", brokerId, brokerSaw: request.controllerEpoch, epoch: term.epoch });
  const error = new TidemarkError({
    reason: Reason.METADATA_REGRESSED,
    message: `Broker ${brokerId} has seen controller epoch ${request.controllerEpoch}, and the newest here is ${term.epoch}: the metadata are older than the broker's data`,
  });
  if (cluster !== undefined && request.clusterId === cluster.clusterId) core.role.halt(error);
  throw error;
}

/** Sent by a leader for a linearizable read: whether it still led after the question arrived (P9). */
async function confirmLeader(
  core: ControllerCore,
  request: ConfirmLeaderRequest,
): Promise<MessageInitShape<typeof ConfirmLeaderResponseSchema>> {
  const term = core.role.require();
  const topic = readTopicId(request.topicId);
  const index = readPartition(request.partition);
  const brokerId = readBrokerId(request.brokerId);
  const leaderEpoch = readLeaderEpoch(request.leaderEpoch);
  await core.queue.barrier(term);
  const partition = findPartition(core.follower.image, topic, index);
  const leads = partition?.leader === brokerId && partition.leaderEpoch === leaderEpoch;
  return { controllerEpoch: term.epoch, leads };
}
