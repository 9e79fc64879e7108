import type { ReceivedSpan } from "../otlp-decode.ts";
import { createOtlpReceiver } from "../otlp-receiver.ts";
import { waitFor } from "../wait-for.ts";

/** Where the spans of a test go, and from where it reads them back: the same assertions hold of each. */
export interface SpanStore {
  /** The OTEL_* variables by which a process sends its spans there. */
  readonly environment: Readonly<Record<string, string>>;
  /** Every span so far. */
  spans(): Promise<readonly ReceivedSpan[]>;
  close(): Promise<void>;
}

/** Exported soon, and nothing but spans. */
export function exportingTo(grpcUrl: string): SpanStore["environment"] {
  return {
    OTEL_TRACES_EXPORTER: "otlp",
    OTEL_METRICS_EXPORTER: "none",
    OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
    OTEL_EXPORTER_OTLP_ENDPOINT: grpcUrl,
    OTEL_BSP_SCHEDULE_DELAY: "50",
  };
}

/** A receiver in this process. */
export async function createReceiverStore(): Promise<SpanStore> {
  const receiver = await createOtlpReceiver();
  return {
    environment: exportingTo(receiver.grpcUrl),
    spans: () => Promise.resolve(receiver.spans()),
    close: () => receiver.close(),
  };
}

/** Resolves with all spans when `isEnough` says so: each process sends its own when it pleases. */
export async function waitForSpans(
  store: SpanStore,
  what: string,
  isEnough: (spans: readonly ReceivedSpan[]) => boolean,
): Promise<readonly ReceivedSpan[]> {
  let spans: readonly ReceivedSpan[] = [];
  try {
    await waitFor(what, async () => isEnough((spans = await store.spans())), 20_000);
  } catch (cause) {
    const names = spans.map(({ name }) => name).join(", ");
    throw new Error(`Waited in vain for ${what}; there are: ${names}`, { cause });
  }
  return spans;
}
