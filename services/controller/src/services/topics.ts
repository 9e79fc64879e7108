/** The topic calls of AdminService: validated here, decided in libs/metadata, answered once committed and applied. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type ControllerEpoch, topicId } from "@tidemark/ids";
import {
  addPartitions,
  applyChanges,
  configureTopic,
  createTopic,
  type Decision,
  decided,
  deleteTopic,
  describeTopic,
  findTopic,
  type MetadataImage,
  type PlacementContext,
  type Topic,
  unknownTopic,
} from "@tidemark/metadata";
import type {
  AddPartitionsRequest,
  AddPartitionsResponseSchema,
  ConfigureTopicRequest,
  ConfigureTopicResponseSchema,
  CreateTopicRequest,
  CreateTopicResponseSchema,
  DeleteTopicRequest,
  DeleteTopicResponseSchema,
  TopicDescription,
} from "@tidemark/proto/admin/v1";
import { randomUuid } from "@tidemark/runtime";
import { type ControllerCore, drawFrom } from "../core.ts";
import { readTopicId } from "./requests.ts";
import { checkTopicSettings, checkUnsetKeys } from "./topic-settings.ts";

export async function create(
  core: ControllerCore,
  request: CreateTopicRequest,
  signal: AbortSignal,
): Promise<MessageInitShape<typeof CreateTopicResponseSchema>> {
  const { settings: own } = core;
  const id = topicId(randomUuid(core.runtime.random));
  const decide = (image: MetadataImage, epoch: ControllerEpoch): Decision<TopicDescription> => {
    const checked = checkTopicSettings(request.topic, request.settings);
    if (checked.kind === "refused") return checked;
    const decision = createTopic(
      image,
      {
        name: request.topic,
        topicId: id,
        partitions: request.partitions ?? own.defaultPartitions,
        replicationFactor: request.replicationFactor,
        defaultReplicationFactor: own.defaultReplicationFactor,
        minInsyncReplicas: {
          value: checked.minInsyncReplicas ?? own.minInsyncReplicas,
          isExplicit: checked.minInsyncReplicas !== undefined,
        },
        settings: checked.settings,
      },
      placementContext(core, epoch),
    );
    const described = withDescription(image, decision);
    return request.validateOnly && described.kind === "decided" ? decided(described.answer) : described;
  };
  const { answer } = await core.queue.submit({ name: "create topic", decide }, signal);
  return { topic: answer };
}

export async function remove(
  core: ControllerCore,
  request: DeleteTopicRequest,
  signal: AbortSignal,
): Promise<MessageInitShape<typeof DeleteTopicResponseSchema>> {
  const command = {
    name: request.topic,
    topicId: request.topicId === "" ? undefined : readTopicId(request.topicId),
  };
  const { answer } = await core.queue.submit(
    { name: "delete topic", decide: (image) => deleteTopic(image, command) },
    signal,
  );
  return { topicId: answer };
}

export async function extend(
  core: ControllerCore,
  request: AddPartitionsRequest,
  signal: AbortSignal,
): Promise<MessageInitShape<typeof AddPartitionsResponseSchema>> {
  const command = { name: request.topic, partitions: request.partitions };
  const { answer } = await core.queue.submit(
    {
      name: "add partitions",
      decide: (image, epoch) => withDescription(image, addPartitions(image, command, placementContext(core, epoch))),
    },
    signal,
  );
  return { topic: answer };
}

export async function configure(
  core: ControllerCore,
  request: ConfigureTopicRequest,
  signal: AbortSignal,
): Promise<MessageInitShape<typeof ConfigureTopicResponseSchema>> {
  const decide = (image: MetadataImage, epoch: ControllerEpoch): Decision<TopicDescription> => {
    const topic = findTopic(image, request.topic);
    if (topic === undefined) return unknownTopic(request.topic);
    const misspelt = checkUnsetKeys(request.topic, request.unset);
    if (misspelt !== undefined) return misspelt;
    const wanted = new Map(topic.settings);
    for (const key of request.unset) wanted.delete(key);
    const checked = checkTopicSettings(request.topic, { ...Object.fromEntries(wanted), ...request.set });
    if (checked.kind === "refused") return checked;
    const minInsyncReplicas = checked.minInsyncReplicas ?? core.settings.minInsyncReplicas;
    const command = { name: request.topic, settings: checked.settings, minInsyncReplicas };
    return withDescription(image, configureTopic(image, command, epoch));
  };
  const { answer } = await core.queue.submit({ name: "configure topic", decide }, signal);
  return { topic: answer };
}

function placementContext(core: ControllerCore, controllerEpoch: ControllerEpoch): PlacementContext {
  return { controllerEpoch, limits: core.settings.limits, draw: drawFrom(core.runtime.random) };
}

/** The decision, with the topic described as it will be once the changes are applied. */
function withDescription(image: MetadataImage, decision: Decision<Topic>): Decision<TopicDescription> {
  if (decision.kind === "refused") return decision;
  const after = applyChanges(image, decision.changes).image;
  return { ...decision, answer: describeTopic(after, decision.answer) };
}
