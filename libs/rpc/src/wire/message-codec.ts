import {
  create,
  type DescMessage,
  fromBinary,
  isMessage,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { bufferOver, type WireBytes } from "./wire-bytes.ts";

/** Turns messages of one type into bytes and back. Encoding and decoding never change what they are given. */
export interface MessageCodec<Desc extends DescMessage> {
  encode(message: MessageInitShape<Desc>): WireBytes;
  /** Throws when the bytes are not such a message. Fields of type bytes may be views of `bytes`. */
  decode(bytes: Uint8Array): MessageShape<Desc>;
}

/** The codec that works for every message: protobuf-es itself. */
export function createProtobufCodec<Desc extends DescMessage>(schema: Desc): MessageCodec<Desc> {
  return {
    // A message of another type is refused by `toBinary`; `create` would take it for an init.
    encode: (message) =>
      bufferOver(toBinary(schema, isMessage(message) ? (message as MessageShape<Desc>) : create(schema, message))),
    decode: (bytes) => fromBinary(schema, bytes),
  };
}
