import { expect, it } from "vitest";
import { progressText, telling } from "../../shared/flows/full-run-progress.ts";

const at = { targets: 1, ofTargets: 4, asked: 312, ofAsked: 1_000 };

it.each([
  [at, "1 of 4 targets compared, 312 of 1,000 registry look-ups done"],
  [{ ...at, targets: 0, ofTargets: 1, asked: 0, ofAsked: 0 }, "0 of 1 target compared"],
])("is told in words", (progress, text) => {
  expect(progressText(progress)).toBe(text);
});

/** What is told when a run reports its progress each 100 ms for so long. */
async function told(forMs: number, more?: (text: string) => Promise<void>) {
  let nowMs = 0;
  const lines: string[] = [];
  const clock = { now: () => nowMs, monotonic: () => nowMs, sleep: async () => {} };
  const log = { write: (severity: string, message: string) => void lines.push(`${severity} ${message}`) };
  const { onProgress, settled } = telling({ clock, log }, more);
  for (; nowMs <= forMs; nowMs += 100) {
    onProgress({ ...at, asked: nowMs / 100 });
    await Promise.resolve();
  }
  return { lines, settled };
}

it("is told each two seconds, and of a short run not at all", async () => {
  expect((await told(1_900)).lines).toEqual([]);
  expect((await told(6_500)).lines.map((line) => /\d+ of 1,000/.exec(line)?.[0])).toEqual([
    "20 of 1,000",
    "40 of 1,000",
    "60 of 1,000",
  ]);
});

it("leaves lines out while one is still being told elsewhere", async () => {
  let go = () => {};
  const slow: string[] = [];
  const { lines, settled } = await told(6_500, (text) => {
    slow.push(text);
    return new Promise((resolve) => {
      go = resolve;
    });
  });
  expect(slow).toHaveLength(1);
  expect(lines).toHaveLength(1);
  go();
  await settled();
});

it("goes on when it cannot be told elsewhere", async () => {
  const { lines, settled } = await told(2_000, async () => {
    throw new Error("no ledger");
  });
  await settled();
  expect(lines.at(-1)).toBe("warning progress is not told: no ledger");
});
