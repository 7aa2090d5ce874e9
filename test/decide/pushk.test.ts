/**
 * Skia's `pushk` chose tags of builds by hand, `<time>-<user>-<commit>-clean` or `-dirty`, and wrote them into files.
 * Its cases stand here beside what Landfall does with them; where that is another thing on purpose, the name says so.
 */
import { describe, expect, it } from "vitest";
import { decideTag, highest, matches, type Policy } from "../../shared/decide/policies/index.ts";
import { parsePolicy } from "../../shared/domain/policy.ts";
import { parseReference, printReference } from "../../shared/domain/reference.ts";
import { reviewTags, tagMatcher } from "../../shared/domain/tag-regex.ts";

const parsed = parsePolicy("pattern:(?<text>\\d{4}-\\d\\d-\\d\\dT\\d\\d_\\d\\d_\\d\\dZ)-.+");
const byTime: Policy = parsed.kind === "policy" ? parsed.policy : { kind: "none" };
const older = "2018-04-20T21_14_00Z-ann-1a2b3c4-clean";
const newer = "2018-04-20T21_21_48Z-bob-5d6e7f8-clean";
const dirty = "2018-04-20T22_00_00Z-bob-5d6e7f8-dirty";
const commitTag = "840ee5a432444a504020e1ec3b25e2e3f4763e7b";

describe("the newest build by hand", () => {
  it("is found among other tags by its time", () => {
    const tags = ["2018-04-20T21_14_00Z-..", "foo", "2018-04-20T21_21_48Z-.."];
    expect(highest(byTime, tags)).toBe("2018-04-20T21_21_48Z-..");
  });

  it.each<{ tag: string; takesPart: boolean }>([
    { tag: older, takesPart: true },
    { tag: "2018-04-20T21_14_00Z-x", takesPart: true },
    { tag: "2018-04-20T21_14_00Z-", takesPart: false },
    { tag: "2018-04-20T21_14_00Z", takesPart: false },
    { tag: "2018-04-20T21-14-00Z-x", takesPart: false },
    { tag: "x2018-04-20T21_14_00Z-x", takesPart: false },
    { tag: "foo", takesPart: false },
    { tag: "prod", takesPart: false },
  ])("can be $tag: $takesPart", ({ tag, takesPart }) => {
    expect(matches(byTime, tag)).toBe(takesPart);
  });

  it("is none where there is no such tag: nothing is deployed, which is no failure", () => {
    expect(highest(byTime, ["foo", "latest", commitTag])).toBeUndefined();
  });

  it("is never a dirty one, unlike with pushk: nobody asked for that one by name", () => {
    expect(highest(byTime, [older, newer, dirty])).toBe(newer);
    expect(decideTag(byTime, { running: older, candidate: dirty })).toMatchObject({ reason: "other-tag" });
  });

  it("is no change under review, although its time has underscores", () => {
    const ignores = tagMatcher([reviewTags]);
    expect(["482077_3", older, newer].map(ignores)).toEqual([true, false, false]);
  });
});

describe("going back", () => {
  it("is never what a policy does, unlike with pushk's second newest tag: that may never have run", () => {
    expect(
      highest(
        byTime,
        [older, newer].filter((tag) => tag !== newer),
      ),
    ).toBe(older);
    expect(decideTag(byTime, { running: newer, candidate: older })).toMatchObject({ reason: "older" });
  });
});

describe("what a container runs now", () => {
  it("is left alone where it is somebody's work in progress", () => {
    expect(decideTag(byTime, { running: dirty, candidate: newer })).toMatchObject({ reason: "dirty" });
  });

  it("is left alone where it is named by digest alone", () => {
    expect(decideTag(byTime, { candidate: newer })).toMatchObject({ reason: "digest-pinned" });
  });

  it("is followed with tag and digest, unlike with pushk: Landfall itself writes both", () => {
    const image = `gcr.io/skia-public/fiddler:${older}@sha256:${"a".repeat(64)}`;
    const read = parseReference(image);
    const running = read.kind === "reference" ? read.reference.tag : undefined;
    expect(decideTag(byTime, { running, candidate: newer })).toEqual({ kind: "follow" });
  });

  it("is left alone where it is a commit's image: a time and a commit cannot be compared", () => {
    expect(decideTag(byTime, { running: commitTag, candidate: newer })).toMatchObject({
      reason: "unordered",
    });
  });
});

describe("an image's name", () => {
  it.each<{ image: string; name: string | undefined }>([
    { image: "", name: undefined },
    // pushk and the watcher shorten names of one project, and know no others.
    { image: "debian", name: "docker.io/library/debian:latest" },
    { image: "gcr.io/skia-public/fiddler", name: "gcr.io/skia-public/fiddler:latest" },
    { image: "gcr.io/skia-public/fiddler:prod", name: "gcr.io/skia-public/fiddler:prod" },
    { image: "gcr.io/skia-public/docserver:123456", name: "gcr.io/skia-public/docserver:123456" },
  ])("is whole, never a short one that two projects may share: $image", ({ image, name }) => {
    const read = parseReference(image);
    expect(read.kind === "reference" ? printReference(read.reference) : undefined).toBe(name);
  });
});
