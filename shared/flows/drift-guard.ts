import { createHash } from "node:crypto";
import { printReference } from "../domain/reference.ts";
import type { GuardedPlan } from "../ledger/report-document.ts";
import { reportRows } from "../ledger/report-rows.ts";
import type { FlowDeps, FlowTarget } from "./deps.ts";
import type { Found } from "./drift-find.ts";
import { fullRunLease } from "./drift-report.ts";
import type { FullRunOrder } from "./full-run.ts";

/** Fewer changed images than this never look like a registry that has gone mad. */
const leastActionable = 3;
/** An event that was heard so long ago explains nothing any more, ms. */
const explainsMs = 24 * 3_600_000;

/** Whether a full run would deploy what was found. */
export function isActionable({ decision }: Found, adopt: boolean): boolean {
  return (
    decision.kind === "missed" || (adopt && (decision.kind === "new" || decision.kind === "changed-outside"))
  );
}

/**
 * Too many images of a target changed at once, and nobody pushed them: more likely the registry answers nonsense.
 * @returns the plan that is stopped; `undefined`: all is well
 */
export async function guardOf(
  deps: FlowDeps,
  { target, mode }: FlowTarget,
  found: readonly Found[],
  order: FullRunOrder,
): Promise<GuardedPlan | undefined> {
  if (mode === "observe") return undefined;
  const nowMs = await deps.ledger.clock();
  const references = new Set(found.flatMap(({ seen }) => (seen === undefined ? [] : [printReference(seen)])));
  const acting = found.filter((each) => isActionable(each, order.adopt));
  const actionable = new Map(
    acting.flatMap(({ seen }) => (seen === undefined ? [] : [[printReference(seen), seen]])),
  );
  if (actionable.size < leastActionable || actionable.size <= deps.maxDriftShare * references.size)
    return undefined;
  let unexplained = 0;
  for (const { repository, tag, digest } of actionable.values()) {
    const events = await deps.ledger.events({ repository, tag, nowMs }, 5);
    const explained = events.some(
      ({ value }) => value.digest === digest && nowMs - value.heardMs < explainsMs,
    );
    if (!explained) unexplained++;
  }
  if (unexplained < leastActionable || unexplained <= deps.maxDriftShare * references.size) return undefined;
  const plan = acting.map(
    ({ workload, seen }) => `${workload.id} ${seen?.repository}:${seen?.tag}@${seen?.digest}`,
  );
  const fingerprint = createHash("sha256").update(plan.toSorted().join("\n")).digest("hex").slice(0, 12);
  return { target: target.name, fingerprint, actionable: unexplained, references: references.size };
}

/**
 * Whether a person has approved what a guard would stop: that very plan, or what a run that died half-way has left of it.
 * The plan is kept in the rows of the last report.
 */
export async function isApproved(
  { ledger }: Pick<FlowDeps, "ledger">,
  guard: GuardedPlan,
  found: readonly Found[],
  order: FullRunOrder,
): Promise<boolean> {
  if (order.approve === undefined) return false;
  if (order.approve === guard.fingerprint) return true;
  const last = (await ledger.get("leases", fullRunLease))?.value.report;
  const report = last === undefined ? undefined : (await ledger.get("reports", last))?.value;
  const isKept = report?.guarded.some(
    ({ target, fingerprint }) => target === guard.target && fingerprint === order.approve,
  );
  if (last === undefined || report === undefined || isKept !== true) return false;
  const rows = await reportRows(ledger, last, report);
  const kept = new Set(
    rows.flatMap(({ workload, wanted, verdict }) =>
      actionableVerdicts.has(verdict) ? [`${workload} ${wanted}`] : [],
    ),
  );
  return found
    .filter((each) => isActionable(each, order.adopt))
    .every(({ workload, seen }) => kept.has(`${workload.id} ${seen?.digest}`));
}

const actionableVerdicts: ReadonlySet<string> = new Set(["missed", "new", "changed-outside"]);
