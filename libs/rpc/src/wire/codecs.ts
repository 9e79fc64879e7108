import type { DescMessage } from "@bufbuild/protobuf";
import {
  FetchResponseSchema,
  ProduceRequestSchema,
  ProduceStreamRequestSchema,
  SubscribeResponseSchema,
} from "@tidemark/proto/log/v1";
import {
  FetchRequestSchema as ReplicaFetchRequestSchema,
  FetchResponseSchema as ReplicaFetchResponseSchema,
} from "@tidemark/proto/replica/v1";
import { createLeanCodec } from "../lean/lean-codec.ts";
import { hasLeanForm } from "../lean/lean-plan.ts";
import { createProtobufCodec, type MessageCodec } from "./message-codec.ts";

/** The messages that carry record batches, which are neither walked nor copied, and what followers say. */
const hotMessages: readonly DescMessage[] = [
  FetchResponseSchema,
  ProduceRequestSchema,
  ProduceStreamRequestSchema,
  ReplicaFetchRequestSchema,
  ReplicaFetchResponseSchema,
  SubscribeResponseSchema,
];

const codecs = new Map(
  hotMessages.map((schema): [DescMessage, MessageCodec<DescMessage>] => [schema, createLeanCodec(schema)]),
);

/**
 * The codec of a message type: lean for the hot ones and for whatever has that form, since a message is so written from
 * what it is made of, without being made first; protobuf-es for all others.
 */
export function codecFor(schema: DescMessage): MessageCodec<DescMessage> {
  const known = codecs.get(schema);
  if (known !== undefined) return known;
  const codec = hasLeanForm(schema) ? createLeanCodec(schema) : createProtobufCodec(schema);
  codecs.set(schema, codec);
  return codec;
}
