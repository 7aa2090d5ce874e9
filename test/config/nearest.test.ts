import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { editDistance, nearest } from "../../shared/config/nearest.ts";

describe("the nearest word", () => {
  it.each([
    ["stauts", "status"],
    ["folow", "follow"],
    ["Targets", "targets"],
    ["regstry", "registries"],
  ])("for %s is %s", (word, expected) => {
    expect(nearest(word, ["status", "ledger", "follow", "targets", "registries"])).toBe(expected);
  });

  it("is none when nothing is close", () => {
    expect(nearest("banana", ["status", "ledger"])).toBeUndefined();
  });

  it("has a distance that is 0 for itself alone, the same both ways, and at most the longer word", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), (left, right) => {
        const distance = editDistance(left, right);
        expect(distance === 0).toBe(left === right);
        expect(editDistance(right, left)).toBe(distance);
        expect(distance).toBeLessThanOrEqual(Math.max(left.length, right.length));
      }),
    );
  });
});
