import type { WorkloadId } from "../domain/workload.ts";
import { apply } from "./apply.ts";
import type { Budget, FlowDeps, FlowTarget } from "./deps.ts";
import { finish } from "./finish.ts";
import { freezeOver, leaveFrozen } from "./freezes.ts";
import { holds, isFree, newLease } from "./lease.ts";
import { isItsTurn } from "./places.ts";
import type { Ticket } from "./plan-writes.ts";
import { save } from "./save.ts";
import { verify } from "./verify.ts";

/**
 * Carries an open rollout on from whatever state it is in, as far as the budget goes: takes the right to write, writes,
 * verifies, and puts each step on record before and after. Safe to call for the same rollout from anywhere at any time.
 * @param ticket the rollout as the caller has just written it; without it the ledger is read
 */
export async function advance(
  deps: FlowDeps,
  id: WorkloadId,
  seq: number,
  budget: Budget,
  ticket?: Ticket,
): Promise<void> {
  let current = ticket ?? (await load(deps, id, seq));
  while (current !== undefined) {
    const { document, open } = current;
    const at = deps.targets.find((each) => each.target.name === document.value.target);
    if (at === undefined) {
      await finish(deps, current, {
        state: "superseded",
        reason: `target ${document.value.target} is not configured`,
      });
      return;
    }
    switch (open.state) {
      case "planned":
        current = await claim(deps, current, at);
        break;
      case "applying":
        current = holds(deps, open.lease)
          ? await apply(deps, current, at, budget)
          : await claim(deps, current, at);
        break;
      case "verifying":
        current = await verify(deps, current, at, budget);
        break;
      default:
        return open.state satisfies never;
    }
  }
}

async function load(deps: FlowDeps, id: WorkloadId, seq: number): Promise<Ticket | undefined> {
  const document = await deps.ledger.get("workloads", id);
  const open = document?.value.open;
  return document === undefined || open === undefined || open.seq !== seq ? undefined : { document, open };
}

/** Takes the right to write, unless somebody has it or the target is busy: whoever ends a rollout there wakes it. */
async function claim(deps: FlowDeps, ticket: Ticket, at: FlowTarget): Promise<Ticket | undefined> {
  const { open, document } = ticket;
  const nowMs = await deps.ledger.clock();
  if (!isFree(deps, open.lease, at.target.capabilities.fences, nowMs)) return undefined;
  if ((open.retryMs ?? 0) > nowMs) return undefined;
  const frozenMs = open.state === "planned" ? await freezeOver(deps, ticket) : undefined;
  if (frozenMs !== undefined) return leaveFrozen(deps, ticket, frozenMs);
  if (open.state === "planned" && !(await isItsTurn(deps, at.target.name, document.id))) return undefined;
  const lease = newLease(deps, nowMs);
  const { note: _note, retryMs: _retryMs, ...rest } = open;
  return save(deps, "workload.claim", ticket, {
    ...rest,
    state: "applying",
    lease,
    attempts: open.attempts + 1,
    times: { ...open.times, applying: nowMs },
    dueMs: lease.untilMs,
  });
}
