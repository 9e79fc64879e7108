import { createNoopMeter } from "@opentelemetry/api";
import { createManualTime } from "@tidemark/runtime";
import { expect, test } from "vitest";
import { createLogger } from "./logger.ts";
import { createLostSpans } from "./lost-spans.ts";
import { createMetrics } from "./metrics.ts";

test("lost spans are counted each, and spoken of once a minute", async () => {
  const time = createManualTime();
  const lines: string[] = [];
  const logger = createLogger({
    clock: time.clock,
    level: "info",
    service: "tidemark-broker",
    instanceId: "1",
    write: (line) => lines.push(line),
  });
  const { onLost, lost } = createLostSpans({ clock: time.clock, logger, metrics: createMetrics(createNoopMeter()) });
  onLost("export_failed", 5, new Error("connect ECONNREFUSED"));
  for (let span = 0; span < 1000; span++) onLost("queue_full", 1, undefined);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain("connect ECONNREFUSED");
  await time.advance(59_999);
  onLost("queue_full", 1, undefined);
  expect(lines).toHaveLength(1);
  await time.advance(1);
  onLost("queue_full", 1, undefined);
  expect(lines).toHaveLength(2);
  expect(JSON.parse(lines[1] ?? "{}")).toMatchObject({ level: "warn", queueFull: 1002, exportFailed: 5 });
  expect([lost("queue_full"), lost("export_failed")]).toEqual([1002, 5]);
});
