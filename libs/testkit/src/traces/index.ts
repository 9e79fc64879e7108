export { drawing, drawTraces } from "./drawing.ts";
export { createReceiverStore, type SpanStore, waitForSpans } from "./span-store.ts";
