import { expect, it } from "vitest";
import { processorMs } from "./processor-time.ts";

it("the processor time of a process is what it says of itself, to two ticks", () => {
  const least = process.cpuUsage();
  const used = processorMs(process.pid);
  const most = process.cpuUsage();
  const isBetween = used >= (least.user + least.system) / 1000 - 20 && used <= (most.user + most.system) / 1000 + 20;
  // Elsewhere there is no /proc.
  expect(process.platform === "linux" ? isBetween : Number.isNaN(used)).toBe(true);
});

it("the processor time of a process that is not there is not known", () => {
  expect(processorMs(0)).toBeNaN();
});
