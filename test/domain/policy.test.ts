import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Policy, PolicyText, parsePolicy, printPolicy } from "../../shared/domain/policy.ts";

describe("a policy as it is written", () => {
  it.each<{ text: string; policy: Policy }>([
    { text: "tag", policy: { kind: "tag" } },
    { text: " none ", policy: { kind: "none" } },
    { text: "commit", policy: { kind: "commit" } },
    { text: "semver", policy: { kind: "semver", range: "*" } },
    { text: "semver:*", policy: { kind: "semver", range: "*" } },
    { text: "semver: >= 1.4   <3", policy: { kind: "semver", range: ">=1.4 <3" } },
    {
      text: "pattern:^build-(?<number>\\d+)$",
      policy: { kind: "pattern", regex: "^build-(?<number>\\d+)$", group: "number" },
    },
    {
      text: "pattern:(?:main|release)-(?<text>[0-9-]+)",
      policy: { kind: "pattern", regex: "(?:main|release)-(?<text>[0-9-]+)", group: "text" },
    },
  ])("$text is read", ({ text, policy }) => {
    expect(parsePolicy(text)).toEqual({ kind: "policy", policy });
    expect(JSON.parse(JSON.stringify(policy))).toEqual(policy);
    expect(PolicyText.parse(text)).toEqual(policy);
  });

  it.each<{ text: string; reason: string }>([
    { text: "", reason: "is empty; write `tag`" },
    { text: "  ", reason: "is empty" },
    { text: "Tag", reason: "is no policy; write `tag`" },
    { text: "tag:v1", reason: "stands alone" },
    { text: "commit:main", reason: "stands alone" },
    { text: "channel", reason: "is never written" },
    { text: "semver:", reason: "no range behind" },
    { text: "semver:latest", reason: "is no npm range; write for example" },
    { text: "semver:>=1, <2", reason: "has a comma" },
    { text: "^1.4", reason: "write `semver:` before it" },
    { text: "v1.x", reason: "write `semver:` before it" },
    { text: "pattern", reason: "no regular expression" },
    { text: "pattern:", reason: "no regular expression" },
    { text: "pattern:^v\\d+$", reason: "no group that orders tags" },
    { text: "pattern:^v(\\d+)$", reason: "no group that orders tags" },
    { text: "pattern:^v(?<num>\\d+)$", reason: "no group that orders tags" },
    { text: "pattern:(?<number>\\d+)-(?<text>.+)", reason: "more than one named group" },
    { text: "pattern:(?<number>\\d+)|v(?<number>\\d+)", reason: "more than one named group" },
    { text: "pattern:(?<number>\\d+", reason: "`(` without its `)`" },
    { text: "pattern:(?<number>\\d+)(?!-rc)", reason: "looks ahead or behind" },
    { text: "minor", reason: "write `semver:^1.4`" },
    { text: "REGEXP:^v", reason: "write `pattern:REGEX`" },
    { text: "constructor", reason: "is no policy" },
  ])("$text is refused, with what to write instead", ({ text, reason }) => {
    const parsed = parsePolicy(text);
    expect(parsed).toEqual({ kind: "invalid", reason: expect.stringContaining(reason) });
    expect(PolicyText.safeParse(text).error?.issues).toEqual([
      expect.objectContaining({ message: expect.stringContaining(reason) }),
    ]);
  });

  const policy: fc.Arbitrary<Policy> = fc.oneof(
    fc.constantFrom<Policy>({ kind: "tag" }, { kind: "none" }, { kind: "commit" }),
    fc
      .constantFrom("*", "^1.4", ">=1.4 <3", "1.2 - 2.0", "^1 || ^2.0.0-0")
      .map((range): Policy => ({ kind: "semver", range })),
    fc
      .record({ before: fc.constantFrom("", "^v", "[a-z:]+"), group: fc.constantFrom("number", "text") })
      .map(({ before, group }): Policy => ({ kind: "pattern", regex: `${before}(?<${group}>\\d+)`, group })),
  );

  it("is read back as it was from what is printed of it", () => {
    fc.assert(
      fc.property(policy, (each) => {
        expect(parsePolicy(printPolicy(each))).toEqual({ kind: "policy", policy: each });
      }),
    );
  });

  it("is read or refused, whatever stands there, and is read again as it is printed", () => {
    const word = fc.constantFrom(
      "tag",
      "semver",
      "pattern",
      "commit",
      ":",
      "(?<number>",
      "\\d+",
      ")",
      "^1",
      " ",
      "|",
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(word).map((words) => words.join("")),
        ),
        (text) => {
          const parsed = parsePolicy(text);
          if (parsed.kind === "policy") expect(parsePolicy(printPolicy(parsed.policy))).toEqual(parsed);
          else expect(parsed.reason).toMatch(/^(?:is|has|seems|stands) /);
        },
      ),
    );
  });

  it("can be read wherever the documentation shows one", () => {
    const page = readFileSync(join(import.meta.dirname, "../../docs/policies.md"), "utf8");
    const shown = [...page.matchAll(/(?<=`)(?:semver|pattern):[^`A-Z][^`]*(?=`)/g)].map(([text]) => text);
    expect(shown.length).toBeGreaterThan(8);
    for (const text of shown) expect(parsePolicy(text)).toMatchObject({ kind: "policy" });
  });

  it("has a name for the policy that nobody writes", () => {
    expect(printPolicy({ kind: "channel" })).toBe("channel");
  });
});
