import type { Observed } from "../decide/push.ts";
import type { Cause } from "../domain/rollout.ts";
import type { Workload } from "../domain/workload.ts";
import {
  HistoryDeniedError,
  HistoryUnavailableError,
  messageOf,
  retryAfterOf,
  TargetDeniedError,
  TargetUnavailableError,
} from "../errors.ts";
import type { Built } from "../ledger/image-document.ts";
import type { Verdict } from "../ledger/ledger.ts";
import type { FlowDeps, FlowTarget } from "./deps.ts";
import { registryReason } from "./observe.ts";
import { type Planned, plan } from "./plan.ts";

/** One thing that was observed, with what plans that come of it are recorded with. */
export interface Asked {
  readonly seen: Observed;
  readonly cause: Cause;
  readonly heardMs: number;
  readonly observedMs: number;
  readonly builds?: readonly Built[];
  /** Why nothing of it may be deployed to a target with these workloads; `undefined`: it may. */
  readonly stops?: (workloads: readonly Workload[]) => string | undefined;
}

/** One target's share of what was observed, its workloads listed once: a target that cannot be asked never stops the others. */
export async function planTarget(
  deps: FlowDeps,
  at: FlowTarget,
  asked: readonly Asked[],
): Promise<readonly (Planned & { readonly seen: Observed })[]> {
  const { target } = at;
  const waiting = (workload: Verdict["workload"], reason: string, error: unknown): Planned => ({
    verdict: { workload, kind: "waiting", reason, detail: messageOf(error) },
    retryAfterMs: retryAfterOf(error) ?? 0,
  });
  const guarded = async (workload: Verdict["workload"], act: () => Promise<Planned | undefined>) => {
    try {
      return await act();
    } catch (error) {
      const reason = silenceOf(error);
      if (reason === undefined) throw error;
      return waiting(workload, reason, error);
    }
  };
  const planned: (Planned & { readonly seen: Observed })[] = [];
  const failed = await guarded(`${target.name}/*`, async () => {
    const workloads = await deps.recorder.step("target.list", () => target.list());
    let claims = 0;
    for (const { stops, ...each } of asked) {
      const stopped = stops?.(workloads);
      const why = stopped === undefined ? {} : { stopped };
      for (const workload of workloads) {
        const claim = claims < deps.maxParallel;
        const one = await guarded(workload.id, () => plan(deps, { ...each, ...why, at, workload, claim }));
        if (one === undefined) continue;
        if (one.ticket?.open.state === "applying") claims++;
        planned.push({ ...one, seen: each.seen });
      }
    }
    return undefined;
  });
  if (failed === undefined) return planned;
  return [...planned, ...asked.map(({ seen }) => ({ ...failed, seen }))];
}

/** The stable name of what could not be asked; `undefined`: this error is nobody's silence. */
export function silenceOf(error: unknown): string | undefined {
  if (error instanceof TargetDeniedError) return "target-denied";
  if (error instanceof TargetUnavailableError) return "target-unavailable";
  if (error instanceof HistoryDeniedError) return "history-denied";
  if (error instanceof HistoryUnavailableError) return "history-unavailable";
  return registryReason(error);
}
