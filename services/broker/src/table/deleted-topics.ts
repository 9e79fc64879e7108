/** Deletions, and data that belongs to nothing: absence is not deletion (D7). */
import type { TopicId } from "@tidemark/ids";
import { type LogDirectory, type ReplicaId, replicaName } from "@tidemark/log";
import { entriesOf, findTopicById, lookup, type MetadataImage, valuesOf } from "@tidemark/metadata";
import { isActive, type TableState } from "./table-state.ts";

/** Removes the data of topics whose deletion is said. A replica that is served is ended before. */
export function removeDeleted(table: TableState): void {
  const image = table.update?.image;
  if (image === undefined) return;
  for (const directory of table.homes.directories) {
    for (const replica of directory.replicas()) {
      if (isDeleted(table, image, replica)) remove(table, directory, replica);
    }
  }
}

function isDeleted({ held, brokerGuards }: TableState, image: MetadataImage, replica: ReplicaId): boolean {
  if (lookup(image.deletedTopics, replica.topicId) !== undefined) return !held.has(replicaName(replica));
  if (brokerGuards.deletesById) return false;
  const topic = findTopicById(image, replica.topicId);
  return [...valuesOf(image.deletedTopics)].some(({ name }) => name === topic?.name);
}

function remove(table: TableState, directory: LogDirectory, replica: ReplicaId): void {
  const name = replicaName(replica);
  if (table.removing.has(name)) return;
  table.removing.add(name);
  const removed = table.tasks.run(table.leaving.get(name) ?? Promise.resolve(), async () => {
    try {
      await directory.remove(replica);
    } finally {
      table.removing.delete(name);
    }
  });
  table.leaving.set(name, removed);
}

/** Deletions that this broker has carried out and whose record still waits for it. */
export function carriedOut(table: TableState): readonly TopicId[] {
  const image = table.update?.image;
  if (image === undefined || !isActive(table)) return [];
  const found: TopicId[] = [];
  for (const [id, { awaited }] of entriesOf(image.deletedTopics)) {
    if (awaited.includes(table.self) && !holdsAnyOf(table, id)) found.push(id);
  }
  return found;
}

function holdsAnyOf({ homes }: TableState, topic: TopicId): boolean {
  return homes.directories.some((directory) => directory.replicas().some(({ topicId }) => topicId === topic));
}

/** Data of an id that the metadata do not know is kept, and said once. */
export function reportStray(table: TableState): void {
  const image = table.update?.image;
  if (image === undefined) return;
  for (const directory of table.homes.directories) {
    for (const replica of directory.replicas()) {
      const name = replicaName(replica);
      if (findTopicById(image, replica.topicId) !== undefined || table.reported.has(name)) continue;
      if (lookup(image.deletedTopics, replica.topicId) !== undefined) continue;
      table.reported.add(name);
      table.logger.warn(`${directory.path} holds ${name}, which the metadata do not know: it is kept and not served`);
    }
  }
}
