import type { DescMessage, DescMethod, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { DeadlineRule } from "../wire/budgets.ts";
import type { MessageCodec } from "../wire/message-codec.ts";
import type { RawListener, RawStream } from "../wire/raw-stream.ts";
import type { CallContext } from "./call-context.ts";

/** One method as a server serves it: every kind of handler has been turned into the raw form. */
export interface MethodSpec {
  readonly method: DescMethod;
  readonly input: MessageCodec<DescMessage>;
  readonly output: MessageCodec<DescMessage>;
  readonly deadline: DeadlineRule;
  /** True for streams and long polls: they are told at once when the server stops; other calls may finish. */
  readonly longLived: boolean;
  readonly handler: (
    stream: RawStream<MessageInitShape<DescMessage>>,
    context: CallContext,
  ) => RawListener<MessageShape<DescMessage>>;
}
