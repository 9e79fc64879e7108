import { createManualTime } from "@tidemark/runtime";
import { createLogger } from "@tidemark/telemetry";
import { expect, test } from "vitest";
import { serverHooks } from "./run-service.ts";

test("the log line of a defect names the trace of the call that met it, where it has one", () => {
  const lines: string[] = [];
  const { clock } = createManualTime();
  const of = { service: "s", instanceId: "i", level: "info", write: (line: string) => lines.push(line) } as const;
  const { onDefect } = serverHooks({ logger: createLogger({ clock, ...of }) });
  const [traceId, spanId] = ["a".repeat(32), "b".repeat(16)];
  onDefect?.(new Error("broken"), "x/Y", `00-${traceId}-${spanId}-01`);
  onDefect?.(new Error("broken"), "x/Y", "no traceparent");
  const [traced, untraced] = lines.map((line) => JSON.parse(line) as object);
  expect(traced).toMatchObject({ message: "defect in a call", method: "x/Y", trace_id: traceId, span_id: spanId });
  expect(untraced).not.toHaveProperty("trace_id");
});
