export type { Attributes, AttributeValue, ReceivedSpan } from "./otlp-decode.ts";
export { createOtlpReceiver, type OtlpReceiver, type ReceiverMood } from "./otlp-receiver.ts";
