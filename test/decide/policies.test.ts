import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  choosesByTag,
  compareTags,
  decideTag,
  highest,
  matches,
  type Policy,
  type TagDecision,
} from "../../shared/decide/policies/index.ts";
import { parsePolicy } from "../../shared/domain/policy.ts";
import { explainSkip, skipReasons } from "../../shared/domain/reasons.ts";
import { isTag } from "../../shared/domain/reference.ts";

function policyOf(text: string): Policy {
  const parsed = parsePolicy(text);
  if (parsed.kind === "invalid") throw new Error(`${text} ${parsed.reason}`);
  return parsed.policy;
}

/** A decision in one word. */
function word(decision: TagDecision): string {
  return decision.kind === "skip" ? decision.reason : decision.kind;
}

describe("which tags take part", () => {
  it.each<{ policy: string; tags: readonly string[]; others: readonly string[] }>([
    {
      policy: "semver",
      tags: ["1.0.0", "v1.0.0", "0.0.1", "1.4.0_3f2c1d0", "v1.4.0_840ee5a432444a504020e1ec3b25e2e3f4763e7b"],
      others: [
        "latest",
        "1.4",
        "1",
        "v1",
        "1.4.0-rc.1",
        "1.4.0-dirty",
        "1.4.0_3f2c1d0-dirty",
        "1.4.0-alpine",
        "2024.01.05",
        "1.4.0.1",
        "V1.0.0",
        "vv1.0.0",
        "1.4.0_review",
        "9007199254740993.0.0",
      ],
    },
    {
      policy: "semver:^1.4",
      tags: ["1.4.0", "v1.99.7"],
      others: ["1.3.9", "2.0.0", "2.0.0-0", "1.5.0-rc.1"],
    },
    { policy: "semver:^0.3", tags: ["0.3.0", "0.3.9"], others: ["0.4.0", "0.2.9"] },
    { policy: "semver:1.2 - 2.0", tags: ["1.2.0", "2.0.9"], others: ["2.1.0"] },
    { policy: "semver:~1.4.2 || >=3", tags: ["1.4.9", "3.0.0"], others: ["1.4.1", "2.9.9"] },
    {
      policy: "semver:>=2.0.0-0 <3",
      tags: ["2.0.0-alpha", "v2.0.0-rc.1_3f2c1d0", "2.0.0", "2.9.9"],
      others: ["2.1.0-rc.1", "3.0.0", "2.0.0-dirty"],
    },
    {
      policy: "pattern:^build-(?<number>\\d+)$",
      tags: ["build-1", "build-00017", `build-${"9".repeat(122)}`],
      others: ["build-", "build-1-rc", "xbuild-1", "build-1.2"],
    },
    {
      policy: "pattern:(?<number>[\\d.]+)-alpine",
      tags: ["1.25.3-alpine", "1.26-alpine", "7-alpine"],
      others: ["1.25.3", "1.25.3-alpine3.20", "1..2-alpine", "1.-alpine"],
    },
    {
      policy: "pattern:(?<text>\\d{4}-\\d\\d-\\d\\d)-.+",
      tags: ["2024-11-03-clean", "2024-11-03-a"],
      others: ["2024-11-03-", "x2024-11-03-clean", "2024-11-03-dirty"],
    },
    { policy: "tag", tags: ["latest", "v1"], others: [] },
    { policy: "none", tags: [], others: ["latest", "v1.0.0"] },
    { policy: "commit", tags: [], others: ["840ee5a432444a504020e1ec3b25e2e3f4763e7b"] },
  ])("$policy", ({ policy, tags, others }) => {
    expect([...tags, ...others].filter((tag) => !isTag(tag))).toEqual([]);
    expect([...tags, ...others].filter((tag) => matches(policyOf(policy), tag))).toEqual(tags);
  });
});

describe("which of many tags is the highest", () => {
  it.each<{ policy: string; tags: readonly string[]; expected: string | undefined }>([
    { policy: "semver", tags: ["v1.9.0", "v1.10.0", "latest", "v2.0.0-rc.1"], expected: "v1.10.0" },
    { policy: "semver:^1", tags: ["1.9.0", "2.0.0", "1.10.0"], expected: "1.10.0" },
    {
      policy: "semver:>=2.0.0-0",
      tags: ["2.0.0-rc.9", "2.0.0-rc.10", "2.0.0-beta.11"],
      expected: "2.0.0-rc.10",
    },
    { policy: "semver:>=2.0.0-0", tags: ["2.0.0-rc.10", "2.0.0"], expected: "2.0.0" },
    { policy: "semver", tags: ["1.2.0", "1.2.0_3f2c1d0", "v1.2.0"], expected: "v1.2.0" },
    { policy: "semver", tags: ["1.2.0_3f2c1d0", "1.2.0_a01b2c3", "1.2.0"], expected: "1.2.0_a01b2c3" },
    { policy: "semver", tags: ["latest", "main"], expected: undefined },
    { policy: "semver", tags: [], expected: undefined },
    { policy: "pattern:b(?<number>\\d+)", tags: ["b9", "b10", "b0011"], expected: "b0011" },
    {
      policy: "pattern:b(?<number>\\d+)",
      tags: ["b9007199254740993", "b9007199254740992", "b9007199254740991"],
      expected: "b9007199254740993",
    },
    {
      policy: "pattern:(?<number>[\\d.]+)-alpine",
      tags: ["1.9.1-alpine", "1.25-alpine", "1.25.0-alpine", "1.26.0"],
      expected: "1.25.0-alpine",
    },
    { policy: "pattern:b(?<text>\\w+)", tags: ["b9", "b10", "bZ", "ba"], expected: "ba" },
    { policy: "tag", tags: ["v1"], expected: undefined },
    { policy: "none", tags: ["v1"], expected: undefined },
    { policy: "commit", tags: ["v1"], expected: undefined },
  ])("$policy of $tags: $expected", ({ policy, tags, expected }) => {
    expect(highest(policyOf(policy), tags)).toBe(expected);
    expect(highest(policyOf(policy), tags.toReversed())).toBe(expected);
  });

  it("is asked of the policies that choose by tag alone", () => {
    const texts = ["tag", "none", "commit", "semver", "pattern:(?<text>.+)"];
    expect(texts.map((text) => choosesByTag(policyOf(text)))).toEqual([false, false, false, true, true]);
    expect(choosesByTag({ kind: "channel" })).toBe(false);
  });
});

describe("what a tag means for a container", () => {
  it.each<{ policy: string; running: string | undefined; candidate: string; expected: string }>([
    { policy: "tag", running: "v1", candidate: "v1", expected: "same" },
    { policy: "tag", running: "v1", candidate: "v2", expected: "other-tag" },
    { policy: "tag", running: undefined, candidate: "v2", expected: "digest-pinned" },
    { policy: "none", running: "v1", candidate: "v1", expected: "policy-none" },
    { policy: "none", running: undefined, candidate: "v1", expected: "policy-none" },
    { policy: "commit", running: "3f2c1d0", candidate: "a01b2c3", expected: "unordered" },
    { policy: "semver:^1.4", running: "1.4.0", candidate: "v1.5.0", expected: "follow" },
    { policy: "semver:^1.4", running: "1.4.0", candidate: "1.4.0", expected: "same" },
    { policy: "semver:^1.4", running: "1.5.0", candidate: "1.4.9", expected: "older" },
    { policy: "semver:^1.4", running: "1.5.0", candidate: "2.0.0", expected: "other-tag" },
    { policy: "semver:^1.4", running: "1.5.0", candidate: "latest", expected: "other-tag" },
    { policy: "semver:^1.4", running: "1.5.0", candidate: "1.6.0-dirty", expected: "other-tag" },
    { policy: "semver:^1.4", running: "1.5.0-dirty", candidate: "1.6.0", expected: "dirty" },
    { policy: "semver:^1.4", running: "latest", candidate: "1.6.0", expected: "unordered" },
    { policy: "semver:^1.4", running: "1.4", candidate: "1.6.0", expected: "unordered" },
    { policy: "semver:^1.4", running: undefined, candidate: "1.6.0", expected: "digest-pinned" },
    // What runs need not be in the range: that is how a range is changed.
    { policy: "semver:^2", running: "1.9.0", candidate: "2.1.0", expected: "follow" },
    { policy: "semver:^1", running: "2.1.0", candidate: "1.9.0", expected: "older" },
    // To its order 1.25.3-alpine is a pre-release of 1.25.3, and 1.25.4 would be another system.
    { policy: "semver:^1.25", running: "1.25.3-alpine", candidate: "1.25.4", expected: "unordered" },
    { policy: "semver:>=2.0.0-0", running: "2.0.0-rc.1", candidate: "2.0.0", expected: "follow" },
    { policy: "semver:>=2.0.0-0", running: "2.0.0", candidate: "2.0.0-rc.2", expected: "older" },
    { policy: "semver:^1", running: "1.2.0", candidate: "1.2.0_3f2c1d0", expected: "follow" },
    { policy: "semver:^1", running: "1.2.0_3f2c1d0", candidate: "1.2.0", expected: "older" },
    { policy: "pattern:b(?<number>\\d+)", running: "b9", candidate: "b10", expected: "follow" },
    { policy: "pattern:b(?<number>\\d+)", running: "b10", candidate: "b9", expected: "older" },
    { policy: "pattern:b(?<number>\\d+)", running: "main", candidate: "b9", expected: "unordered" },
    { policy: "pattern:b(?<number>\\d+)", running: "b9", candidate: "main", expected: "other-tag" },
  ])("$policy, running $running, sees $candidate: $expected", ({ policy, running, candidate, expected }) => {
    expect(word(decideTag(policyOf(policy), { running, candidate }))).toBe(expected);
  });

  it("moves nothing on a channel by a tag: promotions do", () => {
    expect(word(decideTag({ kind: "channel" }, { running: "prod", candidate: "prod" }))).toBe("unordered");
  });

  it("names both tags, and what can be done, when it cannot compare", () => {
    const decision = decideTag(policyOf("semver:^1.4"), { running: "latest", candidate: "1.6.0" });
    expect(decision).toMatchObject({ detail: "it runs latest, which is not a whole version such as v1.4.2" });
    expect(explainSkip("unordered").next).toContain("docs/policies.md");
  });
});

const small = fc.integer({ min: 0, max: 2 });
const versionTag = fc
  .tuple(
    fc.constantFrom("", "v"),
    fc.tuple(small, small, small).map((numbers) => numbers.join(".")),
    fc.constantFrom("", "", "-rc.1", "-rc.2", "-rc.10", "-alpha", "-0", "-dirty"),
    fc.constantFrom("", "", "_3f2c1d0", "_a01b2c3"),
  )
  .map((parts) => parts.join(""));
const buildTag = fc
  .tuple(
    fc.constantFrom("b", "c"),
    fc.oneof(fc.bigInt({ min: 0n, max: 20n }), fc.bigInt({ min: 0n, max: 1n << 70n })),
  )
  .chain(([letter, number]) =>
    fc.constantFrom(`${letter}${number}`, `${letter}0${number}`, `${letter}${number}.1`),
  );
const otherTag = fc.constantFrom("latest", "1.4", "main", "prod", "1.0.0-dirty", "b", "b1-dirty");
const tags = fc.array(fc.oneof(versionTag, buildTag, otherTag), { maxLength: 12 });
const policy = fc
  .constantFrom(
    "semver",
    "semver:^1",
    "semver:>=1.0.0-0",
    "semver:~1.1 || 2.0.0-rc.1",
    "pattern:[bc](?<number>\\d+)",
    "pattern:b(?<number>[\\d.]+)",
    "pattern:(?:b|v)?(?<text>.+)",
    "pattern:(?<text>[a-z]).*",
    "tag",
    "none",
    "commit",
  )
  .map(policyOf);

describe("every policy", () => {
  it("has one highest tag, whatever the order and number of the same tags", () => {
    const orders = tags.chain((all) =>
      fc.tuple(fc.constant(all), fc.shuffledSubarray([...all, ...all], { minLength: all.length * 2 })),
    );
    fc.assert(
      fc.property(policy, orders, (each, [one, other]) => {
        expect(highest(each, other)).toBe(highest(each, one));
      }),
    );
  });

  it("has a highest tag that takes part, is one of them, and is below no other that does", () => {
    fc.assert(
      fc.property(policy, tags, (each, all) => {
        const partaking = all.filter((tag) => matches(each, tag));
        const best = highest(each, all);
        if (!choosesByTag(each) || partaking.length === 0) {
          expect(best).toBeUndefined();
          return;
        }
        expect(partaking).toContain(best);
        for (const tag of partaking) expect(compareTags(each, best ?? "", tag)).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it("orders tags totally: 0 for the same one only, the other way round the other sign, never in a circle", () => {
    fc.assert(
      fc.property(policy, tags, (each, all) => {
        const known = all.filter((tag) => compareTags(each, tag, tag) !== undefined);
        if (each.kind === "tag") return;
        for (const one of known) {
          for (const other of known) {
            const sign = Math.sign(compareTags(each, one, other) ?? Number.NaN);
            expect(sign === 0).toBe(one === other);
            expect(Math.sign(compareTags(each, other, one) ?? Number.NaN) + sign).toBe(0);
            for (const third of known) {
              if (sign < 0 && (compareTags(each, other, third) ?? 0) < 0) {
                expect(compareTags(each, one, third)).toBeLessThan(0);
              }
            }
          }
        }
      }),
    );
  });

  it("compares every tag that takes part, and none that it cannot read", () => {
    fc.assert(
      fc.property(policy, tags, (each, all) => {
        for (const tag of all) {
          if (matches(each, tag)) expect(compareTags(each, tag, tag)).toBe(0);
          if (compareTags(each, tag, tag) === undefined) {
            for (const other of all) expect(compareTags(each, tag, other)).toBeUndefined();
          }
        }
      }),
    );
  });

  it("never goes below what runs, and only to a tag that takes part", () => {
    fc.assert(
      fc.property(policy, tags, fc.option(fc.oneof(versionTag, buildTag, otherTag)), (each, all, now) => {
        const running = now ?? undefined;
        for (const candidate of all) {
          const decision = decideTag(each, { running, candidate });
          if (decision.kind === "same") expect(candidate).toBe(running);
          if (decision.kind === "skip") expect(skipReasons).toHaveProperty(decision.reason);
          if (decision.kind !== "follow") continue;
          expect(matches(each, candidate)).toBe(true);
          expect(compareTags(each, candidate, running ?? "")).toBeGreaterThan(0);
        }
      }),
    );
  });

  it("ends at the highest tag in whatever order tags are seen, and only goes up on the way", () => {
    const seen = fc.array(versionTag, { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(seen, (all) => {
        const each = policyOf("semver");
        const start = "0.0.0";
        const end = all.reduce((running, candidate) => {
          const next = decideTag(each, { running, candidate }).kind === "follow" ? candidate : running;
          expect(compareTags(each, next, running)).toBeGreaterThanOrEqual(0);
          return next;
        }, start);
        expect(end).toBe(highest(each, [start, ...all]));
      }),
    );
  });
});
