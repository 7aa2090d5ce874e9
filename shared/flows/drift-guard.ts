import { createHash } from "node:crypto";
import { printReference } from "../domain/reference.ts";
import type { EventDocument } from "../ledger/ledger.ts";
import type { GuardedPlan } from "../ledger/report-document.ts";
import type { FlowDeps, FlowTarget } from "./deps.ts";
import type { Found } from "./drift-find.ts";
import type { FullRunOrder } from "./full-run.ts";
import { tell } from "./notices.ts";
import { reportRows } from "./report-rows.ts";

/** Fewer changed images than this never look like a registry that has gone mad. */
const leastActionable = 3;
/** An event that was heard so long ago explains nothing any more, ms. A freeze over a weekend is shorter. */
const explainsMs = 72 * 3_600_000;
/** Events of one tag that are looked through for the one that explains it. */
const maxEvents = 10;

/** Whether what was found at a target may be deployed. */
export type GuardVerdict =
  | { readonly kind: "go" }
  /** `guarded`: too much at once that nobody pushed. `changed`: it is not the plan that was approved. */
  | { readonly kind: "stop"; readonly why: "guarded" | "changed"; readonly plan: GuardedPlan };

/**
 * Too many images of a target changed at once, and nobody pushed them: more likely the registry answers nonsense. A person
 * may approve what was stopped: exactly that, or nothing.
 * @param references how many different things containers follow there, whatever the run was narrowed to
 * @param approved the kept plan that a person has approved
 */
export async function guardOf(
  deps: FlowDeps,
  { target, mode }: FlowTarget,
  acting: readonly Found[],
  references: number,
  order: FullRunOrder,
  approved: GuardedPlan | undefined,
): Promise<GuardVerdict> {
  if (mode === "observe" || acting.length === 0) return { kind: "go" };
  const fingerprint = fingerprintOf(acting);
  if (fingerprint === order.approve || (await isLeftOf(deps, approved, acting))) return { kind: "go" };
  const actionable = await unexplained(deps, acting, order.approve !== undefined, references);
  const isTooMuch = isTooMuchOf(deps, actionable, references);
  if (!isTooMuch && order.approve === undefined) return { kind: "go" };
  const { adopt, workloads, images } = order;
  const plan: GuardedPlan = {
    target: target.name,
    fingerprint,
    actionable,
    references,
    adopt,
    ...(workloads === undefined ? {} : { workloads }),
    ...(images === undefined ? {} : { images }),
    atMs: await deps.ledger.clock(),
  };
  return { kind: "stop", why: order.approve === undefined ? "guarded" : "changed", plan };
}

/** Whether it is what a run has left of an approved plan that died when it was carrying it out. */
async function isLeftOf(
  { ledger }: Pick<FlowDeps, "ledger">,
  plan: GuardedPlan | undefined,
  acting: readonly Found[],
): Promise<boolean> {
  if (plan?.begun !== true || plan.report === undefined) return false;
  const report = (await ledger.get("reports", plan.report))?.value;
  const rows = report === undefined ? [] : await reportRows(ledger, plan.report, report);
  const stopped = rows.filter(({ reason }) => reason === stoppedReason);
  const kept = new Set(
    stopped.map(({ workload, container, wanted }) => `${workload} ${container} ${wanted}`),
  );
  return acting.every(({ workload, containers, seen }) =>
    containers.every(({ name }) => kept.has(`${workload.id} ${name} ${seen?.digest}`)),
  );
}

/** What rows of a plan say that was stopped: they are the plan. */
export const stoppedReason = "guarded: too much would be deployed at once that no event explains";

/** Above the share, and at least 3. */
export function isTooMuchOf(
  { maxDriftShare }: Pick<FlowDeps, "maxDriftShare">,
  changed: number,
  references: number,
): boolean {
  return changed >= leastActionable && changed > maxDriftShare * references;
}

/** Different references that would be deployed and that no event explains; all of them where so few do not matter. */
async function unexplained(
  deps: FlowDeps,
  acting: readonly Found[],
  isApproval: boolean,
  references: number,
): Promise<number> {
  // What builds and promotions decided is the ledger's own: no registry could have made it up.
  const changed = new Map(
    acting.flatMap(({ seen }) => (seen?.line === "tag" ? [[printReference(seen), seen]] : [])),
  );
  if (isApproval || !isTooMuchOf(deps, changed.size, references)) return changed.size;
  const nowMs = await deps.ledger.clock();
  let count = 0;
  for (const { repository, tag, digest } of changed.values()) {
    const events = await deps.ledger.events({ repository, tag, nowMs }, maxEvents);
    if (!events.some(({ value }) => explains(value, digest, nowMs))) count++;
  }
  return count;
}

/** Whether somebody said that the digest was pushed: what was only looked at, and what was stopped itself, explains nothing. */
function explains(
  { push, digest, unexplained: isStrange, heardMs }: EventDocument,
  wanted: string,
  nowMs: number,
): boolean {
  if (nowMs - heardMs >= explainsMs || isStrange === true || push?.source === "sweep") return false;
  return push?.digest === wanted || digest === wanted;
}

function fingerprintOf(acting: readonly Found[]): string {
  const plan = acting.map(
    ({ workload, containers, seen }) =>
      `${workload.id} ${containers.map(({ name }) => name).join(",")} ${seen?.repository}:${seen?.tag}@${seen?.digest}`,
  );
  return createHash("sha256").update(plan.toSorted().join("\n")).digest("hex").slice(0, 12);
}

/** Logs what was stopped; people are told once of each plan. */
export async function tellStopped(
  deps: FlowDeps,
  report: string,
  { why, plan }: GuardVerdict & { kind: "stop" },
  isDry: boolean,
): Promise<void> {
  const { target, fingerprint, actionable, references } = plan;
  const what =
    why === "guarded"
      ? `${actionable} of ${references} images would be deployed without any event: nothing is`
      : "what would be deployed now is not what was approved: nothing is";
  const next = `\`landfall reconcile --approve ${fingerprint}\` deploys exactly this plan.`;
  deps.log.write("alert", `${target}: ${what}; ${next}`, { outcome: "guarded", report });
  if (isDry || why === "changed") return;
  const atMs = await deps.ledger.clock();
  await tell(deps, { kind: "guarded", subject: target, sentence: what, next, atMs }, fingerprint);
}
