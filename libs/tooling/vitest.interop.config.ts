import { defineConfig } from "vitest/config";

/** Tests that need a program from outside. */
export default defineConfig({
  test: {
    include: ["libs/*/interop/**/*.test.ts", "services/*/interop/**/*.test.ts", "deploy/interop/**/*.test.ts"],
    allowOnly: false,
    reporters: ["default", "json"],
    outputFile: { json: "test-results/interop.json" },
    fileParallelism: false,
    hookTimeout: 120_000,
  },
});
