import type { DriftRow, GuardedPlan, LeaseDocument, ReportDocument } from "../ledger/report-document.ts";
import type { FlowDeps } from "./deps.ts";
import type { FullRunOrder } from "./full-run.ts";
import { record } from "./record.ts";

/** The document that lets one full run at a time go on, and names the last report. */
export const fullRunLease = "full-run";
/** How long a full run may take before another one may begin, ms. */
const turnMs = 10 * 60_000;
const rowsPerChunk = 500;
const reportKeptMs = 90 * 24 * 3_600_000;

/** Another full run is under way. */
export interface Busy {
  readonly kind: "busy";
  /** Its report's id, once that is written. */
  readonly id: string;
  /** Who asked for it. */
  readonly by: string;
  /** When it is over at the latest, ms. */
  readonly untilMs: number;
}

/** Takes the turn of full runs; `busy`: another one has it. */
export async function takeTurn(
  deps: FlowDeps,
  id: string,
  by: string,
): Promise<{ readonly kind: "taken" } | Busy> {
  for (;;) {
    const stored = await deps.ledger.get("leases", fullRunLease);
    const nowMs = await deps.ledger.clock();
    const { holder } = stored?.value ?? {};
    if (holder !== undefined && holder.untilMs > nowMs) {
      return { kind: "busy", id: holder.id, by: holder.by ?? "somebody", untilMs: holder.untilMs };
    }
    const held = { id, by, untilMs: nowMs + turnMs };
    const value: LeaseDocument = { ...stored?.value, holder: held };
    const write = { collection: "leases", id: fullRunLease, expect: stored?.rev ?? 0, value } as const;
    if ((await record(deps, "drift.lease", [write])) === "written") return { kind: "taken" };
  }
}

interface Outcome {
  readonly order: FullRunOrder;
  readonly startedMs: number;
  readonly rows: readonly DriftRow[];
  readonly guarded: readonly GuardedPlan[];
  readonly troubles: readonly string[];
}

/** Puts a run's rows on record, in chunks, then the report itself, and gives the turn back. */
export async function saveReport(deps: FlowDeps, id: string, outcome: Outcome): Promise<ReportDocument> {
  const { order, startedMs, rows, guarded, troubles } = outcome;
  const finishedMs = await deps.ledger.clock();
  const counts: Record<string, number> = {};
  for (const { verdict } of rows) counts[verdict] = (counts[verdict] ?? 0) + 1;
  const report: ReportDocument = {
    startedMs,
    finishedMs,
    by: order.by,
    dryRun: order.dryRun,
    adopt: order.adopt,
    counts,
    chunks: Math.ceil(rows.length / rowsPerChunk),
    guarded,
    troubles: troubles.slice(0, 100),
    expireMs: finishedMs + reportKeptMs,
  };
  for (let chunk = 0; chunk < report.chunks; chunk++) {
    const part = rows.slice(chunk * rowsPerChunk, (chunk + 1) * rowsPerChunk);
    const value = { ...report, rows: part };
    await record(deps, "drift.report", [{ collection: "reports", id: `${id}/${chunk}`, expect: 0, value }]);
  }
  await record(deps, "drift.report", [{ collection: "reports", id, expect: 0, value: report }]);
  for (;;) {
    const stored = await deps.ledger.get("leases", fullRunLease);
    if (stored?.value.holder?.id !== id) return report;
    const { holder: _, ...rest } = stored.value;
    const value: LeaseDocument = { ...rest, report: id };
    const write = { collection: "leases", id: fullRunLease, expect: stored.rev, value } as const;
    if ((await record(deps, "drift.lease", [write])) === "written") return report;
  }
}
