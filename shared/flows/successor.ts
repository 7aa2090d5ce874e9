import type { Aftermath } from "../decide/aftermath.ts";
import { type Cause, printWanted, type Wanted } from "../domain/rollout.ts";
import { type OpenRollout, rolloutId, type WorkloadDocument, type Write } from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";
import type { End } from "./finish.ts";
import { newLease } from "./lease.ts";
import { plannedDueMs } from "./plan-writes.ts";

/** The rollout that follows one that failed, or that waited for a rollback to end. */
interface Successor {
  readonly open: OpenRollout;
  readonly document: Pick<WorkloadDocument, "seq" | "open" | "retry">;
  /** Creates its history. */
  readonly rollout: Write;
}

/** What a workload goes on with by itself when a rollout has ended; `undefined`: it rests. */
export function successorOf(
  deps: FlowDeps,
  before: WorkloadDocument,
  open: OpenRollout,
  aftermath: Aftermath | undefined,
  end: End,
  nowMs: number,
): Successor | undefined {
  const { event, by } = open.cause;
  const because = { event, of: open.seq, ...(by === undefined ? {} : { by }) };
  const times = (open.retries ?? 0) + 1;
  const make = (
    cause: Cause,
    to: Wanted,
    more: Partial<OpenRollout>,
    retry?: WorkloadDocument["retry"],
  ): Successor => {
    const next: OpenRollout = {
      seq: before.seq + 1,
      state: "planned",
      cause,
      from: { ...open.from, ...printWanted(open.to) },
      to,
      times: {
        planned: nowMs,
        ...(open.times.heard === undefined ? {} : { heard: open.times.heard }),
        ...(more.state === "applying" ? { applying: nowMs } : {}),
      },
      config: deps.configHash,
      attempts: 0,
      dueMs: nowMs + plannedDueMs,
      ...more,
    };
    const { workload } = before;
    const { seq, from, times: at, config } = next;
    return {
      open: next,
      document: { seq, open: next, ...(retry === undefined ? {} : { retry }) },
      rollout: {
        collection: "rollouts",
        id: rolloutId(workload, seq),
        expect: 0,
        value: { workload, seq, state: "planned", cause, from, to, times: at, config },
      },
    };
  };
  if (aftermath?.kind === "roll-back") {
    const { to, thenRetryMs: pauseMs } = aftermath;
    const retry =
      pauseMs === undefined
        ? undefined
        : { to: open.to, cause: { kind: "retry" as const, ...because }, times, pauseMs };
    const lease = newLease(deps, nowMs);
    // It goes on in the place of what it undoes: nobody that waits comes between.
    const claimed = { state: "applying" as const, lease, attempts: 1, dueMs: lease.untilMs };
    return make({ kind: "rollback", ...because }, to, { ...claimed, undoes: open.to }, retry);
  }
  if (aftermath?.kind === "retry") {
    const retryMs = nowMs + aftermath.afterMs;
    const wait = { retries: times, retryMs, dueMs: retryMs };
    return make({ kind: "retry", ...because }, open.to, { again: true, ...wait });
  }
  if (aftermath?.kind === "restored" && aftermath.thenRetryMs !== undefined) {
    const retryMs = nowMs + aftermath.thenRetryMs;
    const wait = { retries: times, retryMs, dueMs: retryMs };
    return make({ kind: "retry", ...because }, open.to, { from: open.from, ...wait });
  }
  if (open.cause.kind === "rollback" && end.state !== "superseded" && before.retry !== undefined) {
    const { to, cause, pauseMs, times: retries } = before.retry;
    const retryMs = nowMs + pauseMs;
    return make(cause, to, { retries, retryMs, dueMs: retryMs });
  }
  return undefined;
}
