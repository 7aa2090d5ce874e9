import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isCron } from "../../shared/config/cron.ts";
import { freezeEnds } from "../../shared/freeze.ts";

/** Whether the reader of expressions reads it, and finds a time at which it begins. */
function begins(cron: string): boolean {
  try {
    freezeEnds([{ cron, durationMs: 60_000, timezone: "UTC" }]);
    return true;
  } catch {
    return false;
  }
}

describe("a cron expression", () => {
  it.each([
    "0 18 * * 5",
    "0 18 * * FRI",
    "*/15 8-18 * * mon-fri",
    "0,30 0 1,15 JAN-MAR *",
    "0 0 29 2 *",
    "0 0 31 1-12/2 *",
    "0 0 30 2 1",
    "5-59/10 * * * 7",
    " 0  0 20 12 * ",
  ])("is `%s`", (text) => {
    expect(isCron(text)).toBe(true);
    expect(begins(text)).toBe(true);
  });

  it.each([
    ["too few fields", "0 18 * *"],
    ["seconds", "0 0 18 * * 5"],
    ["words", "friday evening at 18 o'clock"],
    ["a nickname", "@daily"],
    ["an hour that is none", "0 24 * * *"],
    ["a minute that is none", "60 * * * *"],
    ["a day before the first", "0 0 0 * *"],
    ["a month that is none", "0 0 1 13 *"],
    ["a weekday that is none", "0 0 * * 8"],
    ["a range from late to early", "0 18-8 * * *"],
    ["a step of nothing", "*/0 * * * *"],
    ["a step that begins nowhere", "5/10 * * * *"],
    ["a list with a hole", "0 1,,2 * * *"],
    ["a day that its month never has", "0 0 30 2 *"],
    ["a day that none of its months has", "0 0 31 4,6,9,11 *"],
  ])("is not one with %s: `%s`", (_name, text) => {
    expect(isCron(text)).toBe(false);
  });

  it("is read, and begins some day, whenever it is taken for one", () => {
    const number = (most: number) => fc.integer({ min: 0, max: most }).map(String);
    const field = (most: number, names: readonly string[]) => {
      const value = names.length === 0 ? number(most) : fc.oneof(number(most), fc.constantFrom(...names));
      const range = fc.tuple(value, value).map(([from, to]) => `${from}-${to}`);
      const part = fc.oneof(fc.constant("*"), value, range);
      const stepped = fc.tuple(part, fc.integer({ min: 0, max: most })).map(([of, step]) => `${of}/${step}`);
      return fc
        .array(fc.oneof({ weight: 3, arbitrary: part }, { weight: 1, arbitrary: stepped }), {
          minLength: 1,
          maxLength: 2,
        })
        .map((parts) => parts.join(","));
    };
    const expression = fc
      .tuple(field(60, []), field(24, []), field(32, []), field(13, ["feb", "Dec"]), field(8, ["mon", "SAT"]))
      .map((parts) => parts.join(" "));
    let taken = 0;
    fc.assert(
      fc.property(expression, (text) => {
        if (!isCron(text)) return;
        taken++;
        expect(begins(text), text).toBe(true);
      }),
      { numRuns: 3_000 },
    );
    expect(taken).toBeGreaterThan(100);
  });
});
