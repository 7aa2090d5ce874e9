import { isDeepStrictEqual } from "node:util";
import { stillFollows } from "../decide/push.ts";
import { isMovedOn, stoppedBy } from "../decide/stopped.ts";
import { asFollowed } from "../decide/way-back.ts";
import type { Repository } from "../domain/reference.ts";
import { wantedReference } from "../domain/rollout.ts";
import type { Workload } from "../domain/workload.ts";
import { isTargetTrouble } from "../errors.ts";
import type { OpenRollout } from "../ledger/ledger.ts";
import type { WriteOutcome } from "../targets/target.ts";
import { accept, settle } from "./accept.ts";
import type { Budget, FlowDeps, FlowTarget } from "./deps.ts";
import { finish } from "./finish.ts";
import { freezeOver, leaveFrozen } from "./freezes.ts";
import { getFresh, isPaused, type Unavailable, unavailable } from "./fresh.ts";
import { holds } from "./lease.ts";
import { registryReason } from "./observe.ts";
import { runsNewerNow } from "./plan-checks.ts";
import { silenceOf } from "./plan-target.ts";
import { baseOf, imagesOf, type Ticket } from "./plan-writes.ts";
import { arrived } from "./resolved.ts";
import { type Way, wayBack, wayOn } from "./roll-back.ts";
import { rebase, save } from "./save.ts";
import { giveWay, retreat, waitForUnknown } from "./step-back.ts";

const maxConflicts = 5;
const maxUnknown = 3;

/** Writes to the target, once, with everything read again right before. */
export async function apply(
  deps: FlowDeps,
  first: Ticket,
  at: FlowTarget,
  budget: Budget,
): Promise<Ticket | undefined> {
  const { target } = at;
  if ((await deps.ledger.underWay(target.name)) > deps.maxParallel)
    return giveWay(deps, first, target.name, budget);
  let ticket = first;
  let unknown = 0;
  for (let conflicts = 0; ; ) {
    const read = await getFresh(deps, at, ticket);
    if (read.kind === "unavailable") return retreat(deps, ticket, read.message, read.retryAfterMs);
    const fresh = read.workload;
    if (fresh === undefined)
      return finish(deps, ticket, { state: "superseded", reason: "the workload is gone" });
    if (fresh.fence > ticket.open.seq)
      return fenced(deps, ticket, `rollout ${fresh.fence} was written since`);
    const way = await wayFor(deps, ticket, at, fresh);
    if (way.kind === "ends") return finish(deps, ticket, way.end);
    if (way.kind === "lost") return undefined;
    if (way.kind === "unavailable") return retreat(deps, ticket, way.message, way.retryAfterMs);
    ticket = way.ticket;
    const { open } = ticket;
    const mustMark = open.disputed === true && target.capabilities.fences && fresh.fence < open.seq;
    const there = mustMark ? undefined : await arrived(deps, at, open, fresh);
    if (there !== undefined) {
      const paused = open.again === true ? await isPaused(deps, at, ticket) : { kind: "going" as const };
      if (paused.kind === "unavailable") return retreat(deps, ticket, paused.message, paused.retryAfterMs);
      if (paused.kind === "going") return accept(deps, ticket, at, there, fresh);
    }
    const corrected = await correct(deps, ticket, fresh);
    if (corrected === undefined) return undefined;
    ticket = corrected;
    const stop = stoppedBy(ticket.document.value, ticket.open, await deps.ledger.clock());
    if (stop !== undefined) return finish(deps, ticket, { state: "superseded", reason: stop });
    const frozenMs = await freezeOver(deps, ticket);
    if (frozenMs !== undefined) return leaveFrozen(deps, ticket, frozenMs);
    if (!holds(deps, ticket.open.lease)) return ticket;

    const change = await changeFor(deps, ticket.open, fresh);
    if (change.kind === "unavailable") return retreat(deps, ticket, change.message, change.retryAfterMs);
    const outcome = await deps.recorder
      .step("target.update", () =>
        way.back === true && target.goBack !== undefined
          ? target.goBack(fresh)
          : target.update(fresh, change.change),
      )
      .catch((error: unknown): WriteOutcome | Unavailable => {
        if (!isTargetTrouble(error)) throw error;
        return unavailable(error);
      });
    switch (outcome.kind) {
      case "accepted":
        return settle(deps, ticket, at);
      case "unavailable":
        return retreat(deps, ticket, outcome.message, outcome.retryAfterMs);
      case "gone":
        return finish(deps, ticket, { state: "superseded", reason: "the workload is gone" });
      case "refused":
        return finish(deps, ticket, { state: "failed", reason: outcome.message, blame: "environment" });
      case "conflict":
        if (++conflicts >= maxConflicts)
          return retreat(deps, ticket, "the workload is being changed by others");
        break;
      case "unknown":
        if (!target.capabilities.fences) return waitForUnknown(deps, ticket, outcome.message);
        if (++unknown >= maxUnknown) {
          // It may still arrive: whatever replaces this rollout has to leave a mark.
          const disputed: Ticket = { ...ticket, open: { ...ticket.open, disputed: true } };
          return retreat(deps, disputed, outcome.message);
        }
        break;
      default:
        return outcome satisfies never;
    }
    await deps.clock.sleep(100 + Math.floor(deps.random() * 400));
    const current = await rebase(deps, ticket);
    if (current === undefined) return undefined;
    ticket = current;
  }
}

/** Whether the workload, as it is now, still is what the plan was made for. */
async function wayFor(deps: FlowDeps, ticket: Ticket, at: FlowTarget, fresh: Workload): Promise<Way> {
  const { open } = ticket;
  if (open.undoes !== undefined) return wayBack(deps, ticket, at, open.undoes, fresh);
  // A person has chosen: what the workload follows does not matter, only whether it has such a container.
  if (open.cause.kind === "deploy" || open.cause.kind === "rollback") {
    const missing = Object.keys(open.to).find((name) => !fresh.containers.some((each) => each.name === name));
    if (missing !== undefined) {
      const reason = `gone: it has no container ${missing} any more`;
      return { kind: "ends", end: { state: "superseded", reason } };
    }
    return open.cause.kind === "rollback" ? wayOn(deps, ticket, at, fresh) : { kind: "goes", ticket };
  }
  if (isMovedOn(open, fresh)) {
    return { kind: "ends", end: { state: "superseded", reason: "changed by someone else" } };
  }
  const rules = (repository: Repository) => ({ rule: deps.rule(repository), mode: at.mode });
  const other = stillFollows(open.to, asFollowed(fresh, ticket.document.value.detours), rules);
  if (other?.kind === "skip") {
    const detail = other.detail === undefined ? "" : `: ${other.detail}`;
    return { kind: "ends", end: { state: "superseded", reason: `${other.reason}${detail}` } };
  }
  try {
    const newer = await runsNewerNow(deps, open, fresh, ticket.document.value);
    if (newer === undefined) return { kind: "goes", ticket };
    return { kind: "ends", end: { state: "superseded", reason: `${newer.reason}: ${newer.detail}` } };
  } catch (error) {
    if (silenceOf(error) === undefined) throw error;
    return unavailable(error);
  }
}

async function changeFor(deps: FlowDeps, open: OpenRollout, fresh: Workload) {
  const { seq, cause, times } = open;
  const images = Object.fromEntries(
    Object.entries(open.to).map(([name, wanted]) => {
      const reference = wantedReference(wanted);
      return [name, { ...reference, tag: open.via?.[name] ?? reference.tag }];
    }),
  );
  const first = Object.values(open.to)[0];
  const change = { seq, images, note: { why: `${cause.kind} ${cause.event}`, atMs: times.planned } };
  if (fresh.platforms === undefined || first === undefined) return { kind: "change", change } as const;
  try {
    const platforms = await deps.recorder.step("registry.platforms", () =>
      deps.registry.platforms(first.repository, first.digest),
    );
    return { kind: "change", change: { ...change, platforms } } as const;
  } catch (error) {
    if (registryReason(error) === undefined) throw error;
    return unavailable(error);
  }
}

/**
 * What runs is not what was listed when the plan was made: a rollback must go back to what really ran, and what the write
 * goes on top of is on record before it.
 */
async function correct(deps: FlowDeps, ticket: Ticket, fresh: Workload): Promise<Ticket | undefined> {
  const { open, document } = ticket;
  const from = imagesOf(fresh);
  const based = baseOf(fresh);
  const same = fresh.containers.every(
    (container) =>
      open.from[container.name] === container.image ||
      container.reference?.digest === open.to[container.name]?.digest,
  );
  if (same && isDeepStrictEqual(open.base, based.base)) return ticket;
  if (same) return save(deps, "workload.correct", ticket, { ...open, ...based });
  const { deployed, lastGood } = document.value;
  // What a target has resolved a tag to for us is none of what ran before us.
  const isOurs =
    open.lagged !== undefined || (open.base !== undefined && fresh.stamp?.now === open.base.stamp);
  const untouched =
    !isOurs && open.cause.of === undefined && deployed === undefined && lastGood === undefined;
  const next = { ...open, from, ...based };
  return save(deps, "workload.correct", ticket, next, untouched ? { baseline: from } : {});
}

async function fenced(deps: FlowDeps, ticket: Ticket, why: string): Promise<Ticket | undefined> {
  return finish(deps, ticket, { state: "superseded", reason: `fenced: ${why}` });
}
