import { expect, test } from "vitest";
import { brokerSchema, helpText } from "./index.ts";

test("help names every setting with its default, and what has to be given", () => {
  const text = helpText(brokerSchema);
  for (const key of Object.keys(brokerSchema.settings)) expect(text).toContain(`\n  ${key} (`);
  expect(text).toContain("  node.id (required: a whole number from 0 to 2147483647)");
  expect(text).toMatch(/broker\.session\.timeout\.ms \(.*; default 6000\)/);
});
