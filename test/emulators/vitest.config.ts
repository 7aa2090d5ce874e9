import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** The emulators' own tests wait for deadlines most of the time: they begin, and the others go on beside them. */
class WaitingFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const waits = ({ moduleId }: TestSpecification) => moduleId.includes("/test/emulators/");
    return [...sorted.filter(waits), ...sorted.filter((each) => !waits(each))];
  }
}

export default defineConfig({
  root: `${import.meta.dirname}/../..`,
  test: {
    // The failure matrix is the same on every ledger.
    include: ["test/emulators/**/*.test.ts", "test/matrix/**/*.test.ts"],
    provide: { ledger: "firestore" },
    reporters: ["default", ["json", { outputFile: ".test-results/emulators.json" }]],
    maxWorkers: 4,
    sequence: { sequencer: WaitingFirst },
    // No credentials are looked for, and no metadata server.
    env: { METADATA_SERVER_DETECTION: "none" },
    // The emulators have moments of their own; the report names what had to be tried twice.
    retry: 1,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
