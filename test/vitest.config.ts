import { defineConfig } from "vitest/config";

export default defineConfig({
  root: `${import.meta.dirname}/..`,
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/e2e/**", "test/emulators/**", "node_modules/**"],
    reporters: ["default", ["json", { outputFile: ".test-results/unit.json" }]],
    provide: { ledger: "embedded" },
    // By default one core is left to others.
    maxWorkers: "100%",
    testTimeout: 20_000,
  },
});
