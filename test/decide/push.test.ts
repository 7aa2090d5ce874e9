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
