import type { WorkloadId } from "../domain/workload.ts";
import type { FlowDeps } from "./deps.ts";

/**
 * Whether a rollout that an event led to is still under way, its rollback included; one that is tried again later is not.
 * @param known workloads that need not be looked at
 */
export async function isUnderWay(
  { ledger }: Pick<FlowDeps, "ledger">,
  event: string,
  known: ReadonlySet<string>,
): Promise<boolean> {
  const workloads = (await plannedBy(ledger, event)).filter((id) => !known.has(id));
  const documents = await Promise.all(workloads.map((id) => ledger.get("workloads", id)));
  return documents.some((document) => {
    const cause = document?.value.open?.cause;
    return cause?.event === event && cause.kind !== "retry";
  });
}

/** By the verdicts of what was heard, or by the rows of a full run's report. */
async function plannedBy(ledger: FlowDeps["ledger"], event: string): Promise<readonly WorkloadId[]> {
  const heard = await ledger.get("events", event);
  if (heard !== undefined) {
    return heard.value.verdicts.flatMap(({ kind, workload }) => (kind === "planned" ? [workload] : []));
  }
  const report = await ledger.get("reports", event);
  const ids = Array.from({ length: report?.value.chunks ?? 0 }, (_, chunk) => `${event}/${chunk}`);
  const chunks = await Promise.all(ids.map((id) => ledger.get("reports", id)));
  const rows = chunks.flatMap((chunk) => chunk?.value.rows ?? []);
  return [...new Set(rows.flatMap(({ workload, seq }) => (seq === undefined ? [] : [workload])))];
}
