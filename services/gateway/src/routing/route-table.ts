/**
 * Who leads which partition, as far as this gateway knows: the metadata that the controller pushes, and what brokers
 * said since. A route of an older leader epoch never takes the place of a newer one.
 */
import { formatEndpoint } from "@tidemark/config";
import type { PartitionIndex, TopicId } from "@tidemark/ids";
import {
  type BrokerSession,
  findPartition,
  findTopic,
  type MetadataImage,
  type Partition,
  type Topic,
  topicNameProblem,
} from "@tidemark/metadata";
import { Reason } from "@tidemark/proto/common/v1";
import {
  type ErrorFields,
  type Place,
  TidemarkError,
  unknownPartition,
  unknownTopic,
  unknownTopicId,
} from "@tidemark/rpc";
import type { Cancel } from "@tidemark/runtime";
import { leaderNotAvailable, metadataRegressed } from "../errors.ts";

/** The leader of a partition. */
export interface Route {
  readonly broker: number;
  /** host:port of its `client` listener. */
  readonly endpoint: string;
  readonly leaderEpoch: number;
}

/** A partition that exists. */
export interface RoutedPartition extends Place {
  readonly topicId: TopicId;
}

export interface RouteTable {
  /** Takes the next metadata. They are never older than the last. */
  apply(image: MetadataImage): void;
  readonly image: MetadataImage;
  /**
   * The topic of this name. Throws REASON_UNKNOWN_TOPIC, or REASON_UNKNOWN_TOPIC_ID where `topicId` is not empty and
   * the name has another one.
   */
  topic(name: string, topicId: string): Topic;
  /** A partition of the topic. Throws REASON_UNKNOWN_PARTITION. */
  partition(topic: Topic, partition: number): RoutedPartition;
  /** Undefined: nobody leads it, or whoever does has no session. */
  route(partition: RoutedPartition): Route | undefined;
  /** Why there is no route. */
  noRoute(partition: RoutedPartition): TidemarkError;
  /** Takes note of what a broker said. Only a newer leader epoch counts. */
  learn(partition: RoutedPartition, hint: ErrorFields["leader"]): void;
  /** Calls `onChange` after each change of the metadata. */
  onChange(onChange: () => void): Cancel;
}

export function createRouteTable(initial: MetadataImage): RouteTable {
  let image = initial;
  /** By topic id and partition. Each is newer than the metadata. */
  const hints = new Map<string, { readonly route: Route; readonly of: RoutedPartition }>();
  const watchers = new Set<() => void>();

  return {
    get image() {
      return image;
    },
    apply(next) {
      image = next;
      for (const [key, { route, of }] of hints) {
        const known = partitionOf(next, of);
        if (known === undefined || known.leaderEpoch >= route.leaderEpoch) hints.delete(key);
      }
      for (const watcher of [...watchers]) watcher();
    },
    topic(name, topicId) {
      const topic = findTopic(image, name);
      if (topicId !== "" && topic?.topicId !== topicId) throw unknownTopicId(name, topicId);
      if (topic === undefined) throw noSuchTopic(name);
      return topic;
    },
    partition({ name, topicId, partitions }, partition) {
      if (partition >= partitions) throw unknownPartition({ topic: name, partition }, partitions);
      return { topic: name, topicId, partition };
    },
    route(of) {
      const hint = hints.size === 0 ? undefined : hints.get(keyOf(of));
      if (hint !== undefined) return hint.route;
      const known = partitionOf(image, of);
      const session = known?.leader === undefined ? undefined : image.sessions.get(known.leader);
      const endpoint = session === undefined ? undefined : clientEndpoint(session);
      if (known?.leader === undefined || endpoint === undefined) return undefined;
      return { broker: known.leader, endpoint, leaderEpoch: known.leaderEpoch };
    },
    noRoute: (of) =>
      partitionOf(image, of)?.regressedFrom === undefined ? leaderNotAvailable(of) : metadataRegressed(of),
    learn(of, hint) {
      if (hint === undefined || hint.endpoint === "") return;
      const known = hints.get(keyOf(of))?.route.leaderEpoch ?? partitionOf(image, of)?.leaderEpoch;
      if (known !== undefined && hint.leaderEpoch > known) hints.set(keyOf(of), { route: hint, of });
    },
    onChange(watcher) {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
  };
}

/** host:port of a broker's `client` listener. Undefined where it has none. */
export function clientEndpoint({ endpoints }: BrokerSession): string | undefined {
  const client = endpoints.find(({ listener }) => listener === "client");
  return client === undefined ? undefined : formatEndpoint(client);
}

function partitionOf(image: MetadataImage, { topicId, partition }: RoutedPartition): Partition | undefined {
  return findPartition(image, topicId, partition as PartitionIndex);
}

function keyOf({ topicId, partition }: RoutedPartition): string {
  return `${topicId}/${partition}`;
}

/** A topic that can be made is told how; one that never can be is told why. */
function noSuchTopic(name: string): TidemarkError {
  const problem = topicNameProblem(name);
  if (problem === undefined) return unknownTopic(name);
  return new TidemarkError({ reason: Reason.INVALID_TOPIC_NAME, message: `${problem}.`, topic: name });
}
