import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import {
  type DriftDecision,
  decideDrift,
  type Recorded,
  restrained,
  verdictOf,
} from "../../shared/decide/drift.ts";
import type { Observed } from "../../shared/decide/push.ts";
import type { Digest, Repository } from "../../shared/domain/reference.ts";
import { parseReference } from "../../shared/domain/reference.ts";
import type { Standing, Workload } from "../../shared/domain/workload.ts";

const repository: Repository = "docker.io/acme/web";
const digest = (letter: string): Digest => `sha256:${createHash("sha256").update(letter).digest("hex")}`;
const [old, wanted, other] = [digest("old"), digest("wanted"), digest("other")];
const seen: Observed = { repository, tag: "v1", digest: wanted, generation: 2, line: "tag" };
const rules = {
  mode: "act",
  rule: { channels: [], policy: { kind: "tag" }, ignores: () => false },
} as const;

function runs(image: string, more: Partial<Workload> = {}): Workload {
  const read = parseReference(image);
  return {
    id: "swarm/web",
    target: "swarm",
    name: "web",
    version: "1",
    containers: [{ name: "web", image, ...(read.kind === "reference" ? { reference: read.reference } : {}) }],
    settings: {},
    misplacedSettings: [],
    fence: 0,
    raw: undefined,
    ...more,
  };
}
const pinned = (to: Digest, tag = "v1") => runs(`acme/web:${tag}@${to}`);
const nothing: Recorded = { wanted: {}, held: [] };
const to = { web: { repository, tag: "v1", digest: wanted, generation: 2 } };
const deployedOld: Recorded = { ...nothing, deployed: { web: old } };

describe("what a full run finds of a workload", () => {
  interface Case {
    readonly name: string;
    readonly workload: Workload;
    readonly recorded: Recorded;
    readonly found: string;
    /** What was looked at; default v1. */
    readonly tag?: string;
  }
  it.each<Case>([
    { name: "it runs what is wanted", workload: pinned(wanted), recorded: nothing, found: "in-sync" },
    {
      name: "it runs what was deployed, and something else is wanted",
      workload: pinned(old),
      recorded: deployedOld,
      found: "missed",
    },
    { name: "nothing is on record", workload: pinned(old), recorded: nothing, found: "new" },
    {
      name: "it runs its baseline, and nothing else was wanted since",
      workload: pinned(old),
      recorded: { ...nothing, baseline: { web: old }, baselineWanted: { web: wanted } },
      found: "new",
    },
    {
      name: "it runs its baseline, and something else is wanted by now",
      workload: pinned(old),
      recorded: { ...nothing, baseline: { web: old }, baselineWanted: { web: other } },
      found: "missed",
    },
    {
      name: "somebody brought it elsewhere before anything was deployed",
      workload: pinned(other),
      recorded: { ...nothing, baseline: { web: old }, baselineWanted: { web: old } },
      found: "changed-outside",
    },
    {
      name: "somebody brought it elsewhere",
      workload: pinned(other),
      recorded: deployedOld,
      found: "changed-outside",
    },
    {
      name: "somebody brought it back",
      workload: pinned(old),
      recorded: { ...nothing, deployed: { web: wanted }, wanted: to },
      found: "changed-outside",
    },
    {
      name: "somebody brought it to what is wanted",
      workload: pinned(wanted),
      recorded: deployedOld,
      found: "in-sync",
    },
    {
      name: "a rollout brings it there",
      workload: pinned(old),
      recorded: { ...deployedOld, open: { seq: 7, to } },
      found: "rolling",
    },
    {
      name: "its last rollout failed by its environment",
      workload: pinned(wanted),
      recorded: { ...nothing, deployed: { web: wanted }, unproven: { web: wanted } },
      found: "missed",
    },
    {
      name: "it names no digest",
      workload: runs("acme/web:v1"),
      recorded: deployedOld,
      found: "unknown unpinned",
    },
    {
      name: "it names another repository",
      workload: runs("acme/api:v1"),
      recorded: nothing,
      found: "unrelated",
    },
    {
      name: "its tag is dirty",
      workload: runs(`acme/web:v1-dirty@${old}`),
      recorded: deployedOld,
      tag: "v1-dirty",
      found: "skipped dirty",
    },
    {
      name: "the digest is held",
      workload: pinned(old),
      recorded: { ...deployedOld, held: [{ digest: wanted, reason: "it exits" }] },
      found: "skipped held",
    },
    {
      name: "a person pinned it",
      workload: pinned(old),
      recorded: { ...deployedOld, pin: { until: "release", by: "ada", sinceMs: 1, over: {} } },
      found: "skipped pinned-by-person",
    },
    {
      name: "a person paused it",
      workload: pinned(old),
      recorded: { ...deployedOld, paused: "by ada" },
      found: "skipped paused",
    },
    {
      name: "its label pauses it",
      workload: { ...pinned(old), settings: { pause: "true" } },
      recorded: deployedOld,
      found: "skipped paused",
    },
    {
      name: "somebody else deploys it",
      workload: { ...pinned(old), managedBy: "Flux" },
      recorded: deployedOld,
      found: "skipped managed-elsewhere",
    },
    {
      name: "nothing would be replaced",
      workload: { ...pinned(old), notRolling: "OnDelete" },
      recorded: deployedOld,
      found: "skipped not-rolling",
    },
  ])("$found: $name", ({ workload, recorded, found, tag = "v1" }) => {
    const decision = decideDrift({ ...seen, tag }, workload, recorded, rules);
    const reason = "reason" in decision ? ` ${decision.reason}` : "";
    expect(`${decision.kind}${reason}`).toBe(found);
  });
});

describe("what stands against a repair", () => {
  const missed: DriftDecision = { kind: "missed", to };
  const nowMs = 100 * 3_600_000;
  const repaired = (times: number, agoMs = 3_600_000, of = wanted) =>
    Array.from({ length: times }, () => ({ digest: of, atMs: nowMs - agoMs }));

  it.each([
    {
      name: "a hold of the digest everywhere",
      decision: missed,
      facts: { hold: "by ada everywhere" },
      left: "held",
    },
    {
      name: "a hold, though a person adopts",
      decision: missed,
      facts: { hold: "by ada", adopt: true },
      left: "held",
    },
    {
      name: "three repairs within a day",
      decision: missed,
      facts: { repairs: repaired(3) },
      left: "fighting",
    },
    { name: "two repairs do not", decision: missed, facts: { repairs: repaired(2) }, left: undefined },
    {
      name: "three that are older do not",
      decision: missed,
      facts: { repairs: repaired(3, 86_400_000) },
      left: undefined,
    },
    {
      name: "three of another digest do not",
      decision: missed,
      facts: { repairs: repaired(3, 1, other) },
      left: undefined,
    },
    {
      name: "three do not where a person adopts",
      decision: missed,
      facts: { repairs: repaired(3), adopt: true },
      left: undefined,
    },
    {
      name: "a hold of what is in sync is no matter",
      decision: { kind: "in-sync", to } as const,
      facts: { hold: "x" },
      left: undefined,
    },
  ])("$name", ({ decision, facts, left }) => {
    const found = restrained(decision, wanted, { nowMs, adopt: false, ...facts });
    expect(found.kind === "skipped" ? found.reason : undefined).toBe(left);
    if (left === undefined) expect(found).toBe(decision);
  });
});

describe("what a row says of what is in sync by its definition", () => {
  it.each<{ readonly standing: Standing | undefined; readonly verdict: string; readonly reason?: string }>([
    { standing: undefined, verdict: "in-sync" },
    { standing: { wanted: 3, running: 3 }, verdict: "in-sync" },
    { standing: { wanted: 0, running: 0 }, verdict: "in-sync" },
    { standing: { wanted: 3, running: 4 }, verdict: "in-sync" },
    { standing: { wanted: 3, running: 1 }, verdict: "degraded", reason: "1 of 3 tasks run" },
    {
      standing: { wanted: 3, running: 1, outdated: "its update is paused" },
      verdict: "differs",
      reason: "its update is paused",
    },
    { standing: { wanted: 3, running: 3, outdated: "x", unobserved: true }, verdict: "stale" },
  ])("$verdict with $standing", ({ standing, ...row }) => {
    const workload = standing === undefined ? {} : { standing };
    expect(verdictOf({ kind: "in-sync", to }, workload)).toEqual(row);
    expect(verdictOf({ kind: "missed", to }, workload)).toEqual({ verdict: "missed" });
  });
});
