import type { Cause, Rollout, Wanted } from "../domain/rollout.ts";
import type { Workload } from "../domain/workload.ts";
import {
  type OpenRollout,
  rolloutId,
  type Stored,
  type WorkloadDocument,
  type Write,
} from "../ledger/ledger.ts";
import type { FlowDeps, FlowTarget } from "./deps.ts";
import { closing, deployedBy, undoneBy } from "./history.ts";
import { isFree, newLease } from "./lease.ts";

/** A rollout on record, with the workload document as it was last written by us. */
export interface Ticket {
  readonly document: Stored<"workloads">;
  readonly open: OpenRollout;
}

/** When the sweep looks at a plan that nobody has carried on, ms. */
export const plannedDueMs = 30_000;

export interface NewPlan {
  readonly at: FlowTarget;
  readonly workload: Workload;
  readonly to: Wanted;
  readonly cause: Cause;
  readonly heardMs: number;
  readonly observedMs: number;
  /** Take the right to write at once, in the same commit. */
  readonly claim: boolean;
  readonly again?: boolean;
  readonly via?: Readonly<Record<string, string>> | undefined;
  /** What else changes in the workload's document. */
  readonly more?: Partial<WorkloadDocument>;
}

/**
 * What puts a plan on record, all in one batch: the workload's document, its rollout, and the end of the one that was
 * open. A person's pin does not outlive it, unless `more` has one.
 */
export async function planWrites(
  deps: FlowDeps,
  { at, workload, to, cause, heardMs, observedMs, again, via, more, ...plan }: NewPlan,
  stored: Stored<"workloads"> | undefined,
): Promise<{ readonly writes: [Write, ...Write[]]; readonly ticket: Ticket }> {
  const nowMs = await deps.ledger.clock();
  const before = stored?.value;
  const seq = Math.max(before?.seq ?? 0, workload.fence) + 1;
  const from = imagesOf(workload);
  const inherited = before?.open?.lease;
  const claim = plan.claim && isFree(deps, inherited, at.target.capabilities.fences, nowMs);
  const lease = claim ? newLease(deps, nowMs) : inherited;
  const times = {
    heard: heardMs,
    observed: observedMs,
    planned: nowMs,
    ...(claim ? { applying: nowMs } : {}),
  };
  const open: OpenRollout = {
    seq,
    state: claim ? "applying" : "planned",
    cause,
    from,
    to,
    times,
    ...(lease === undefined ? {} : { lease }),
    config: deps.configHash,
    attempts: claim ? 1 : 0,
    dueMs: lease === undefined ? nowMs + plannedDueMs : lease.untilMs,
    ...(isDisputed(before?.open) ? { disputed: true } : {}),
    ...(again === true ? { again } : {}),
    ...baseOf(workload),
    ...(via === undefined ? {} : { via }),
  };
  const { pin: _pin, retry: _retry, ...rest } = before ?? newDocument(workload);
  const value: WorkloadDocument = {
    ...rest,
    seq,
    wanted: { ...before?.wanted, ...to },
    baseline: before?.baseline ?? from,
    ...(before?.open === undefined ? {} : deployedBy(before, before.open)),
    open,
    ...more,
  };
  const rollout: Rollout = {
    workload: workload.id,
    seq,
    state: "planned",
    cause,
    from,
    to,
    times,
    config: deps.configHash,
  };
  const rev = stored?.rev ?? 0;
  const writes: [Write, ...Write[]] = [
    { collection: "workloads", id: workload.id, expect: rev, value },
    { collection: "rollouts", id: rolloutId(workload.id, seq), expect: 0, value: rollout },
  ];
  if (before?.open !== undefined) {
    const end = { state: "superseded", reason: `rollout ${seq} replaced it` } as const;
    const undone = await undoneBy(deps, before.workload, before.open, end);
    writes.push(closing(before, before.open, end, nowMs), ...(undone === undefined ? [] : [undone]));
  }
  return { writes, ticket: { document: { id: workload.id, rev: rev + 1, writer: "", value }, open } };
}

/** What each container of a workload names, as the target spells it. */
export function imagesOf({ containers }: Workload): Readonly<Record<string, string>> {
  return Object.fromEntries(containers.map(({ name, image }) => [name, image]));
}

/** What a write on top of the workload as it is now leaves behind. */
export function baseOf(workload: Workload): Pick<OpenRollout, "base"> {
  const { stamp } = workload;
  return stamp === undefined ? {} : { base: { images: imagesOf(workload), stamp: stamp.next } };
}

export function newDocument({
  id,
  target,
  name,
}: Pick<Workload, "id" | "target" | "name">): WorkloadDocument {
  return { workload: id, target, name, seq: 0, wanted: {}, holds: [] };
}

/** A write of the rollout that is being replaced may still be on its way: ours has to leave a mark even if nothing changes. */
function isDisputed(open: OpenRollout | undefined): boolean {
  return open !== undefined && (open.state === "applying" || open.disputed === true);
}
