import { isDeepStrictEqual } from "node:util";
import { raised } from "../domain/rollout.ts";
import type { OpenRollout, Stored, WorkloadDocument } from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";
import type { Ticket } from "./plan-writes.ts";
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
  for (
    let current: Ticket | undefined = ticket;
    current !== undefined;
    current = await rebase(deps, current)
  ) {
    const { document } = current;
    const { to, stopped } = current.open;
    const next = {
      ...open,
      to: raised(open.to, to),
      ...(stopped === undefined ? {} : { stopped }),
    };
    const value = {
      ...document.value,
      ...more,
      open: next,
      wanted: { ...document.value.wanted, ...next.to },
    };
    const write = { collection: "workloads", id: document.id, expect: document.rev, value } as const;
    if ((await record(deps, point, [write])) === "written") {
      return { document: { ...document, rev: document.rev + 1, value }, open: next };
    }
  }
  return undefined;
}

/**
 * After a conflict: the ticket on the document as it is now, when all that changed is that newer observations of the
 * same digest joined the rollout, that somebody else looked at it too, or that a
 * person wants it stopped. Otherwise somebody else moved the workload
 * on, and what was ours is let go.
 */
export async function rebase(deps: FlowDeps, ticket: Ticket): Promise<Ticket | undefined> {
  const document = await deps.ledger.get("workloads", ticket.document.id);
  const open = document?.value.open;
  if (document !== undefined && open !== undefined && isSame(open, ticket.open)) {
    // Our own lease: its start on this process's clock is known of no copy of it.
    const { to, stopped } = open;
    return { document, open: { ...ticket.open, to, ...(stopped === undefined ? {} : { stopped }) } };
  }
  await letGo(deps, ticket, document);
  return undefined;
}

/** A plan that replaced ours waits for the lease it inherited from us: give it free, and wake it. */
async function letGo(deps: FlowDeps, ticket: Ticket, first: Stored<"workloads"> | undefined): Promise<void> {
  const { id, value: before } = ticket.document;
  const { lease, seq } = ticket.open;
  deps.log.write("notice", `${id}: fenced, somebody else moved it on`, {
    workload: id,
    seq,
    outcome: "fenced",
  });
  // Others may replace that plan too meanwhile: the lease goes with it.
  for (let now = first; now !== undefined; now = await deps.ledger.get("workloads", id)) {
    const { open } = now.value;
    if (open === undefined || lease === undefined) return;
    if (open.seq === seq || open.lease?.holder !== lease.holder) return;
    const { lease: _, ...rest } = open;
    const value: WorkloadDocument = { ...now.value, open: rest };
    const write = { collection: "workloads", id, expect: now.rev, value } as const;
    if ((await record(deps, "workload.yield", [write])) === "conflict") continue;
    const message = { kind: "continue", workload: before.workload, seq: open.seq } as const;
    return deps.recorder.step("bus.continue", () => deps.bus.publish([message]));
  }
}

function isSame(one: OpenRollout, other: OpenRollout): boolean {
  return isDeepStrictEqual(
    { ...unseen(one), to: raised(one.to, other.to) },
    { ...unseen(other), to: raised(other.to, one.to) },
  );
}

/**
 * Without what a person said meanwhile, and what looks at a rollout under verification note: a sweep looks beside the
 * invocation that it belongs to.
 */
function unseen({ stopped: _, ...open }: OpenRollout): OpenRollout {
  if (open.state !== "verifying") return open;
  const { verify: _verify, note: _note, ...rest } = open;
  return { ...rest, dueMs: 0 };
}
