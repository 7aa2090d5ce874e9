import type { OpenRollout, WorkloadDocument } from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";
import type { Ticket } from "./plan.ts";
import { record } from "./record.ts";
import type { FaultPoint } from "./recorder.ts";

/**
 * Puts an open rollout's next step on record.
 * @returns the ticket to go on with; `undefined` when somebody else moved the workload on: stop
 */
export async function save(
  deps: FlowDeps,
  point: FaultPoint,
  ticket: Ticket,
  open: OpenRollout,
  more: Partial<WorkloadDocument> = {},
): Promise<Ticket | undefined> {
  const { document } = ticket;
  const value: WorkloadDocument = {
    ...document.value,
    ...more,
    open,
    wanted: { ...document.value.wanted, ...open.to },
  };
  const write = { collection: "workloads", id: document.id, expect: document.rev, value } as const;
  if ((await record(deps, point, [write])) === "written") {
    return { document: { ...document, rev: document.rev + 1, value }, open };
  }
  await letGo(deps, ticket);
  return undefined;
}

/** A plan that replaced ours waits for the lease it inherited from us: give it free, and wake it. */
export async function letGo(deps: FlowDeps, ticket: Ticket): Promise<void> {
  const { lease, seq } = ticket.open;
  const now = await deps.ledger.get("workloads", ticket.document.id);
  const open = now?.value.open;
  deps.log.write("notice", `${ticket.document.id}: fenced, somebody else moved it on`, {
    workload: ticket.document.id,
    seq,
    outcome: "fenced",
  });
  if (now === undefined || open === undefined || lease === undefined) return;
  if (open.seq === seq || open.lease?.holder !== lease.holder) return;
  const { lease: _, ...rest } = open;
  const value: WorkloadDocument = { ...now.value, open: rest };
  const write = { collection: "workloads", id: now.id, expect: now.rev, value } as const;
  if ((await record(deps, "workload.yield", [write])) === "conflict") return;
  const { workload } = value;
  await deps.recorder.step("bus.continue", () =>
    deps.bus.publish([{ kind: "continue", workload, seq: open.seq }]),
  );
}
