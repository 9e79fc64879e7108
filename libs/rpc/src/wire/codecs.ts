import type { DescMessage } from "@bufbuild/protobuf";
import { createProtobufCodec, type MessageCodec } from "./message-codec.ts";

/** The codec of a message type. */
export function codecFor<Desc extends DescMessage>(schema: Desc): MessageCodec<Desc> {
  return createProtobufCodec(schema);
}
