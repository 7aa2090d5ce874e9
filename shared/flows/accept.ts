import { noMemory } from "../decide/verify.ts";
import { detoursOf } from "../decide/way-back.ts";
import type { Workload } from "../domain/workload.ts";
import type { WorkloadDocument } from "../ledger/ledger.ts";
import type { FlowDeps, FlowTarget } from "./deps.ts";
import { finish } from "./finish.ts";
import { getFresh } from "./fresh.ts";
import { imagesOf, type Ticket } from "./plan-writes.ts";
import { type Resolved, resolve } from "./resolved.ts";
import { save } from "./save.ts";
import { retreat, waitForUnknown } from "./step-back.ts";

const maxLagging = 3;
const unpinned =
  "the target deployed the tag without a digest, so that nobody can tell what its tasks run: " +
  "push Docker-type manifests, or use `kind: swarm` for this target";
/** When the sweep looks at a verifying rollout whose own invocation is silent, ms. */
const verifyingDueMs = 45_000;

/** The target took our write. One that resolves the tag by itself is asked what it resolved. */
export async function settle(deps: FlowDeps, ticket: Ticket, at: FlowTarget): Promise<Ticket | undefined> {
  if (at.target.capabilities.pins) return accept(deps, ticket, at, { kind: "at", to: ticket.open.to });
  const read = await getFresh(deps, at, ticket);
  if (read.kind === "unavailable") return waitForUnknown(deps, ticket, read.message);
  if (read.workload === undefined) {
    return finish(deps, ticket, { state: "superseded", reason: "the workload is gone" });
  }
  return accept(deps, ticket, at, await resolve(deps, ticket.open, read.workload), read.workload);
}

/**
 * What a workload shows after the write decides how its rollout goes on.
 * @param shown the workload, where the target was asked what it resolved
 */
export async function accept(
  deps: FlowDeps,
  ticket: Ticket,
  at: FlowTarget,
  resolved: Resolved,
  shown?: Workload,
): Promise<Ticket | undefined> {
  const { open } = ticket;
  switch (resolved.kind) {
    case "at":
      break;
    case "lagging": {
      const lagged = (open.lagged ?? 0) + 1;
      if (lagged <= maxLagging)
        return retreat(deps, { ...ticket, open: { ...open, lagged } }, resolved.message);
      return finish(deps, ticket, { state: "failed", reason: resolved.message, blame: "environment" });
    }
    case "unpinned":
      // Each try restarts every task, and the registry would have to answer in another way.
      return finish(deps, ticket, { state: "failed", reason: unpinned, blame: "environment" });
    case "other-tag":
    case "elsewhere":
      return finish(deps, ticket, { state: "failed", reason: resolved.message, blame: "environment" });
    case "changed":
      return finish(deps, ticket, { state: "superseded", reason: "changed by someone else" });
    default:
      return resolved satisfies never;
  }
  const nowMs = await deps.ledger.clock();
  const { lease: _lease, note: _note, disputed: _disputed, base: _base, via: _via, ...rest } = open;
  deps.log.write("info", `${ticket.document.id}: update accepted by ${at.target.kind} ${at.target.name}`, {
    workload: ticket.document.id,
    seq: open.seq,
    afterMs: nowMs - (open.times.heard ?? open.times.planned),
  });
  const next = {
    ...rest,
    state: "verifying",
    to: resolved.to,
    times: { ...open.times, accepted: nowMs },
    verify: noMemory,
    dueMs: nowMs + verifyingDueMs,
  } as const;
  return save(deps, "workload.accepted", ticket, next, shown === undefined ? {} : leftBy(ticket, shown));
}

/** What is remembered of a write to a target that goes back only to what it had before. */
function leftBy({ document, open }: Ticket, shown: Workload): Partial<WorkloadDocument> {
  const { detours: before } = document.value;
  const { base, cause, to } = open;
  // Where the next write leaves the same stamp as this one was to leave, nothing was written.
  const isWritten = base !== undefined && shown.stamp?.next !== base.stamp;
  const detours = detoursOf(before, shown, to, cause.kind === "rollback" || cause.kind === "deploy");
  return {
    ...(isWritten ? { left: { ...base, now: imagesOf(shown) } } : {}),
    ...(before === undefined && Object.keys(detours).length === 0 ? {} : { detours }),
  };
}
