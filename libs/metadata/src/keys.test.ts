import { brokerId, controllerId, partitionIndex, topicId } from "@tidemark/ids";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { formatKey, type MetadataKey, parseKey } from "./keys.ts";

const topic = topicId("0f8fad5b-d9cb-469f-a165-70867728950e");
const keys: readonly (readonly [string, MetadataKey])[] = [
  ["/cluster", { kind: "cluster" }],
  ["/controller", { kind: "controller" }],
  ["/controllers/2", { kind: "candidate", controllerId: controllerId(2) }],
  ["/controller_epoch", { kind: "controllerEpoch" }],
  ["/append", { kind: "append" }],
  ["/brokers/ids/0", { kind: "brokerSession", brokerId: brokerId(0) }],
  ["/brokers/known/2147483647", { kind: "knownBroker", brokerId: brokerId(2147483647) }],
  ["/topics/orders.v1-x_y", { kind: "topic", name: "orders.v1-x_y" }],
  [`/partitions/${topic}/7`, { kind: "partition", topicId: topic, partition: partitionIndex(7) }],
  [`/deleted/${topic}`, { kind: "deletedTopic", topicId: topic }],
  ["/config/topics/a%2Fb", { kind: "config", parts: ["topics", "a/b"] }],
  [`/receipts/${topic}/7`, { kind: "receipt", topicId: topic, partition: partitionIndex(7) }],
  ["/producers/next", { kind: "producers", parts: ["next"] }],
  ["/acls/topic/%2A", { kind: "acls", parts: ["topic", "*"] }],
];

describe("keys of the metadata tree", () => {
  test.each(keys)("%s is written and read back", (text, key) => {
    expect(formatKey(key)).toBe(text);
    expect(parseKey(text)).toEqual(key);
  });

  test.each([
    ["no slash in front", "cluster"],
    ["a slash behind", "/cluster/"],
    ["no id", "/controllers/"],
    ["an id with a leading zero", "/brokers/ids/01"],
    ["an id beyond 32 bits", "/brokers/ids/2147483648"],
    ["an id that is no number", "/brokers/ids/one"],
    ["more than the kind has", "/brokers/ids/1/2"],
    ["a topic id that is no UUID", "/partitions/orders/0"],
    ["an unknown kind", "/sessions/1"],
    ["an escape that is none", "/topics/%zz"],
    ["an escape that was not needed", "/topics/%61"],
    ["an empty part", "/config//a"],
    ["nothing", ""],
  ])("one with %s is no key of a known kind", (_, text) => {
    expect(parseKey(text)).toBeUndefined();
  });

  it("round-trip for every name", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "grapheme", minLength: 1 }), { minLength: 1 }), (parts) => {
        const key: MetadataKey = { kind: "acls", parts };
        expect(parseKey(formatKey(key))).toEqual(key);
        expect(formatKey(key)).toMatch(/^[A-Za-z0-9._~%/-]+$/);
      }),
    );
  });
});
