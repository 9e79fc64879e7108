import { createManualTime } from "@tidemark/runtime";
import { expect, test } from "vitest";
import { createErrorAllowance } from "./error-allowance.ts";

test("ten failures at once are recorded, and then one each second, of however many there are", async () => {
  const time = createManualTime();
  const allows = createErrorAllowance(time.clock);
  const recordedOf = (failures: number) => Array.from({ length: failures }, () => allows()).filter(Boolean).length;
  expect(recordedOf(1000)).toBe(10);
  await time.advance(999);
  expect(recordedOf(1000)).toBe(0);
  await time.advance(1);
  expect(recordedOf(1000)).toBe(1);
  await time.advance(3500);
  expect(recordedOf(1000)).toBe(3);
  await time.advance(500);
  expect(recordedOf(1000)).toBe(1);
});

test("what was not used is not saved up beyond ten", async () => {
  const time = createManualTime();
  const allows = createErrorAllowance(time.clock);
  await time.advance(3_600_000);
  expect(Array.from({ length: 1000 }, () => allows()).filter(Boolean).length).toBe(10);
});
