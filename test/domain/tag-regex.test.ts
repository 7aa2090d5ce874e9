import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isTag } from "../../shared/domain/reference.ts";
import { readTagRegex, reviewTags, TagRegexText, tagMatcher } from "../../shared/domain/tag-regex.ts";
import { tagCharacters } from "../../shared/domain/tag-regex-syntax.ts";

function regexOf(source: string, extent: "whole" | "anywhere" = "whole") {
  const read = readTagRegex(source, extent);
  if (read.kind === "invalid") throw new Error(`${source}: ${read.reason}`);
  return read.regex;
}

describe("a regular expression over tags", () => {
  it.each<{ source: string; tag: string; captured: Record<string, string> | undefined }>([
    { source: "v1", tag: "v1", captured: {} },
    { source: "v1", tag: "v10", captured: undefined },
    { source: "^v1$", tag: "v1", captured: {} },
    { source: "^build-(?<number>\\d+)$", tag: "build-1042", captured: { number: "1042" } },
    { source: "(?<text>\\d{4}-\\d\\d)-.+", tag: "2024-11-ab", captured: { text: "2024-11" } },
    { source: "(?<text>[a-f0-9]{3,5}?)(\\w*)", tag: "abcdef", captured: { text: "abc" } },
    { source: "(?<text>.+)-(alpine|slim)", tag: "1-2-slim", captured: { text: "1-2" } },
    { source: "(?:v(?<number>\\d+)|edge)", tag: "edge", captured: {} },
    { source: "a\\.b\\-c\\_d", tag: "a.b-c_d", captured: {} },
    { source: "[^a-y.]+", tag: "z_-", captured: {} },
    { source: "(?:)", tag: "v1", captured: undefined },
  ])("$source on $tag", ({ source, tag, captured }) => {
    expect(regexOf(source).match(tag)).toEqual(captured);
  });

  it("is looked for anywhere where that is asked", () => {
    expect(regexOf("rc", "anywhere").match("v1-rc2")).toEqual({});
    expect(regexOf("^rc", "anywhere").match("v1-rc2")).toBeUndefined();
    expect(regexOf("(?<number>\\d+)", "anywhere").match("v12-rc2")).toEqual({ number: "12" });
  });

  it("matches nothing that is no tag", () => {
    expect(regexOf(".*").match("-starts-with-a-dash")).toBeUndefined();
    expect(regexOf(".*").match("a".repeat(128))).toEqual({});
    expect(regexOf(".*").match("a".repeat(129))).toBeUndefined();
    expect(regexOf(".*").match("")).toBeUndefined();
  });

  it.each<{ source: string; reason: RegExp }>([
    { source: "", reason: /empty/ },
    { source: "a".repeat(257), reason: /longer than 256/ },
    { source: "(a", reason: /`\(` without its `\)`/ },
    { source: "a)", reason: /`\)` without its `\(`/ },
    { source: "[a", reason: /`\[` without its `\]`/ },
    { source: "*a", reason: /repeats nothing/ },
    { source: "a**", reason: /repeats nothing/ },
    { source: "a{,3}", reason: /repeats nothing/ },
    { source: "a{3,1}", reason: /`m` is less than its `n`/ },
    { source: "^*", reason: /repeats `\^` or `\$`/ },
    { source: "(a)\\1", reason: /escape/ },
    { source: "(?<text>a)\\k<text>", reason: /escape/ },
    { source: "\\bv1", reason: /escape/ },
    { source: "v(?=1)", reason: /ahead or behind/ },
    { source: "(?<!v)1", reason: /ahead or behind/ },
    { source: "(?i:v)1", reason: /kind of group/ },
    { source: "(?<1>v)", reason: /kind of group/ },
    { source: "(?:a*)*", reason: /may be empty/ },
    { source: "(?:-?\\d*)?", reason: /may be empty/ },
    { source: "(?:-rc|$)?", reason: /may be empty/ },
    { source: "[z-a]", reason: /JavaScript does not read/ },
    { source: "/^v1$/", reason: /character that no tag has/ },
    { source: "v1 .*", reason: /character that no tag has/ },
    { source: "é", reason: /character that no tag has/ },
    { source: "(?<number>\\d)+", reason: /repeats a named group/ },
    { source: "a{501}", reason: /counts too far/ },
    { source: "(?:(?:(?:(?:){99}){99}){99}){99}", reason: /counts too far/ },
  ])("says what is wrong with $source, and does not repeat it", ({ source, reason }) => {
    const read = readTagRegex(source, "whole");
    expect(read).toEqual({ kind: "invalid", reason: expect.stringMatching(reason) });
  });

  it.each([
    "(?:a+)+",
    "(?:a|a)*",
    "(?:a|aa)+",
    "a*a*a*a*a*a*a*a*a*a*",
    "(?:.*a){12}",
    "(?:a?){60}a{60}",
    "(?:(?:a|a)+_?)+",
  ])("answers for %s, on which a backtracking engine would never end", (source) => {
    expect(regexOf(source).match(`${"a".repeat(127)}-`)).toBeUndefined();
    expect(regexOf(`${source}_`, "anywhere").match(`${"a".repeat(127)}-`)).toBeUndefined();
  });

  const atom = fc.constantFrom("a", "b", "1", ".", "[ab]", "[^a]", "\\d", "\\.", "\\w");
  const { source } = fc.letrec<{ source: string; piece: string }>((tie) => ({
    source: fc.oneof(
      { maxDepth: 4 },
      atom,
      tie("piece"),
      fc.tuple(tie("source"), tie("source")).map(([one, other]) => `${one}${other}`),
      fc.tuple(tie("source"), tie("source")).map(([one, other]) => `(?:${one}|${other})`),
      tie("source").map((one) => `(?:|${one})`),
    ),
    piece: fc
      .tuple(
        fc.oneof(atom, tie("source")),
        fc.constantFrom("", "*", "+", "?", "{2}", "{1,}", "{0,2}"),
        fc.constantFrom("", "?"),
      )
      .map(([one, sign, lazy]) => `(?:${one})${sign}${sign === "" ? "" : lazy}`),
  }));

  it("matches and captures as JavaScript does", () => {
    fc.assert(
      fc.property(
        fc.tuple(source, source, source),
        fc.array(fc.constantFrom("a", "b", "1", ".", "-"), { minLength: 1, maxLength: 7 }),
        ([before, inside, after], letters) => {
          const tag = letters.join("");
          fc.pre(isTag(tag));
          const text = `${before}(?<text>${inside})${after}`;
          fc.pre(readTagRegex(text, "whole").kind === "regex");
          for (const [extent, theirs] of [
            ["whole", new RegExp(`^(?:${text})$`)],
            ["anywhere", new RegExp(text)],
          ] as const) {
            expect(regexOf(text, extent).match(tag)?.text).toBe(theirs.exec(tag)?.groups?.text);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it("knows every character that a tag can have", () => {
    const all = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code));
    expect(all.filter((character) => isTag(`a${character}`)).toSorted()).toEqual(tagCharacters.toSorted());
  });
});

describe("tags that are not to be deployed", () => {
  it.each<{ tag: string; ignored: boolean }>([
    { tag: "482077_3", ignored: true },
    { tag: "840ee5a432444a504020e1ec3b25e2e3f4763e7b", ignored: false },
    // Underscores alone make no change under review: tags of builds by hand have them in their time.
    { tag: "2018-04-20T21_14_00Z-ann-1a2b3c4-clean", ignored: false },
    { tag: "v1.4.0_3f2c1d0", ignored: false },
  ])("a change under review by default: $tag is one: $ignored", ({ tag, ignored }) => {
    expect(tagMatcher([reviewTags])(tag)).toBe(ignored);
  });

  it("are those in which any expression is found; without any, none", () => {
    const ignores = tagMatcher(["^pr-", "nightly"]);
    expect(["pr-7", "v1-nightly", "v1", "x-pr-7"].map(ignores)).toEqual([true, true, false, false]);
    expect(tagMatcher([])("v1")).toBe(false);
  });

  it("are checked in the configuration", () => {
    expect(TagRegexText.safeParse(reviewTags).success).toBe(true);
    expect(TagRegexText.safeParse("(").error?.issues[0]?.message).toMatch(/without its/);
  });
});
