import type { Clock } from "../clock.ts";
import type { OpenRollout } from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";

type Lease = NonNullable<OpenRollout["lease"]>;

/** How long the right to write to a workload's target lasts, ms. */
export const leaseMs = 60_000;
/** A write starts only with this much of the lease left, ms: longer than a write's own deadline. */
const neededMs = 15_000;
/** Where the target has no fence, a dead holder's last write may still arrive: wait this much longer, ms. */
export const graceMs = 15_000;
/** Ended leases are remembered for so long, ms: until then a clock that was set back does not revive them. */
const keptMs = 3_600_000;

const started = new WeakMap<Lease, number>();
/** When the leases of this process began, by holder, on its monotonic clock. */
const own = new WeakMap<Clock, Map<string, number>>();

/** A lease of this process; its start is kept on the monotonic clock too, which no clock step can stretch. */
export function newLease(deps: Pick<FlowDeps, "newId" | "clock">, nowMs: number): Lease {
  const lease = { holder: deps.newId(), untilMs: nowMs + leaseMs };
  const startedMs = deps.clock.monotonic();
  started.set(lease, startedMs);
  const leases = own.get(deps.clock) ?? new Map<string, number>();
  own.set(deps.clock, leases);
  for (const [holder, sinceMs] of leases) if (startedMs - sinceMs > keptMs) leases.delete(holder);
  leases.set(lease.holder, startedMs);
  return lease;
}

/** Whether this process holds the lease with time enough for one more write. */
export function holds(deps: Pick<FlowDeps, "clock">, lease: Lease | undefined): boolean {
  const startedMs = lease === undefined ? undefined : started.get(lease);
  return startedMs !== undefined && deps.clock.monotonic() - startedMs <= leaseMs - neededMs;
}

/**
 * Whether somebody else may take the workload over. Leases of other processes end by the ledger's clock; those of this
 * one by its monotonic clock, so that a machine whose clock is set does not end what it is in the middle of.
 */
export function isFree(
  deps: Pick<FlowDeps, "clock">,
  lease: Lease | undefined,
  fences: boolean,
  nowMs: number,
): boolean {
  if (lease === undefined) return true;
  const lateMs = fences ? 0 : graceMs;
  const startedMs = own.get(deps.clock)?.get(lease.holder);
  if (startedMs !== undefined) return deps.clock.monotonic() - startedMs >= leaseMs + lateMs;
  return lease.untilMs + lateMs <= nowMs;
}

/** From now on the lease ends as the ledger says, like another process's. */
export function letEnd(deps: Pick<FlowDeps, "clock">, holder: string): void {
  own.get(deps.clock)?.delete(holder);
}
