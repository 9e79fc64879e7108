import { defineConfig } from "vitest/config";

/** Tests beside the code they test. One process a file: a test that leaks something is the one that fails. */
export default defineConfig({
  test: {
    include: ["src/**/*.test.ts"],
    allowOnly: false,
    reporters: ["default", "json"],
    outputFile: { json: "test-results/unit.json" },
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
