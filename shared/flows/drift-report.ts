import type { DriftRow, GuardedPlan, ReportDocument, TargetSummary } from "../ledger/report-document.ts";
import type { FlowDeps } from "./deps.ts";
import type { FullRunOrder } from "./full-run.ts";
import { record } from "./record.ts";

const rowsPerChunk = 500;
/** More rows than these are not answered. */
const maxRows = 1_000;
const maxTroubles = 100;
const reportKeptMs = 90 * 24 * 3_600_000;

/** A report as it comes about: rows go to the ledger in chunks, so that there are never many of them in memory. */
export interface ReportWriter {
  add(rows: readonly DriftRow[]): Promise<void>;
  /** Writes what is left, and the report itself. */
  end(found: Pick<ReportDocument, "guarded" | "targets" | "troubles">): Promise<ReportDocument>;
  /** `undefined`: they are too many to be answered. */
  rows(): readonly DriftRow[] | undefined;
}

export function reportWriter(
  deps: FlowDeps,
  id: string,
  { by, dryRun, adopt }: FullRunOrder,
  startedMs: number,
): ReportWriter {
  const counts: Record<string, number> = {};
  const expireMs = startedMs + reportKeptMs;
  const facts = { startedMs, by, dryRun, adopt, expireMs };
  const none: { readonly guarded: readonly GuardedPlan[]; readonly troubles: readonly string[] } = {
    guarded: [],
    troubles: [],
  };
  let answered: DriftRow[] | undefined = [];
  let waiting: DriftRow[] = [];
  let chunks = 0;

  const write = async (rows: readonly DriftRow[]): Promise<void> => {
    const value: ReportDocument = { ...facts, ...none, counts: {}, chunks: 0, rows };
    await record(deps, "drift.report", [
      { collection: "reports", id: `${id}/${chunks++}`, expect: 0, value },
    ]);
  };

  return {
    async add(rows) {
      for (const row of rows) {
        counts[row.verdict] = (counts[row.verdict] ?? 0) + 1;
        waiting.push(row);
        answered?.push(row);
      }
      if (answered !== undefined && answered.length > maxRows) answered = undefined;
      while (waiting.length >= rowsPerChunk) await write(waiting.splice(0, rowsPerChunk));
    },
    async end({ troubles, ...found }) {
      if (waiting.length > 0) await write(waiting);
      waiting = [];
      const finishedMs = await deps.ledger.clock();
      const told = troubles.slice(0, maxTroubles);
      const value: ReportDocument = { ...facts, ...found, finishedMs, counts, chunks, troubles: told };
      await record(deps, "drift.report", [{ collection: "reports", id, expect: 0, value }]);
      return value;
    },
    rows: () => answered,
  };
}

/** What a full run came to, e.g. `2 missed, 118 in-sync; the guard stopped swarm-prod`. */
export function countsText({ counts, guarded }: Pick<ReportDocument, "counts" | "guarded">): string {
  const parts = Object.entries(counts).map(([verdict, rows]) => `${rows} ${verdict}`);
  const stopped = guarded.map(({ target }) => `; the guard stopped ${target}`);
  return `${parts.join(", ") || "nothing to compare"}${stopped.join("")}`;
}

export function summaryOf(listed: {
  readonly at: { readonly target: { readonly name: string } };
  readonly workloads: { readonly size: number };
  readonly unmanaged: { readonly size: number };
  readonly references: { readonly size: number };
}): TargetSummary {
  return {
    target: listed.at.target.name,
    workloads: listed.workloads.size,
    unmanaged: listed.unmanaged.size,
    references: listed.references.size,
  };
}
