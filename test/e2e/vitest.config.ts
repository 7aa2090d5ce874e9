import { defineConfig } from "vitest/config";

export default defineConfig({
  root: `${import.meta.dirname}/../..`,
  test: {
    include: ["test/e2e/**/*.test.ts"],
    setupFiles: ["test/e2e/needs-testbed.ts"],
    // One Swarm, one pair of registries: the files take turns.
    fileParallelism: false,
    // Tests that are declared concurrent wait for pods most of the time, not for the machine.
    maxConcurrency: 24,
    reporters: ["default", ["json", { outputFile: ".test-results/e2e.json" }]],
    testTimeout: 180_000,
    hookTimeout: 60_000,
  },
});
