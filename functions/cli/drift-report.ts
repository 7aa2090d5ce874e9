import { isSkipReason } from "../../shared/domain/reasons.ts";
import type { RolloutState } from "../../shared/domain/rollout.ts";
import { fullRunLease } from "../../shared/flows/drift-turn.ts";
import { reportRows } from "../../shared/flows/report-rows.ts";
import type { Ledger } from "../../shared/ledger/ledger.ts";
import type {
  DriftRow,
  GuardedPlan,
  LeaseDocument,
  ReportDocument,
} from "../../shared/ledger/report-document.ts";
import { readRollout } from "./history.ts";

/** One container, as a full run found it and as it is shown. */
export interface DriftView extends DriftRow {
  /** The verdict; of one that is let be the reason, of one that the guard stopped `guarded`. */
  readonly shown: string;
  /** What became of the rollout that repairs it. */
  readonly rollout?: RolloutState;
}

/** A report as it is shown, or why there is none. */
export interface ReportView {
  readonly id: string;
  readonly report: ReportDocument;
  readonly rows: readonly DriftView[];
}

/** Rollouts that are looked up for one answer. */
const maxLookups = 500;

interface LastReport {
  readonly underWay?: NonNullable<LeaseDocument["holder"]>;
  readonly last?: ReportView;
  /** Plans that the guard stopped in runs before that one, and that nobody has approved. */
  readonly waiting: readonly GuardedPlan[];
}

function isTold(view: ReportView | undefined, plan: string): boolean {
  return view?.report.guarded.some(({ fingerprint }) => fingerprint === plan) ?? false;
}

/** What is under way, and the report that was finished last; absent where there is none. */
export async function readLastReport(ledger: Pick<Ledger, "get">, nowMs: number): Promise<LastReport> {
  const { holder, report, guarded = [] } = (await ledger.get("leases", fullRunLease))?.value ?? {};
  const last = report === undefined ? undefined : await readReport(ledger, report);
  return {
    ...(holder === undefined || holder.untilMs <= nowMs ? {} : { underWay: holder }),
    ...(last === undefined ? {} : { last }),
    waiting: guarded.filter(({ fingerprint }) => !isTold(last, fingerprint)),
  };
}

/** One report, with what became of the rollouts that it began; `undefined`: it is no longer kept. */
export async function readReport(ledger: Pick<Ledger, "get">, id: string): Promise<ReportView | undefined> {
  const report = (await ledger.get("reports", id))?.value;
  if (report === undefined) return undefined;
  const rows = await reportRows(ledger, id, report);
  const repaired = rows.filter(({ seq }) => seq !== undefined).slice(0, maxLookups);
  const states = new Map(
    await Promise.all(repaired.map(async (row) => [row, await stateOf(ledger, row)] as const)),
  );
  const views = rows.map((row): DriftView => {
    const rollout = states.get(row);
    return { ...row, shown: shownOf(row, report), ...(rollout === undefined ? {} : { rollout }) };
  });
  return { id, report, rows: views };
}

async function stateOf(
  ledger: Pick<Ledger, "get">,
  { workload, seq = 0 }: DriftRow,
): Promise<RolloutState | undefined> {
  const stored = await ledger.get("workloads", workload);
  return stored === undefined ? undefined : (await readRollout(ledger, stored.value, seq))?.state;
}

/** A report as data. */
export function reportJson({ id, report, rows }: ReportView): Readonly<Record<string, unknown>> {
  const { chunks: _, expireMs: __, rows: ___, ...facts } = report;
  return { report: id, ...facts, rows };
}

/** The command that deploys exactly the plan that the guard stopped. */
export function approval({ fingerprint }: Pick<GuardedPlan, "fingerprint">): string {
  return `landfall reconcile --approve ${fingerprint}`;
}

/** Fingerprints of the plans that wait for an approval, newest first. */
export async function waitingPlans(ledger: Pick<Ledger, "get">): Promise<readonly string[]> {
  const lease = await ledger.get("leases", fullRunLease);
  return (lease?.value.guarded ?? []).map(({ fingerprint }) => fingerprint);
}

function shownOf({ workload, verdict, reason, seq }: DriftRow, { adopt, guarded }: ReportDocument): string {
  if (verdict === "skipped") {
    const name = reason?.split(":", 1)[0] ?? "";
    return isSkipReason(name) ? name : verdict;
  }
  const isBehind = verdict === "missed" || (adopt && (verdict === "new" || verdict === "changed-outside"));
  const isGuarded = guarded.some(({ target }) => workload.startsWith(`${target}/`));
  return isBehind && isGuarded && seq === undefined ? "guarded" : verdict;
}
