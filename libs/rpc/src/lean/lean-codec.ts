import type { DescMessage } from "@bufbuild/protobuf";
import { createProtobufCodec, type MessageCodec } from "../wire/message-codec.ts";
import { BackwardWriter } from "./backward-writer.ts";
import { type LooseMessage, planOf } from "./lean-plan.ts";

/**
 * A codec for messages that carry much in bytes fields: the same bytes on the wire as protobuf-es makes, but big fields
 * are copied once, straight into the frame, and decoded as views of what was received.
 *
 * What is encoded refers to the message's own bytes: they must not change until they are sent.
 */
export function createLeanCodec<Desc extends DescMessage>(schema: Desc): MessageCodec<Desc> {
  const plan = planOf(schema);
  const whole = createProtobufCodec(schema);
  return {
    // protobuf-es decodes bytes fields as views already.
    decode: (bytes) => whole.decode(bytes),
    encode(message) {
      const { $typeName: typeName } = message as { $typeName?: string };
      // A message of another type is protobuf-es's to refuse.
      if (typeName !== undefined && typeName !== schema.typeName) return whole.encode(message);
      const writer = new BackwardWriter();
      plan(writer, message as LooseMessage);
      return writer.finish();
    },
  };
}
