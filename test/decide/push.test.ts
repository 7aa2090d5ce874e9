import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decidePush, type Known, type Observed, type Rules, stillFollows } from "../../shared/decide/push.ts";
import type { ImageRule } from "../../shared/decide/rules.ts";
import { type Digest, parseReference } from "../../shared/domain/reference.ts";
import type { Workload } from "../../shared/domain/workload.ts";

const digest = (letter: string): Digest => `sha256:${letter.repeat(64)}`;
const seen: Observed = {
  repository: "docker.io/acme/web",
  tag: "v1",
  digest: digest("b"),
  generation: 2,
  line: "tag",
};
const nothing: Known = { wanted: {}, held: [] };
const rule: ImageRule = { channels: [], policy: { kind: "tag" }, ignores: () => false };
const act: Rules = { rule, mode: "act" };

function workload(image: string, more: Partial<Workload> = {}): Workload {
  const parsed = parseReference(image);
  return {
    id: "swarm/web",
    target: "swarm",
    name: "web",
    version: "1",
    containers: [
      { name: "web", image, ...(parsed.kind === "reference" ? { reference: parsed.reference } : {}) },
    ],
    settings: {},
    misplacedSettings: [],
    fence: 0,
    raw: undefined,
    ...more,
  };
}

describe("what an observed tag means for one workload", () => {
  it.each<{
    name: string;
    image: string;
    expected: string;
    more?: Partial<Workload>;
    known?: Known;
    rules?: Rules;
  }>([
    {
      name: "rolls out to a workload that is behind",
      image: `acme/web:v1@${digest("a")}`,
      expected: "roll-out",
    },
    { name: "rolls out to a workload without a digest", image: "acme/web:v1", expected: "roll-out" },
    {
      name: "knows the same image in other words",
      image: `index.docker.io/acme/web:v1@${digest("a")}`,
      expected: "roll-out",
    },
    {
      name: "never restarts what runs the digest",
      image: `acme/web:v1@${digest("b")}`,
      expected: "already-running",
    },
    { name: "says nothing about another image", image: "acme/api:v1", expected: "unrelated" },
    {
      name: "says nothing about the same path elsewhere",
      image: "ghcr.io/acme/web:v1",
      expected: "unrelated",
    },
    { name: "says nothing about an image it cannot read", image: "UPPER/Bad:ref@@", expected: "unrelated" },
    { name: "leaves another tag alone", image: `acme/web:v2@${digest("a")}`, expected: "other-tag" },
    { name: "leaves a tag in other case alone", image: `acme/web:V1@${digest("a")}`, expected: "other-tag" },
    {
      name: "leaves a digest without a tag alone",
      image: `acme/web@${digest("a")}`,
      expected: "digest-pinned",
    },
    {
      name: "leaves a paused workload alone",
      image: "acme/web:v1",
      more: { settings: { pause: "true" } },
      expected: "paused",
    },
    {
      name: "goes on when pause says false",
      image: "acme/web:v1",
      more: { settings: { pause: "false" } },
      expected: "roll-out",
    },
    {
      name: "obeys its own policy none",
      image: "acme/web:v1",
      more: { settings: { policy: "none" } },
      expected: "policy-none",
    },
    {
      name: "obeys a policy of the container before one of the workload",
      image: "acme/web:v1",
      more: { settings: { policy: "none", "policy.web": "tag" } },
      expected: "roll-out",
    },
    {
      name: "obeys the default policy none",
      image: "acme/web:v1",
      rules: { ...act, rule: { ...rule, policy: { kind: "none" } } },
      expected: "policy-none",
    },
    {
      name: "says so when a policy is not known",
      image: "acme/web:v1",
      more: { settings: { policy: "newest" } },
      expected: "unsupported-policy",
    },
    {
      name: "does not fight who else deploys it",
      image: "acme/web:v1",
      more: { managedBy: "swarmpit autoredeploy" },
      expected: "managed-elsewhere",
    },
    {
      name: "acts beside another deployer when the workload asks for it",
      image: "acme/web:v1",
      more: { managedBy: "swarmpit autoredeploy", settings: { policy: "tag" } },
      expected: "roll-out",
    },
    {
      name: "only observes where it may not act",
      image: "acme/web:v1",
      rules: { ...act, mode: "observe" },
      expected: "observe",
    },
    {
      name: "leaves a digest that failed here before alone",
      image: `acme/web:v1@${digest("a")}`,
      known: { ...nothing, held: [{ digest: digest("b"), reason: "exited" }] },
      expected: "held",
    },
    {
      name: "refuses to go back behind a newer observation",
      image: `acme/web:v1@${digest("a")}`,
      known: { ...nothing, wanted: { web: { ...seen, digest: digest("c"), generation: 3 } } },
      expected: "superseded",
    },
    {
      name: "joins a rollout to the same digest",
      image: `acme/web:v1@${digest("a")}`,
      known: { ...nothing, wanted: { web: seen }, open: { seq: 7, to: { web: seen } } },
      expected: "join",
    },
    {
      name: "replaces a rollout to another digest",
      image: `acme/web:v1@${digest("a")}`,
      known: { ...nothing, open: { seq: 7, to: { web: { ...seen, digest: digest("a"), generation: 1 } } } },
      expected: "roll-out",
    },
    {
      name: "replaces a rollout under way even where the wanted digest still runs",
      image: `acme/web:v1@${digest("b")}`,
      known: { ...nothing, open: { seq: 7, to: { web: { ...seen, digest: digest("a"), generation: 1 } } } },
      expected: "roll-out",
    },
    {
      name: "tries a digest again whose rollout failed by its environment",
      image: `acme/web:v1@${digest("b")}`,
      known: { ...nothing, deployed: { web: digest("b") }, unproven: { web: digest("b") } },
      expected: "roll-out",
    },
    {
      name: "leaves a digest alone after another one's rollout failed by its environment",
      image: `acme/web:v1@${digest("b")}`,
      known: { ...nothing, deployed: { web: digest("b") }, unproven: { web: digest("a") } },
      expected: "already-running",
    },
    {
      name: "only tells in observe mode that it would try again",
      image: `acme/web:v1@${digest("b")}`,
      known: { ...nothing, deployed: { web: digest("b") }, unproven: { web: digest("b") } },
      rules: { ...act, mode: "observe" },
      expected: "observe",
    },
    {
      name: "does not undo what a person changed after this digest was deployed",
      image: `acme/web:v1@${digest("a")}`,
      known: { ...nothing, wanted: { web: seen }, deployed: { web: digest("b") } },
      expected: "changed-outside",
    },
    {
      name: "goes on to a newer digest after a person's change",
      image: `acme/web:v1@${digest("a")}`,
      known: { ...nothing, wanted: { web: { ...seen, generation: 1 } }, deployed: { web: digest("c") } },
      expected: "roll-out",
    },
  ])("$name", ({ image, more, known = nothing, rules = act, expected }) => {
    const decision = decidePush(seen, workload(image, more), known, rules);
    expect(decision.kind === "skip" ? decision.reason : decision.kind).toBe(expected);
  });

  it.each<{ name: string; settings: Workload["settings"]; image?: string; reason: string; detail?: string }>([
    {
      name: "the workload's label that is no policy",
      settings: { policy: "^1.2" },
      reason: "unsupported-policy",
      detail: "landfall.policy seems to be a range; write `semver:` before it",
    },
    {
      name: "the container's label that is none, though the workload's is one",
      settings: { policy: "tag", "policy.web": "glob:v*" },
      reason: "unsupported-policy",
      detail: "landfall.policy.web is what others call it; write `pattern:REGEX`",
    },
    {
      name: "an empty label",
      settings: { policy: "" },
      image: "acme/web:v0",
      reason: "unsupported-policy",
      detail:
        "landfall.policy is empty; write `tag`, `none`, `commit`, `semver`, `semver:RANGE` or `pattern:REGEX`",
    },
    {
      name: "the policy none, whatever tag was pushed",
      settings: { policy: "none" },
      image: "acme/web:v0",
      reason: "policy-none",
    },
    {
      name: "the policy commit, where nobody says which repository",
      settings: { policy: "commit" },
      reason: "other-tag",
      detail: "it follows the newest commit, and its image has no `git` in the configuration",
    },
  ])("tells of $name", ({ settings, image = "acme/web:v1", reason, detail }) => {
    expect(decidePush(seen, workload(image, { settings }), nothing, act)).toEqual({
      kind: "skip",
      reason,
      ...(detail === undefined ? {} : { detail }),
    });
  });

  it("leaves a tag that ends in -dirty alone", () => {
    const dirty = { ...seen, tag: "v1-dirty" };
    const decision = decidePush(dirty, workload("acme/web:v1-dirty"), nothing, act);
    expect(decision).toMatchObject({ kind: "skip", reason: "dirty" });
  });

  it("brings every container of a workload that follows the tag along in one plan, and no other", () => {
    const pod = workload("acme/web:v1");
    const [app] = pod.containers;
    if (app === undefined) throw new Error("the fixture has a container");
    const containers = [app, { ...app, name: "init" }, { name: "proxy", image: "envoy:1" }];
    const decision = decidePush(seen, { ...pod, containers }, nothing, act);
    expect(decision.kind === "roll-out" ? Object.keys(decision.to) : []).toEqual(["web", "init"]);
  });

  it("never rolls out a digest that runs already, whatever the ledger knows of finished work", () => {
    const letters = fc.constantFrom("a", "b", "c");
    fc.assert(
      fc.property(letters, letters, fc.integer({ min: 1, max: 4 }), (deployed, wanted, generation) => {
        const known: Known = {
          wanted: { web: { ...seen, digest: digest(wanted), generation } },
          deployed: { web: digest(deployed) },
          held: [],
        };
        const decision = decidePush(seen, workload(`acme/web:v1@${digest("b")}`), known, act);
        expect(decision.kind).toBe("skip");
      }),
    );
  });
});

describe("what a version means for a workload that is to run another one", () => {
  const rules: Rules = { ...act, rule: { ...rule, policy: { kind: "semver", range: "^1.2" } } };
  const pushed: Observed = { ...seen, tag: "v1.2.9", generation: 1 };
  const higher = { ...seen, tag: "v1.3.0", digest: digest("c"), generation: 1, line: "version" as const };
  const behind = {
    kind: "skip",
    reason: "superseded",
    detail: "it is to run v1.3.0, which is higher",
  };

  it.each<{ name: string; known: Partial<Known>; expected: object }>([
    { name: "waits for the higher one", known: { open: { seq: 2, to: { web: higher } } }, expected: behind },
    { name: "is to have the higher one, which was not deployed yet", known: {}, expected: behind },
    {
      name: "was put back to it by hand",
      known: { deployed: { web: higher.digest } },
      expected: { kind: "roll-out" },
    },
    {
      name: "was put back to it by hand, and the higher one is on its way again",
      known: { deployed: { web: higher.digest }, open: { seq: 3, to: { web: higher } } },
      expected: behind,
    },
    {
      name: "runs its digest already",
      known: { wanted: { web: { ...higher, digest: digest("a") } }, deployed: { web: digest("a") } },
      expected: behind,
    },
    {
      name: "had another range at that time",
      known: { wanted: { web: { ...higher, tag: "v2.0.0" } } },
      expected: { kind: "roll-out" },
    },
    {
      name: "followed a tag at that time",
      known: { wanted: { web: { ...seen, tag: "v1.3.0", generation: 9 } } },
      expected: { kind: "roll-out" },
    },
    {
      name: "has seen this version with a newer digest",
      known: { wanted: { web: { ...higher, tag: "v1.2.9", generation: 2 } } },
      expected: { kind: "skip", reason: "superseded", detail: "docker.io named a newer digest since" },
    },
  ])("$name", ({ known, expected }) => {
    const before = { ...nothing, wanted: { web: higher }, ...known };
    const decision = decidePush(pushed, workload(`acme/web:v1.2.0@${digest("a")}`), before, rules);
    expect(decision).toMatchObject(expected);
  });

  it.each([
    { now: "v1.2.0", expected: undefined },
    { now: "v1.3.0", expected: undefined },
    { now: "v1.4.0", expected: "older" },
    { now: "latest", expected: "unordered" },
  ])("a plan for v1.3.0 meets a workload that runs $now: $expected", ({ now, expected }) => {
    const found = workload(`acme/web:${now}@${digest("e")}`);
    const other = stillFollows({ web: higher }, found, () => rules);
    expect(other?.kind === "skip" ? other.reason : other).toBe(expected);
  });
});

describe("whether a plan still fits the workload", () => {
  it.each<{ name: string; now: Workload; expected: string | undefined }>([
    { name: "fits what it was made for", now: workload("acme/web:v1"), expected: undefined },
    { name: "does not fit another tag", now: workload("acme/web:v2"), expected: "other-tag" },
    { name: "does not fit another image", now: workload("acme/api:v1"), expected: "changed-outside" },
    {
      name: "does not fit a workload paused since",
      now: workload("acme/web:v1", { settings: { pause: "true" } }),
      expected: "paused",
    },
    {
      name: "does not fit without the container",
      now: workload("acme/web:v1", { containers: [] }),
      expected: "gone",
    },
  ])("$name", ({ now, expected }) => {
    const other = stillFollows({ web: seen }, now, () => act);
    expect(other?.kind === "skip" ? other.reason : other).toBe(expected);
  });
});
