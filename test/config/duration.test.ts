import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseDuration, printDuration } from "../../shared/config/duration.ts";

describe("a duration", () => {
  it.each([
    ["10m", 600_000],
    ["15s", 15_000],
    ["500ms", 500],
    ["1h30m", 5_400_000],
    ["60h", 216_000_000],
    ["2d", 172_800_000],
    ["1m500ms", 60_500],
    ["0s", 0],
  ])("%s is %i ms", (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(["", "10", "m", "10 m", "-1s", "1.5h", "10M", "1s1m", "1m1m", "ten minutes", "10m "])(
    "`%s` is none",
    (text) => {
      expect(parseDuration(text)).toBeUndefined();
    },
  );

  it("is read back from how it is printed", () => {
    fc.assert(fc.property(fc.nat(400 * 86_400_000), (ms) => parseDuration(printDuration(ms)) === ms));
  });
});
