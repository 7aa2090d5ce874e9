import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { patient, testMs, type WatchedLandfall, watchedLandfall } from "./watched-landfall.ts";

let here: WatchedLandfall;

beforeAll(async () => {
  here = await watchedLandfall();
}, testMs);
afterAll(() => here?.remove());

describe.each([
  { name: "refuses connections", breaks: () => here.line.refuse() },
  { name: "does not answer", breaks: async () => here.line.hang() },
])("a Firestore that $name", ({ breaks }) => {
  afterEach(() => here.line.mend());

  it(
    "has a push delivered again until it is back, and rolled out once",
    async () => {
      await breaks();
      const { digest, event } = await here.push();
      await refused(event, 2);
      expect(await here.landfall.ledger.get("events", event)).toBeUndefined();
      await here.line.mend();
      await here.expectRolledOut({ digest, event });
      // The answer leaves builds after the rollout is on record.
      await vi.waitFor(() => expect(here.statusesOf(event).at(-1)).toBe(204), patient);
    },
    testMs,
  );

  it(
    "has what an instance left behind carried on when it is back, by the message that the instance sent",
    async () => {
      const { digest, event } = await here.push();
      await here.untilVerifying();
      expect(await here.landfall.builds.stop("SIGTERM")).toBe(0);
      await breaks();
      await here.landfall.startBuilds();
      await refused('"kind":"continue"', 2);
      await here.line.mend();
      await here.expectRolledOut({ digest, event });
    },
    testMs,
  );
});

/** Until builds has answered so many deliveries with an error. */
async function refused(words: string, times: number): Promise<void> {
  const before = here.statusesOf(words).length;
  await vi.waitFor(() => {
    const since = here.statusesOf(words).slice(before);
    expect(since.filter((status) => status === 500).length).toBeGreaterThanOrEqual(times);
  }, patient);
}
