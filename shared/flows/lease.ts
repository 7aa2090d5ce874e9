import type { OpenRollout } from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";

type Lease = NonNullable<OpenRollout["lease"]>;

/** How long the right to write to a workload's target lasts, ms. */
const leaseMs = 60_000;
/** A write starts only with this much of the lease left, ms: longer than a write's own deadline. */
const neededMs = 15_000;
/** Where the target has no fence, a dead holder's last write may still arrive: wait this much longer, ms. */
const graceMs = 15_000;

const started = new WeakMap<Lease, number>();

/** A lease of this process; its start is kept on the monotonic clock too, which no clock step can stretch. */
export function newLease(deps: Pick<FlowDeps, "newId" | "clock">, nowMs: number): Lease {
  const lease = { holder: deps.newId(), untilMs: nowMs + leaseMs };
  started.set(lease, deps.clock.monotonic());
  return lease;
}

/** Whether this process holds the lease with time enough for one more write. */
export function holds(deps: Pick<FlowDeps, "clock">, lease: Lease | undefined): boolean {
  const startedMs = lease === undefined ? undefined : started.get(lease);
  return startedMs !== undefined && deps.clock.monotonic() - startedMs <= leaseMs - neededMs;
}

/** When somebody else may take the workload over. */
export function freeAtMs(lease: Lease | undefined, fences: boolean): number {
  return lease === undefined ? 0 : lease.untilMs + (fences ? 0 : graceMs);
}
