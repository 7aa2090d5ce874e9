import fc from "fast-check";
import Range from "semver/classes/range.js";
import { describe, expect, it } from "vitest";
import { namesPreRelease, rangeProblem, tidyRange } from "../../shared/domain/version-range.ts";

describe("a range of versions", () => {
  it.each([
    "*",
    "x",
    "1",
    "1.x",
    "1.2.*",
    "v1.2.3",
    "=1.2.3",
    "^1.4",
    "~1.4.2",
    "~>1.4",
    ">=1.4 <3",
    ">= 1.4  < 3",
    "1.2 - 2.0.0",
    "^1 || ^2.1.0-rc.1",
    ">=2.0.0-0",
    "0.0.0-0a",
  ])("is %s", (range) => {
    expect(rangeProblem(range)).toBeUndefined();
    expect(() => new Range(range)).not.toThrow();
  });

  it.each<{ range: string; problem: RegExp }>([
    { range: "latest", problem: /no npm range/ },
    { range: "1.2.3.4", problem: /no npm range/ },
    { range: "01.2.3", problem: /no npm range/ },
    { range: "1.x.3", problem: /no npm range/ },
    { range: "!=1.2", problem: /no npm range/ },
    { range: "1 - 2 - 3", problem: /no npm range/ },
    { range: "^1 -", problem: /no npm range/ },
    { range: "9007199254740993.0.0", problem: /no npm range/ },
    { range: ">=1.0, <2", problem: /comma/ },
    { range: "1.2.3+build", problem: /build metadata/ },
    { range: "^1 ||", problem: /one side/ },
    { range: `^1${" ".repeat(256)}`, problem: /longer/ },
  ])("is not $range", ({ range, problem }) => {
    expect(rangeProblem(range)).toMatch(problem);
  });

  it("is one for npm too, and means the same when it is tidied", () => {
    const part = fc
      .tuple(
        fc.constantFrom("", "", "<", ">=", ">", "<=", "=", "^", "~", "~>", "!"),
        fc.constantFrom("", "", "", " ", "  "),
        fc.constantFrom(
          "1",
          "1.2",
          "1.2.3",
          "v2.0.0",
          "1.x",
          "*",
          "2.*.*",
          "0.0.3-rc.1",
          "1.2.3-0",
          "1.x.3",
          "01",
        ),
      )
      .map((all) => all.join(""));
    const simple = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("  "));
    const hyphen = fc.tuple(part, part).map(([from, to]) => `${from} - ${to}`);
    const range = fc
      .array(fc.oneof(simple, hyphen), { minLength: 1, maxLength: 2 })
      .map((all) => all.join("||"));
    let judged = 0;
    fc.assert(
      fc.property(range, (text) => {
        if (rangeProblem(text) !== undefined) return;
        judged += 1;
        const tidy = tidyRange(text);
        expect(rangeProblem(tidy)).toBeUndefined();
        expect(tidyRange(tidy)).toBe(tidy);
        expect(new Range(tidy).range).toBe(new Range(text).range);
      }),
      { numRuns: 1_000 },
    );
    expect(judged).toBeGreaterThan(100);
  });

  it.each<{ range: string; names: boolean }>([
    { range: "^1.4", names: false },
    { range: "1.2.0 - 2.0.0", names: false },
    { range: "1 - 2", names: false },
    { range: ">=2.0.0-0", names: true },
    { range: "^1 || 2.0.0-rc.1", names: true },
  ])("names a pre-release: $range, $names", ({ range, names }) => {
    expect(namesPreRelease(range)).toBe(names);
  });
});
