import type { PushMessage } from "../bus/bus.ts";
import type { Observed } from "../decide/push.ts";
import { messageOf, retryAfterOf, TargetDeniedError, TargetUnavailableError } from "../errors.ts";
import type { Verdict } from "../ledger/ledger.ts";
import type { FlowDeps, FlowTarget } from "./deps.ts";
import { registryReason } from "./observe.ts";
import { type Planned, plan } from "./plan.ts";

/** One target's share of a push: a target that cannot be asked never stops the others. */
export async function planTarget(
  deps: FlowDeps,
  at: FlowTarget,
  message: PushMessage,
  ref: Observed,
  observedMs: number,
): Promise<readonly Planned[]> {
  const { target } = at;
  const waiting = (workload: Verdict["workload"], reason: string, error: unknown): Planned => ({
    verdict: { workload, kind: "waiting", reason, detail: messageOf(error) },
    retryAfterMs: retryAfterOf(error) ?? 0,
  });
  const guarded = async (workload: Verdict["workload"], act: () => Promise<Planned | undefined>) => {
    try {
      return await act();
    } catch (error) {
      if (error instanceof TargetDeniedError) return waiting(workload, "target-denied", error);
      if (error instanceof TargetUnavailableError) return waiting(workload, "target-unavailable", error);
      const reason = registryReason(error);
      if (reason === undefined) throw error;
      return waiting(workload, reason, error);
    }
  };
  const planned: Planned[] = [];
  const failed = await guarded(`${target.name}/*`, async () => {
    const workloads = await deps.recorder.step("target.list", () => target.list());
    const { push, event, heardMs } = message;
    const cause = {
      kind: push.source === "sweep" ? ("sweep" as const) : ("push" as const),
      event,
      ...(push.pusher === undefined ? {} : { by: push.pusher }),
    };
    let claims = 0;
    for (const workload of workloads) {
      const one = await guarded(workload.id, () =>
        plan(deps, { at, workload, seen: ref, cause, heardMs, observedMs, claim: claims < deps.maxParallel }),
      );
      if (one === undefined) continue;
      if (one.ticket?.open.state === "applying") claims++;
      planned.push(one);
    }
    return undefined;
  });
  return failed === undefined ? planned : [...planned, failed];
}
