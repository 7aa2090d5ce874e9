import { type DriftDecision, decideDrift, type Recorded } from "../decide/drift.ts";
import type { Observed } from "../decide/push.ts";
import { asFollowed } from "../decide/way-back.ts";
import { type Digest, parseReference } from "../domain/reference.ts";
import type { Container, Workload } from "../domain/workload.ts";
import type { Stored, WorkloadDocument } from "../ledger/ledger.ts";
import type { FlowDeps, FlowTarget } from "./deps.ts";
import type { Looks } from "./drift-look.ts";
import { knownOf } from "./plan.ts";

/** What a full run found of one workload and one thing that some of its containers follow. */
export interface Found {
  readonly workload: Workload;
  readonly containers: readonly Container[];
  readonly seen?: Observed;
  readonly decision: DriftDecision;
}

/** How often the same drift may be repaired within a day before somebody else is taken to want it. */
const maxRepairs = 3;
const fightMs = 24 * 3_600_000;

/** What each container of a workload runs, beside what it is to run. Containers that follow the same thing go together. */
export async function findDrift(
  deps: FlowDeps,
  at: FlowTarget,
  listed: Workload,
  stored: Stored<"workloads"> | undefined,
  looks: Looks,
  images: readonly string[] | undefined,
): Promise<readonly Found[]> {
  const nowMs = await deps.ledger.clock();
  const workload = asFollowed(listed, stored?.value.detours);
  const byWish = new Map<string, { containers: Container[]; seen?: Observed; unknown?: string }>();
  for (const container of workload.containers) {
    const repository = container.reference?.repository;
    if (images !== undefined && (repository === undefined || !images.includes(repository))) continue;
    const wish = await looks.wishOf(workload, container);
    if (wish === undefined) continue;
    const key =
      wish.kind === "wanted"
        ? `${wish.seen.repository}:${wish.seen.tag} ${wish.seen.line}`
        : `? ${container.name}`;
    const group = byWish.get(key) ?? {
      containers: [],
      ...(wish.kind === "wanted" ? { seen: wish.seen } : { unknown: wish.detail }),
    };
    group.containers.push(container);
    byWish.set(key, group);
  }
  const found: Found[] = [];
  for (const { containers, seen, unknown } of byWish.values()) {
    if (seen === undefined) {
      found.push({ workload, containers, decision: { kind: "unknown", to: {}, detail: unknown ?? "" } });
      continue;
    }
    const recorded = recordedOf(stored?.value, nowMs);
    const rules = { rule: deps.rule(seen.repository), mode: at.mode };
    const decision = decideDrift({ heardMs: nowMs, ...seen }, workload, recorded, rules);
    if (decision.kind === "unrelated") continue;
    const hold = decision.kind === "missed" ? await looks.heldEverywhere(seen) : undefined;
    const stands: DriftDecision =
      hold === undefined
        ? fought(decision, stored?.value, seen.digest, nowMs)
        : { kind: "skipped", reason: "held", detail: hold };
    found.push({ workload, containers, seen, decision: stands });
  }
  return found;
}

function recordedOf(document: WorkloadDocument | undefined, nowMs: number): Recorded {
  const baseline = Object.entries(document?.baseline ?? {}).flatMap(([name, image]) => {
    const read = parseReference(image);
    const digest = read.kind === "reference" ? read.reference.digest : undefined;
    return digest === undefined ? [] : [[name, digest] as const];
  });
  return {
    ...knownOf(document, nowMs),
    baseline: Object.fromEntries(baseline),
    ...(document?.baselineWanted === undefined ? {} : { baselineWanted: document.baselineWanted }),
  };
}

/** What was repaired again and again is somebody's wish: whose, a person has to find out. */
function fought(
  decision: DriftDecision,
  document: WorkloadDocument | undefined,
  digest: Digest,
  nowMs: number,
): DriftDecision {
  if (decision.kind !== "missed") return decision;
  const recent = (document?.repairs ?? []).filter(
    (each) => each.digest === digest && nowMs - each.atMs < fightMs,
  );
  if (recent.length < maxRepairs) return decision;
  return { kind: "skipped", reason: "fighting", detail: `repaired ${recent.length} times in a day already` };
}
