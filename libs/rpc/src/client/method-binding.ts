import type { DescMessage, DescMethod } from "@bufbuild/protobuf";
import { codecFor } from "../wire/codecs.ts";
import type { MessageCodec } from "../wire/message-codec.ts";
import { methodPath } from "../wire/method-path.ts";

/** One method as a client calls it. */
export interface MethodBinding {
  readonly method: DescMethod;
  readonly path: string;
  readonly input: MessageCodec<DescMessage>;
  readonly output: MessageCodec<DescMessage>;
}

export function bindMethod(method: DescMethod): MethodBinding {
  return {
    method,
    path: methodPath(method),
    input: codecFor(method.input),
    output: codecFor(method.output),
  };
}
