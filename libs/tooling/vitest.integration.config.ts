import { defineConfig } from "vitest/config";

/** Tests with real processes: they take longer, and one file runs at a time. */
export default defineConfig({
  test: {
    include: ["integration/**/*.test.ts"],
    allowOnly: false,
    reporters: ["default", "json"],
    outputFile: { json: "test-results/integration.json" },
    fileParallelism: false,
    // Only there to end what would wait for ever: what a test waits for, it awaits itself, for a minute each.
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
