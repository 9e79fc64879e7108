import { defineConfig } from "vitest/config";

/** Tests with real processes: they take longer, and one file runs at a time. */
export default defineConfig({
  test: {
    include: ["integration/**/*.test.ts"],
    allowOnly: false,
    reporters: ["default", "json"],
    outputFile: { json: "test-results/integration.json" },
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
