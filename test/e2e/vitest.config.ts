import { defineConfig } from "vitest/config";

/** The slice, from a push to its rollout: the same tests for the sources and for what is built of them. */
const slice = ["push", "repeated-push", "many-services"].map((name) => `test/e2e/${name}.test.ts`);

export default defineConfig({
  root: `${import.meta.dirname}/../..`,
  test: {
    // Files share the Swarm, the cluster and the registries, each with names of its own. They wait for tasks and pods most
    // of the time, not for the machine.
    maxWorkers: 3,
    maxConcurrency: 24,
    reporters: ["default", ["json", { outputFile: ".test-results/e2e.json" }]],
    globalSetup: ["test/e2e/notifications.ts"],
    projects: [
      {
        extends: true,
        test: {
          name: "sources",
          include: ["test/e2e/**/*.test.ts"],
          // Fifty services are as many for what is built of the sources.
          exclude: ["test/e2e/built/**", "test/e2e/many-services.test.ts"],
          setupFiles: ["test/e2e/needs-testbed.ts"],
        },
      },
      {
        extends: true,
        test: {
          name: "built folders",
          include: [...slice, "test/e2e/built/**/*.test.ts"],
          setupFiles: ["test/e2e/needs-testbed.ts", "test/e2e/built/needs-emulators.ts"],
          globalSetup: ["test/e2e/notifications.ts", "test/e2e/built/build.ts"],
        },
      },
    ],
    // Real systems have moments of their own; the report names what had to be tried twice.
    retry: 1,
    testTimeout: 180_000,
    hookTimeout: 60_000,
  },
});
