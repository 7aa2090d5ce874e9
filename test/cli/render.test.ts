import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { matchAddress } from "../../functions/cli/address.ts";
import { columns } from "../../functions/cli/render/table.ts";
import { ago, instant, took } from "../../functions/cli/render/time.ts";
import { explainVerdict, shortDigest, shortImage } from "../../functions/cli/render/words.ts";
import { skipReasons } from "../../shared/domain/reasons.ts";
import { digest } from "./record.ts";

describe("a table", () => {
  it("has columns that begin at the same place, and no blanks at the end", () => {
    const cell = fc.stringMatching(/^[a-z]{1,12}$/);
    const rows = fc
      .integer({ min: 1, max: 5 })
      .chain((width) =>
        fc.array(fc.array(cell, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 8 }),
      );
    fc.assert(
      fc.property(rows, (cells) => {
        const lines = columns(cells, "  ").split("\n");
        expect(lines).toHaveLength(cells.length);
        const starts = lines.map((line) => [...line.matchAll(/\S+/g)].map(({ index }) => index));
        expect(new Set(starts.map((each) => each.join(","))).size).toBe(1);
        expect(lines.every((line) => !line.endsWith(" "))).toBe(true);
      }),
    );
  });
});

describe("a duration", () => {
  it.each([
    [-5, "0 ms"],
    [0, "0 ms"],
    [840, "840 ms"],
    [2_100, "2.1 s"],
    [59_949, "59.9 s"],
    [59_970, "1 min"],
    [200_000, "3 min 20 s"],
    [3_599_800, "1 h"],
    [7_500_000, "2 h 5 min"],
    [273_600_000, "3 d 4 h"],
  ])("of %i ms is %s", (ms, text) => {
    expect(took(ms)).toBe(text);
  });
});

describe("a time", () => {
  it.each([
    [0, "just now"],
    [999, "just now"],
    [40_000, "40 s ago"],
    [-20_000, "in 20 s"],
    [179_999, "2 min ago"],
    [3_600_000, "1 h ago"],
    [100 * 86_400_000, "100 d ago"],
  ])("%i ms before now is %s", (ms, text) => {
    expect(ago(1_000_000_000_000 - ms, 1_000_000_000_000)).toBe(text);
  });

  it("is an instant in UTC, even a senseless one", () => {
    expect(instant(Date.UTC(2026, 10, 22, 2, 31, 7, 999))).toBe("2026-11-22 02:31:07Z");
    expect(instant(Number.NaN)).toBe("at an unknown time");
  });
});

describe("an address", () => {
  const ids = ["prod/web", "int/web", "int/web-api", "gke/shop/deployment/web"];

  it.each([
    ["prod/web", { kind: "one", id: "prod/web" }],
    ["web-api", { kind: "one", id: "int/web-api" }],
    ["deployment/web", { kind: "one", id: "gke/shop/deployment/web" }],
    ["web", { kind: "several", ids: ["gke/shop/deployment/web", "int/web", "prod/web"] }],
    ["eb", { kind: "none", meant: "web" }],
    ["web-apo", { kind: "none", meant: "int/web-api" }],
    ["prd/web", { kind: "none", meant: "prod/web" }],
    ["prod", { kind: "none" }],
  ])("%s is found by its whole parts", (text, match) => {
    expect(matchAddress(text, ids)).toEqual(match);
  });

  it("that is whole is itself, whatever else ends like it", () => {
    expect(matchAddress("int/web", [...ids, "gke/int/web"])).toEqual({ kind: "one", id: "int/web" });
  });
});

describe("a verdict", () => {
  it.each(Object.keys(skipReasons))("of %s has a sentence that is not its name", (reason) => {
    const { sentence } = explainVerdict({ workload: "a/b", kind: "skipped", reason });
    expect(sentence).toMatch(/^[A-Z].*\.$/);
  });

  it("with a reason of another version still shows it", () => {
    expect(
      explainVerdict({ workload: "a/b", kind: "skipped", reason: "from-the-future" }).sentence,
    ).toContain("from-the-future");
  });

  it("with a reason that every object has is no known one", () => {
    expect(explainVerdict({ workload: "a/b", kind: "skipped", reason: "constructor" }).sentence).toContain(
      "constructor",
    );
  });
});

describe("a digest", () => {
  it("is 12 hex digits in tables", () => {
    expect(shortDigest(digest("c"))).toBe("cccccccccccc");
    expect(shortDigest(undefined)).toBe("-");
    expect(shortImage(`acme/web:v1@${digest("c")}`)).toBe("acme/web:v1@cccccccccccc");
    expect(shortImage("acme/web:v1")).toBe("acme/web:v1");
  });
});
