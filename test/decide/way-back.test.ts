import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { asFollowed, detoursOf, leadsBack, tagsTo } from "../../shared/decide/way-back.ts";
import { type Digest, parseReference } from "../../shared/domain/reference.ts";
import type { Wanted } from "../../shared/domain/rollout.ts";
import type { Workload } from "../../shared/domain/workload.ts";
import type { Left } from "../../shared/ledger/ledger.ts";

const repository = "docker.io/acme/web" as const;
const digestOf = (letter: string): Digest => `sha256:${letter.repeat(64)}`;
const image = (letter: string, tag = "int") => `acme/web:${tag}@${digestOf(letter)}`;
const [good, bad, other] = ["a", "b", "c"] as const;

function workload(shown: string, now = "4 rest"): Workload {
  const parsed = parseReference(shown);
  return {
    id: "pit/web",
    target: "pit",
    name: "web",
    version: "1",
    containers: [
      { name: "web", image: shown, ...(parsed.kind === "reference" ? { reference: parsed.reference } : {}) },
    ],
    settings: {},
    misplacedSettings: [],
    fence: 0,
    stamp: { now, next: "5 rest" },
    raw: undefined,
  };
}

const to = (letter: string, tag = "int"): Wanted => ({
  web: { repository, tag, digest: digestOf(letter), generation: 3 },
});

describe("going back", () => {
  const left: Left = { images: { web: image(good) }, now: { web: image(bad) }, stamp: "4 rest" };

  interface Case {
    readonly name: string;
    readonly left?: Left | undefined;
    readonly shown?: Workload;
    readonly to?: Wanted;
    readonly leads: boolean;
  }
  it.each<Case>([
    { name: "leads to what our newest write replaced", leads: true },
    { name: "leads there under another tag too", to: to(good, "v1.0.0"), leads: true },
    { name: "leads nowhere that is known before our first write", left: undefined, leads: false },
    {
      name: "leads elsewhere after a write of somebody else",
      shown: workload(image(bad), "4 other"),
      leads: false,
    },
    { name: "leads elsewhere after two of our writes", shown: workload(image(bad), "5 rest"), leads: false },
    { name: "leads elsewhere once it was done", shown: workload(image(good)), leads: false },
    { name: "leads elsewhere from another image", shown: workload(image(other)), leads: false },
    {
      name: "leads elsewhere from the image under another tag",
      shown: workload(image(bad, "x")),
      leads: false,
    },
    { name: "leads to no other digest", to: to(other), leads: false },
    {
      name: "leads to no other repository",
      left: { ...left, images: { web: `acme/api:int@${digestOf(good)}` } },
      leads: false,
    },
    {
      name: "leads nowhere that is known from an image without a digest",
      left: { ...left, images: { web: "acme/web:int" } },
      leads: false,
    },
    {
      name: "leads nowhere for a container that nothing is known of",
      left: { ...left, images: {} },
      leads: false,
    },
  ])("$name", ({ leads, ...facts }) => {
    const all = { left, shown: workload(image(bad)), to: to(good), ...facts };
    expect(leadsBack(all.left, all.shown, all.to)).toBe(leads);
  });

  it("is not known where the target has no stamp", () => {
    const { stamp: _, ...stampless } = workload(image(bad));
    expect(leadsBack({ ...left, stamp: "" }, stampless, to(good))).toBe(false);
  });
});

describe("the tags to a digest", () => {
  const wanted = { repository, tag: "int", digest: digestOf(good), generation: 1 };
  const seen = (tag: string, letter: string = good) => ({ tag, digest: digestOf(letter) });

  it.each([
    { tag: "1.4.2", counts: true },
    { tag: "v1.4.2", counts: true },
    { tag: "v1.4.2-rc.1", counts: true },
    { tag: "v1.4.2_3f2c1d0", counts: true },
    { tag: "3f2c1d0", counts: true },
    { tag: "main-3f2c1d0aa", counts: true },
    { tag: "9".repeat(40), counts: true },
    { tag: "latest", counts: false },
    { tag: "prod", counts: false },
    { tag: "v1", counts: false },
    { tag: "v1.4", counts: false },
    { tag: "feedface", counts: false },
    { tag: "facade", counts: false },
    { tag: "2026", counts: false },
  ])("$tag of a push: $counts", ({ tag, counts }) => {
    expect(tagsTo(wanted, { builds: [], pushes: [seen(tag)] })).toEqual(counts ? ["int", tag] : ["int"]);
  });

  it("begin with the one that it is recorded with, then those of builds, each once, of that digest only", () => {
    const builds = [seen("2222222"), seen("3333333", other)];
    const pushes = [seen("v1.0.0"), seen("2222222"), { tag: "v2.0.0" }];
    expect(tagsTo(wanted, { builds, pushes })).toEqual(["int", "2222222", "v1.0.0"]);
  });

  it("are few, however many there are", () => {
    const pushes = Array.from({ length: 50 }, (_, patch) => seen(`v1.0.${patch}`));
    expect(tagsTo(wanted, { builds: [], pushes })).toHaveLength(5);
  });
});

describe("a detour", () => {
  it("keeps what is followed, and nothing else about the workload", () => {
    const shown = workload(image(good, "v1.0.0"));
    const followed = asFollowed(shown, { web: { at: "v1.0.0", follows: "int" } });
    expect(followed.containers[0]?.reference).toEqual({ repository, tag: "int", digest: digestOf(good) });
    expect(followed.containers[0]?.image).toBe(shown.containers[0]?.image);
    expect({ ...followed, containers: [] }).toEqual({ ...shown, containers: [] });
  });

  it.each([
    { name: "of a tag that it has left", tag: "v2.0.0" },
    { name: "of the tag that it follows again", tag: "int" },
  ])("$name is over", ({ tag }) => {
    const shown = workload(image(good, tag));
    expect(asFollowed(shown, { web: { at: "v1.0.0", follows: "int" } })).toEqual(shown);
  });

  it.each([
    {
      name: "begins where a digest was reached by another tag",
      shown: "v1.0.0",
      leads: true,
      follows: "int",
    },
    { name: "is none where it has the tag", shown: "int", leads: true, follows: undefined },
    {
      name: "is none of a write that is to lead to a tag",
      shown: "v1.0.0",
      leads: false,
      follows: undefined,
    },
  ])("$name", ({ shown, leads, follows }) => {
    const before = { web: { at: "old", follows: "older" }, proxy: { at: "1.0.0", follows: "int" } };
    const detours = detoursOf(before, workload(image(good, shown)), to(good), leads);
    expect(detours).toEqual({
      proxy: before.proxy,
      ...(follows === undefined ? {} : { web: { at: shown, follows } }),
    });
  });

  it("followed is what was wanted, whatever tag it was reached by", () => {
    const tag = fc.constantFrom("int", "prod", "v1.0.0", "2222222");
    fc.assert(
      fc.property(tag, tag, (at, follows) => {
        const shown = workload(image(good, at));
        const detours = detoursOf(undefined, shown, to(good, follows), true);
        expect(asFollowed(shown, detours).containers[0]?.reference?.tag).toBe(follows);
      }),
    );
  });
});
