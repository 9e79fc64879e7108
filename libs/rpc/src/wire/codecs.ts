import type { DescMessage } from "@bufbuild/protobuf";
import {
  FetchResponseSchema,
  ProduceRequestSchema,
  ProduceStreamRequestSchema,
  SubscribeResponseSchema,
} from "@tidemark/proto/log/v1";
import { FetchResponseSchema as ReplicaFetchResponseSchema } from "@tidemark/proto/replica/v1";
import { createLeanCodec } from "../lean/lean-codec.ts";
import { createProtobufCodec, type MessageCodec } from "./message-codec.ts";

/** The messages that carry record batches: they are encoded without walking or copying those. */
const hotMessages: readonly DescMessage[] = [
  FetchResponseSchema,
  ProduceRequestSchema,
  ProduceStreamRequestSchema,
  ReplicaFetchResponseSchema,
  SubscribeResponseSchema,
];

const leanCodecs = new Map(
  hotMessages.map((schema): [DescMessage, MessageCodec<DescMessage>] => [schema, createLeanCodec(schema)]),
);

/** The codec of a message type: lean for the hot ones, protobuf-es for all others. */
export function codecFor(schema: DescMessage): MessageCodec<DescMessage> {
  return leanCodecs.get(schema) ?? createProtobufCodec(schema);
}
