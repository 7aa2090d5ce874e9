import { defineConfig } from "vitest/config";

export default defineConfig({
  root: `${import.meta.dirname}/../..`,
  test: {
    // The failure matrix is the same on every ledger.
    include: ["test/emulators/**/*.test.ts", "test/matrix/**/*.test.ts"],
    provide: { ledger: "firestore" },
    reporters: ["default", ["json", { outputFile: ".test-results/emulators.json" }]],
    // They wait for the emulators most of the time.
    maxWorkers: 3,
    // No credentials are looked for, and no metadata server.
    env: { METADATA_SERVER_DETECTION: "none" },
    // The emulators have moments of their own; the report names what had to be tried twice.
    retry: 1,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
