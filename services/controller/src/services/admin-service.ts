import {
  describeBrokers,
  describeHealth,
  describeReceipts,
  describeTopicList,
  describeTopics,
  findTopic,
  type MetadataImage,
  type Receipt,
  type Topic,
  unknownTopic,
  unregisterBroker,
} from "@tidemark/metadata";
import type { AdminService } from "@tidemark/proto/admin/v1";
import { Reason } from "@tidemark/proto/common/v1";
import { type ServiceImpl, TidemarkError } from "@tidemark/rpc";
import type { ControllerCore } from "../core.ts";
import { refusalError } from "../errors.ts";
import { elect } from "./elect-leaders.ts";
import { describeElections, watchEvents } from "./events.ts";
import { readBrokerId } from "./requests.ts";
import * as topics from "./topics.ts";

/**
 * Topics, brokers and elections, for people, the command line and gateways. Reads pass the store's barrier (C9).
 * DeleteRecords is the leaders' own.
 */
export function createAdminService(
  core: ControllerCore,
  about: { readonly backend: string; readonly endpoint: () => string; readonly controllerId: number },
): ServiceImpl<typeof AdminService> {
  const current = async () => {
    const term = core.role.require();
    const revision = await core.queue.barrier(term);
    return { image: core.follower.image, term, revision };
  };
  return {
    createTopic: (request, { signal }) => topics.create(core, request, signal),
    deleteTopic: (request, { signal }) => topics.remove(core, request, signal),
    addPartitions: (request, { signal }) => topics.extend(core, request, signal),
    configureTopic: (request, { signal }) => topics.configure(core, request, signal),
    async describeTopics(request) {
      const described = describeTopics((await current()).image, request.topics);
      if (described.kind === "refused") throw refusalError(described.refusal);
      return described.answer;
    },
    listTopics: async () => ({ topics: [...describeTopicList((await current()).image)] }),
    electLeaders: (request, { signal }) => elect(core, request, signal),
    async describeCluster() {
      const { image, term, revision } = await current();
      return {
        clusterId: image.cluster?.clusterId ?? "",
        controller: { id: about.controllerId, endpoint: about.endpoint(), controllerEpoch: term.epoch },
        brokers: [...describeBrokers(image)],
        ...describeHealth(image),
        backend: about.backend,
        revision,
      };
    },
    listBrokers: async () => ({ brokers: [...describeBrokers((await current()).image)] }),
    watchEvents: (request, { signal }) => watchEvents(core, request, signal),
    describeElections: (request) => describeElections(core, request),
    async describeReceipts({ topic, openOnly }) {
      const { image } = await current();
      const named = topic === "" ? undefined : requireTopic(image, topic);
      const wanted = (receipt: Receipt) =>
        (named === undefined || receipt.topicId === named.topicId) && (!openOnly || receipt.awaited.length > 0);
      return { receipts: [...describeReceipts(image, wanted)] };
    },
    deleteRecords() {
      throw new TidemarkError({
        reason: Reason.UNSUPPORTED,
        message: "Records are deleted by the leader of their partition: call a gateway, or that broker",
      });
    },
    async unregisterBroker(request, { signal }) {
      const brokerId = readBrokerId(request.brokerId);
      await core.queue.submit(
        { name: "unregister broker", decide: (image) => unregisterBroker(image, brokerId) },
        signal,
      );
      return {};
    },
  };
}

function requireTopic(image: MetadataImage, name: string): Topic {
  const topic = findTopic(image, name);
  if (topic === undefined) throw refusalError(unknownTopic(name).refusal);
  return topic;
}
