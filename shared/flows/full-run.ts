import type { Workload } from "../domain/workload.ts";
import { isTargetTrouble, messageOf } from "../errors.ts";
import type { Stored } from "../ledger/ledger.ts";
import type { DriftRow, GuardedPlan, ReportDocument } from "../ledger/report-document.ts";
import { advance } from "./advance.ts";
import type { Budget, FlowDeps, FlowTarget } from "./deps.ts";
import { type Found, findDrift } from "./drift-find.ts";
import { guardOf, isApproved } from "./drift-guard.ts";
import { type Looks, newLooks } from "./drift-look.ts";
import { repair } from "./drift-repair.ts";
import { type Busy, saveReport, takeTurn } from "./drift-report.ts";
import { tell } from "./notices.ts";
import type { Ticket } from "./plan-writes.ts";

/** What a full run is asked to do. */
export interface FullRunOrder {
  readonly dryRun: boolean;
  /** Treats what is new and what somebody else changed as a lost event. */
  readonly adopt: boolean;
  /** Names of targets, addresses of workloads, repositories; absent: all. */
  readonly targets?: readonly string[];
  readonly workloads?: readonly string[];
  readonly images?: readonly string[];
  /** Deploys the plan with this fingerprint though the guard stopped it. */
  readonly approve?: string;
  /** Who asks for it. */
  readonly by: string;
}

/** More rows than these are not answered. */
const maxRows = 1_000;

export interface FullRun {
  readonly kind: "report";
  readonly id: string;
  readonly report: ReportDocument;
  /** Absent where there are more than 1,000: they are in the ledger, in chunks. */
  readonly rows?: readonly DriftRow[];
}

/** How far a full run has come: targets that were compared, and questions that were asked of registries. */
export interface FullRunProgress {
  readonly targets: number;
  readonly ofTargets: number;
  readonly asked: number;
  readonly ofAsked: number;
}

/** What keeps a full run from being carried out: it names what the configuration does not have. */
export function unknownTargets(
  { targets }: Pick<FlowDeps, "targets">,
  order: Pick<FullRunOrder, "targets">,
): string | undefined {
  const known = targets.map(({ target }) => target.name);
  const unknown = order.targets?.filter((name) => !known.includes(name)) ?? [];
  return unknown.length === 0 ? undefined : `the configuration has no target ${unknown.join(", ")}`;
}

/**
 * Compares what runs with what is wanted, everywhere, and repairs what lost events left behind. Targets are listed
 * before anything is asked of a registry, and everything is read again right before it is written.
 * @returns `busy` while another full run is under way
 * @throws LedgerUnavailableError (retryable)
 */
export async function fullRun(
  deps: FlowDeps,
  order: FullRunOrder,
  budget: Budget,
  onProgress?: (progress: FullRunProgress) => void,
): Promise<FullRun | Busy> {
  const id = `drift-${deps.newId()}`;
  const turn = await takeTurn(deps, id, order.by);
  if (turn.kind === "busy") return turn;
  const startedMs = await deps.ledger.clock();
  const looks = newLooks(deps);
  const troubles: string[] = [];
  const listed = await listAll(deps, order, troubles);
  const records = new Map((await deps.ledger.workloads()).map((stored) => [stored.id, stored]));
  const rows: DriftRow[] = [];
  const guarded: GuardedPlan[] = [];
  const tickets: Ticket[] = [];
  for (const [n, { at, workloads }] of listed.entries()) {
    onProgress?.({ targets: n, ofTargets: listed.length, asked: 0, ofAsked: 0 });
    deps.log.write("info", `${at.target.name}: comparing ${workloads.length} workloads`, { report: id });
    const done = await runTarget(deps, { id, order, at, workloads, records, looks });
    rows.push(...done.rows);
    guarded.push(...done.guarded);
    tickets.push(...done.tickets);
  }
  const report = await saveReport(deps, id, {
    order,
    startedMs,
    rows,
    guarded,
    troubles: [...troubles, ...looks.troubles],
  });
  await Promise.all(
    tickets.map((ticket) => advance(deps, ticket.document.value.workload, ticket.open.seq, budget, ticket)),
  );
  return { kind: "report", id, report, ...(rows.length > maxRows ? {} : { rows }) };
}

interface TargetRun {
  readonly id: string;
  readonly order: FullRunOrder;
  readonly at: FlowTarget;
  readonly workloads: readonly Workload[];
  readonly records: ReadonlyMap<string, Stored<"workloads">>;
  readonly looks: Looks;
}

async function runTarget(
  deps: FlowDeps,
  run: TargetRun,
): Promise<{
  readonly rows: readonly DriftRow[];
  readonly guarded: readonly GuardedPlan[];
  readonly tickets: readonly Ticket[];
}> {
  const { order, at } = run;
  const found: Found[] = [];
  for (const workload of run.workloads) {
    found.push(
      ...(await findDrift(deps, at, workload, run.records.get(workload.id), run.looks, order.images)),
    );
  }
  const guard = await guardOf(deps, at, found, order);
  const isStopped = guard !== undefined && !(await isApproved(deps, guard, found, order));
  if (isStopped) {
    deps.log.write(
      "alert",
      `${at.target.name}: ${guard.actionable} of ${guard.references} images would be deployed without any event: nothing is; \`landfall reconcile --approve ${guard.fingerprint}\` deploys exactly this plan`,
      { outcome: "guarded", report: run.id },
    );
    if (!order.dryRun) await tellGuarded(deps, guard);
  }
  const acts = !order.dryRun && !isStopped;
  const repaired = await repair(deps, { ...run, found, acts });
  const missing = missingOf(at, run);
  return {
    rows: [...repaired.rows, ...missing],
    guarded: isStopped ? [guard] : [],
    tickets: repaired.tickets,
  };
}

async function tellGuarded(deps: FlowDeps, guard: GuardedPlan): Promise<void> {
  const { target, fingerprint, actionable, references } = guard;
  const notice = {
    kind: "guarded",
    subject: target,
    sentence: `${actionable} of ${references} images would be deployed without any event: nothing is`,
    next: `\`landfall reconcile --approve ${fingerprint}\` deploys exactly this plan.`,
    atMs: await deps.ledger.clock(),
  } as const;
  await tell(deps, notice, fingerprint);
}

/** Workloads that Landfall deployed to once and that are no longer there. */
function missingOf({ target }: FlowTarget, { order, workloads, records }: TargetRun): readonly DriftRow[] {
  if (order.workloads !== undefined || order.images !== undefined) return [];
  const there = new Set<string>(workloads.map((workload) => workload.id));
  return [...records.values()].flatMap(({ id, value }) => {
    if (value.target !== target.name || value.deployed === undefined || there.has(id)) return [];
    const images = Object.entries(value.lastGood ?? {});
    return images.map(([container, running]) => ({
      workload: value.workload,
      container,
      running,
      verdict: "missing",
      reason: "Landfall deployed it, and it is no longer at its target",
    }));
  });
}

/** Every target is listed before a registry is asked: what was deployed after that is never taken for drift. */
async function listAll(
  deps: FlowDeps,
  { targets, workloads }: FullRunOrder,
  troubles: string[],
): Promise<readonly { readonly at: FlowTarget; readonly workloads: readonly Workload[] }[]> {
  const chosen = deps.targets.filter(({ target }) => targets?.includes(target.name) ?? true);
  const listed = await Promise.all(
    chosen.map(async (at) => {
      try {
        const all = await deps.recorder.step("target.list", () => at.target.list());
        return [{ at, workloads: all.filter(({ id }) => workloads?.includes(id) ?? true) }];
      } catch (error) {
        if (!isTargetTrouble(error)) throw error;
        troubles.push(`${at.target.name}: ${messageOf(error)}`);
        return [];
      }
    }),
  );
  return listed.flat();
}
