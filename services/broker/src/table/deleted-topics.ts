/** Deletions, and data that belongs to nothing: absence is not deletion (D7). */
import type { TopicId } from "@tidemark/ids";
import { type LogDirectory, type ReplicaId, replicaName } from "@tidemark/log";
import { entriesOf, findPartition, findTopicById, lookup, type MetadataImage, valuesOf } from "@tidemark/metadata";
import { isActive, type TableState } from "./table-state.ts";

/** Removes the data of topics whose deletion is said. A replica that is served is ended before. */
export function removeDeleted(table: TableState): void {
  const image = table.update?.image;
  if (image === undefined) return;
  for (const directory of table.homes.directories) {
    for (const replica of [...directory.replicas(), ...directory.aside()]) {
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
  const key = keyOf(directory, name);
  if (table.removing.has(key)) return;
  table.removing.add(key);
  const removed = table.tasks.run(table.leaving.get(name) ?? Promise.resolve(), async () => {
    try {
      await directory.remove(replica);
    } finally {
      table.removing.delete(key);
    }
  });
  table.leaving.set(name, removed);
}

/** Two directories may hold a replica, one of them aside: each is cleared, one after the other. */
function keyOf({ id }: LogDirectory, name: string): string {
  return `${id} ${name}`;
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
  const isOfIt = ({ topicId }: ReplicaId) => topicId === topic;
  return homes.directories.some((directory) => directory.replicas().some(isOfIt) || directory.aside().some(isOfIt));
}

/**
 * Sets data aside of topic ids that the metadata do not know (D7): it is kept, said once, and taken back should the id
 * turn up again. A topic that is being made or deleted in several batches is known, by its partitions or by its note.
 * So is what another directory took the place of, as when a disk is back that was given up: it is never served.
 */
export function setStrayAside(table: TableState): void {
  const image = table.update?.image;
  if (image === undefined) return;
  for (const directory of table.homes.directories) {
    if (directory.failure !== undefined) continue;
    for (const replica of directory.replicas()) {
      const name = replicaName(replica);
      if (isReplaced(table, image, { directory, replica })) {
        setAside(table, { directory, replica, why: "which the metadata record in another directory of this broker" });
        continue;
      }
      const isKnown = lookup(image.topics, replica.topicId) !== undefined;
      if (isKnown || lookup(image.deletedTopics, replica.topicId) !== undefined) continue;
      if (!table.held.has(name)) setAside(table, { directory, replica, why: "whose topic the metadata do not know" });
    }
  }
}

/** Whether another directory that works holds the replica, and is the one that the metadata record. */
function isReplaced(table: TableState, image: MetadataImage, { directory, replica }: Stray): boolean {
  const name = replicaName(replica);
  if (table.held.get(name)?.home === directory) return false;
  const record = findPartition(image, replica.topicId, replica.partition);
  const recorded = record?.replicas.find(({ brokerId }) => brokerId === table.self)?.directoryId;
  if (recorded === undefined || recorded === directory.id) return false;
  const home = table.homes.directories.find(({ id }) => id === recorded);
  return home?.failure === undefined && home?.replicas().some((each) => replicaName(each) === name) === true;
}

/** Data of a replica in a directory. */
interface Stray {
  readonly directory: LogDirectory;
  readonly replica: ReplicaId;
}

function setAside(table: TableState, { directory, replica, why }: Stray & { readonly why: string }): void {
  const name = replicaName(replica);
  const key = keyOf(directory, name);
  if (table.removing.has(key)) return;
  table.removing.add(key);
  const kept = table.tasks.run(table.leaving.get(name) ?? Promise.resolve(), async () => {
    try {
      await directory.setAside(replica);
      const message = `${directory.path} holds ${name}, ${why}: it is set aside as ${name}.stray, kept and not served`;
      table.logger.warn(message);
    } finally {
      table.removing.delete(key);
    }
    // Its deletion may have been said meanwhile.
    removeDeleted(table);
  });
  table.leaving.set(name, kept);
}
