/**
 * The keys of the metadata tree, made and read in one place.
 *
 * | key                           | kind                            | kept by    |
 * |-------------------------------|---------------------------------|------------|
 * | `/cluster`                    | cluster                         | controller |
 * | `/controller`                 | controller                      | the store  |
 * | `/controllers/<id>`           | candidate                       | the store  |
 * | `/controller_epoch`           | controllerEpoch                 | the store  |
 * | `/append`                     | append                          | the store  |
 * | `/brokers/ids/<id>`           | brokerSession                   | controller |
 * | `/brokers/known/<id>`         | knownBroker                     | controller |
 * | `/topics/<name>`              | topic                           | controller |
 * | `/partitions/<topic id>/<n>`  | partition                       | controller |
 * | `/deleted/<topic id>`         | deletedTopic                    | controller |
 * | `/receipts/<topic id>/<n>`    | receipt                         | controller |
 * | `/config/<part>/...`          | config, its parts               | controller |
 * | `/producers/<part>/...`       | producers, its parts            | controller |
 * | `/acls/<part>/...`            | acls, its parts                 | controller |
 */
import {
  type BrokerId,
  brokerId,
  type ControllerId,
  controllerId,
  type PartitionIndex,
  partitionIndex,
  type TopicId,
  topicId,
} from "@tidemark/ids";

export type MetadataKey =
  | { readonly kind: "cluster" }
  | { readonly kind: "controller" }
  | { readonly kind: "candidate"; readonly controllerId: ControllerId }
  | { readonly kind: "controllerEpoch" }
  | { readonly kind: "append" }
  | { readonly kind: "brokerSession"; readonly brokerId: BrokerId }
  | { readonly kind: "knownBroker"; readonly brokerId: BrokerId }
  | { readonly kind: "topic"; readonly name: string }
  | { readonly kind: "partition"; readonly topicId: TopicId; readonly partition: PartitionIndex }
  | { readonly kind: "deletedTopic"; readonly topicId: TopicId }
  | { readonly kind: "receipt"; readonly topicId: TopicId; readonly partition: PartitionIndex }
  | { readonly kind: "config" | "producers" | "acls"; readonly parts: readonly string[] };

/**
 * The key as it stands in the tree. What a name holds beside letters, digits and `._-~` is
 * percent-encoded; a name with half a surrogate pair throws URIError.
 */
export function formatKey(key: MetadataKey): string {
  switch (key.kind) {
    case "cluster":
      return "/cluster";
    case "controller":
      return "/controller";
    case "candidate":
      return `/controllers/${key.controllerId}`;
    case "controllerEpoch":
      return "/controller_epoch";
    case "append":
      return "/append";
    case "brokerSession":
      return `/brokers/ids/${key.brokerId}`;
    case "knownBroker":
      return `/brokers/known/${key.brokerId}`;
    case "topic":
      return `/topics/${encodePart(key.name)}`;
    case "partition":
      return `/partitions/${key.topicId}/${key.partition}`;
    case "deletedTopic":
      return `/deleted/${key.topicId}`;
    case "receipt":
      return `/receipts/${key.topicId}/${key.partition}`;
    case "config":
    case "producers":
    case "acls":
      return `/${[key.kind, ...key.parts.map(encodePart)].join("/")}`;
  }
}

/** What a key names. Undefined for a key of no known kind, or one that `formatKey` would write in another way. */
export function parseKey(text: string): MetadataKey | undefined {
  const key = readKey(text);
  return key !== undefined && formatKey(key) === text ? key : undefined;
}

const id = "(0|[1-9][0-9]{0,9})";
const uuid = "([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})";
const part = "([^/]+)";
const parts = "((?:[^/]+/)*[^/]+)";

/** Each shape of a key with what it reads. An id that is out of its range throws. */
const shapes: readonly (readonly [RegExp, (...groups: string[]) => MetadataKey])[] = [
  [/^\/cluster$/, () => ({ kind: "cluster" })],
  [/^\/controller$/, () => ({ kind: "controller" })],
  [/^\/controller_epoch$/, () => ({ kind: "controllerEpoch" })],
  [/^\/append$/, () => ({ kind: "append" })],
  [shape("/controllers/", id), (n) => ({ kind: "candidate", controllerId: controllerId(Number(n)) })],
  [shape("/brokers/ids/", id), (n) => ({ kind: "brokerSession", brokerId: brokerId(Number(n)) })],
  [shape("/brokers/known/", id), (n) => ({ kind: "knownBroker", brokerId: brokerId(Number(n)) })],
  [shape("/topics/", part), (name = "") => ({ kind: "topic", name: decodeURIComponent(name) })],
  [
    shape("/partitions/", uuid, "/", id),
    (topic = "", n) => ({ kind: "partition", topicId: topicId(topic), partition: partitionIndex(Number(n)) }),
  ],
  [shape("/deleted/", uuid), (topic = "") => ({ kind: "deletedTopic", topicId: topicId(topic) })],
  [
    shape("/receipts/", uuid, "/", id),
    (topic = "", n) => ({ kind: "receipt", topicId: topicId(topic), partition: partitionIndex(Number(n)) }),
  ],
  [shape("/config/", parts), (rest = "") => ({ kind: "config", parts: decodeParts(rest) })],
  [shape("/producers/", parts), (rest = "") => ({ kind: "producers", parts: decodeParts(rest) })],
  [shape("/acls/", parts), (rest = "") => ({ kind: "acls", parts: decodeParts(rest) })],
];

function shape(...pieces: readonly string[]): RegExp {
  return new RegExp(`^${pieces.join("")}$`);
}

function readKey(text: string): MetadataKey | undefined {
  for (const [pattern, read] of shapes) {
    const match = pattern.exec(text);
    if (match === null) continue;
    try {
      return read(...match.slice(1));
    } catch (error) {
      // A number beyond 32 bits, or a percent sign that begins no escape.
      if (error instanceof RangeError || error instanceof URIError) return undefined;
      throw error;
    }
  }
  return undefined;
}

function decodeParts(text: string): readonly string[] {
  return text.split("/").map(decodeURIComponent);
}

/** Percent-encodes all but letters, digits and `._-~`: what is left is legal in a key of any store. */
function encodePart(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}
