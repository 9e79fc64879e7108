import { create, type MessageShape, toBinary } from "@bufbuild/protobuf";
import {
  describeBrokers,
  describeHealth,
  describeReceipts,
  describeTopic,
  describeTopicList,
  findTopic,
  listTopics,
  type MetadataImage,
  type Receipt,
  type Topic,
  unknownTopic,
  unregisterBroker,
} from "@tidemark/metadata";
import { type AdminService, type DescribeTopicsRequest, DescribeTopicsResponseSchema } from "@tidemark/proto/admin/v1";
import type { ServiceImpl } from "@tidemark/rpc";
import type { ControllerCore } from "../core.ts";
import { invalidArgument, refusalError } from "../errors.ts";
import { elect } from "./elect-leaders.ts";
import { describeElections, watchEvents } from "./events.ts";
import { readBrokerId } from "./requests.ts";
import * as topics from "./topics.ts";

/** What an answer may weigh: stubs of every language refuse 4 MiB. */
const answerBytesMax = 3.5 * 2 ** 20;

/** Topics, brokers and elections, for people, the command line and gateways. Reads pass the store's barrier (C9). */
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
    describeTopics: async (request) => describeTopics((await current()).image, request),
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

function describeTopics(
  image: MetadataImage,
  request: DescribeTopicsRequest,
): MessageShape<typeof DescribeTopicsResponseSchema> {
  const names = [...new Set(request.topics)].sort();
  const wanted = names.length === 0 ? listTopics(image) : names.map((name) => requireTopic(image, name));
  const response = create(DescribeTopicsResponseSchema, { topics: wanted.map((topic) => describeTopic(image, topic)) });
  const bytes = toBinary(DescribeTopicsResponseSchema, response).length;
  if (bytes <= answerBytesMax) return response;
  throw invalidArgument(`topics: the description of ${wanted.length} topics has ${bytes} bytes; name fewer`);
}

function requireTopic(image: MetadataImage, name: string): Topic {
  const topic = findTopic(image, name);
  if (topic === undefined) throw refusalError(unknownTopic(name).refusal);
  return topic;
}
