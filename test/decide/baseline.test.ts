import { expect, it } from "vitest";
import { decideDrift, type Recorded } from "../../shared/decide/drift.ts";
import type { Observed, Rules } from "../../shared/decide/push.ts";
import type { ImageRule } from "../../shared/decide/rules.ts";
import { type Digest, parseReference } from "../../shared/domain/reference.ts";
import type { Workload } from "../../shared/domain/workload.ts";

const digest = (letter: string): Digest => `sha256:${letter.repeat(64)}`;
const rule: ImageRule = { channels: [], policy: { kind: "tag" }, ignores: () => false };
const rules: Rules = { rule, mode: "act" };
const seen = (letter: string): Observed => ({
  repository: "docker.io/acme/web",
  tag: "v1",
  digest: digest(letter),
  generation: 2,
  line: "tag",
});

function runs(letter: string): Workload {
  const image = `docker.io/acme/web:v1@${digest(letter)}`;
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
  };
}

const planned = {
  web: { repository: "docker.io/acme/web", tag: "v1", digest: digest("b"), generation: 2 },
} as const;

it.each<{ name: string; runs: string; wanted: string; recorded?: Partial<Recorded>; kind: string }>([
  { name: "nothing is on record, and it is behind", runs: "a", wanted: "b", kind: "new" },
  { name: "nothing is on record, and it runs what is wanted", runs: "b", wanted: "b", kind: "in-sync" },
  {
    name: "it runs the baseline, and what was wanted then still is",
    runs: "a",
    wanted: "b",
    recorded: { baseline: { web: digest("a") }, baselineWanted: { web: digest("b") } },
    kind: "new",
  },
  {
    name: "it runs the baseline, and something else is wanted by now",
    runs: "a",
    wanted: "c",
    recorded: { baseline: { web: digest("a") }, baselineWanted: { web: digest("b") } },
    kind: "missed",
  },
  {
    name: "it runs the baseline, and nobody could tell then what was wanted",
    runs: "a",
    wanted: "b",
    recorded: { baseline: { web: digest("a") }, baselineWanted: { other: digest("b") } },
    kind: "new",
  },
  {
    name: "it runs the baseline, and a rollout was planned that never got there",
    runs: "a",
    wanted: "b",
    recorded: { baseline: { web: digest("a") }, wanted: planned },
    kind: "missed",
  },
  {
    name: "somebody changed what was the baseline",
    runs: "f",
    wanted: "b",
    recorded: { baseline: { web: digest("a") }, baselineWanted: { web: digest("b") } },
    kind: "changed-outside",
  },
  {
    name: "it runs what was deployed last, whatever the baseline was",
    runs: "b",
    wanted: "c",
    recorded: { deployed: { web: digest("b") }, baseline: { web: digest("a") }, wanted: planned },
    kind: "missed",
  },
])("$kind when $name", ({ runs: letter, wanted, recorded, kind }) => {
  const known: Recorded = { wanted: {}, held: [], ...recorded };
  expect(decideDrift(seen(wanted), runs(letter), known, rules).kind).toBe(kind);
});
