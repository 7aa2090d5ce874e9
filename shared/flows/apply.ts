import { stillFollows } from "../decide/push.ts";
import { noMemory } from "../decide/verify.ts";
import type { Repository } from "../domain/reference.ts";
import { wantedReference } from "../domain/rollout.ts";
import type { Workload } from "../domain/workload.ts";
import { isTargetTrouble, messageOf, retryAfterOf } from "../errors.ts";
import type { OpenRollout } from "../ledger/ledger.ts";
import type { WriteOutcome } from "../targets/target.ts";
import type { Budget, FlowDeps, FlowTarget } from "./deps.ts";
import { type End, finish } from "./finish.ts";
import { holds } from "./lease.ts";
import { registryReason } from "./observe.ts";
import type { Ticket } from "./plan-writes.ts";
import { arrived, type Resolved, resolve } from "./resolved.ts";
import { wayBack } from "./roll-back.ts";
import { rebase, save } from "./save.ts";
import { giveWay, retreat, waitForUnknown } from "./step-back.ts";

const maxConflicts = 5;
const maxUnknown = 3;
const maxLagging = 3;
const unpinned =
  "the target deployed the tag without a digest, so that nobody can tell what its tasks run: " +
  "push Docker-type manifests, or use `kind: swarm` for this target";
/** When the sweep looks at a verifying rollout whose own invocation is silent, ms. */
const verifyingDueMs = 45_000;

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
    ticket = way.ticket;
    const { open } = ticket;
    const mustMark = open.disputed === true && target.capabilities.fences && fresh.fence < open.seq;
    const there = mustMark ? undefined : await arrived(deps, at, open, fresh);
    if (there !== undefined) {
      const paused = open.again === true ? await isPaused(deps, at, ticket) : { kind: "going" as const };
      if (paused.kind === "unavailable") return retreat(deps, ticket, paused.message, paused.retryAfterMs);
      if (paused.kind === "going") return accept(deps, ticket, at, there);
    }
    const corrected = await correct(deps, ticket, fresh);
    if (corrected === undefined) return undefined;
    ticket = corrected;
    if (!holds(deps, ticket.open.lease)) return ticket;

    const change = await changeFor(deps, ticket.open, fresh);
    if (change.kind === "unavailable") return retreat(deps, ticket, change.message, change.retryAfterMs);
    const outcome = await deps.recorder
      .step("target.update", () => target.update(fresh, change.change))
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

type Way =
  | { readonly kind: "goes"; readonly ticket: Ticket }
  | { readonly kind: "ends"; readonly end: End }
  /** Somebody else moved the workload on. */
  | { readonly kind: "lost" };

/** Whether the workload, as it is now, still is what the plan was made for. */
async function wayFor(deps: FlowDeps, ticket: Ticket, at: FlowTarget, fresh: Workload): Promise<Way> {
  const { open } = ticket;
  if (open.undoes !== undefined) return wayBack(deps, ticket, open.undoes, fresh);
  // A person has chosen: what the workload follows does not matter, only whether it has such a container.
  if (open.cause.kind === "deploy" || open.cause.kind === "rollback") {
    const missing = Object.keys(open.to).find((name) => !fresh.containers.some((each) => each.name === name));
    return missing === undefined
      ? { kind: "goes", ticket }
      : {
          kind: "ends",
          end: { state: "superseded", reason: `gone: it has no container ${missing} any more` },
        };
  }
  const rules = (repository: Repository) => ({ rule: deps.rule(repository), mode: at.mode });
  const other = stillFollows(open.to, fresh, rules);
  if (other?.kind !== "skip") return { kind: "goes", ticket };
  const detail = other.detail === undefined ? "" : `: ${other.detail}`;
  return { kind: "ends", end: { state: "superseded", reason: `${other.reason}${detail}` } };
}

type Fresh = { readonly kind: "read"; readonly workload: Workload | undefined } | Unavailable;

interface Unavailable {
  readonly kind: "unavailable";
  readonly message: string;
  readonly retryAfterMs: number;
}

function unavailable(error: unknown): Unavailable {
  return { kind: "unavailable", message: messageOf(error), retryAfterMs: retryAfterOf(error) ?? 0 };
}

async function getFresh(deps: FlowDeps, at: FlowTarget, ticket: Ticket): Promise<Fresh> {
  try {
    const workload = await deps.recorder.step("target.get", () => at.target.get(ticket.document.value.name));
    return { kind: "read", workload };
  } catch (error) {
    if (!isTargetTrouble(error)) throw error;
    return unavailable(error);
  }
}

/** An update that the target has paused goes on only when it is written again, even if nothing in it changes. */
async function isPaused(
  deps: FlowDeps,
  at: FlowTarget,
  ticket: Ticket,
): Promise<{ readonly kind: "paused" | "going" } | Unavailable> {
  try {
    const look = await deps.recorder.step("target.look", () => at.target.look(ticket.document.value.name));
    return { kind: look?.update === "paused" ? "paused" : "going" };
  } catch (error) {
    if (!isTargetTrouble(error)) throw error;
    return unavailable(error);
  }
}

async function changeFor(deps: FlowDeps, open: OpenRollout, fresh: Workload) {
  const { seq, cause, times } = open;
  const images = Object.fromEntries(
    Object.entries(open.to).map(([name, wanted]) => [name, wantedReference(wanted)]),
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

/** What runs is not what was listed when the plan was made: a rollback must go back to what really ran. */
async function correct(deps: FlowDeps, ticket: Ticket, fresh: Workload): Promise<Ticket | undefined> {
  const { open, document } = ticket;
  const from = Object.fromEntries(fresh.containers.map((container) => [container.name, container.image]));
  const same = fresh.containers.every(
    (container) =>
      open.from[container.name] === container.image ||
      container.reference?.digest === open.to[container.name]?.digest,
  );
  if (same) return ticket;
  const { deployed, lastGood } = document.value;
  const untouched = open.cause.of === undefined && deployed === undefined && lastGood === undefined;
  return save(deps, "workload.correct", ticket, { ...open, from }, untouched ? { baseline: from } : {});
}

/** The target took our write. One that resolves the tag by itself is asked what it resolved. */
async function settle(deps: FlowDeps, ticket: Ticket, at: FlowTarget): Promise<Ticket | undefined> {
  if (at.target.capabilities.pins) return accept(deps, ticket, at, { kind: "at", to: ticket.open.to });
  const read = await getFresh(deps, at, ticket);
  if (read.kind === "unavailable") return waitForUnknown(deps, ticket, read.message);
  if (read.workload === undefined) {
    return finish(deps, ticket, { state: "superseded", reason: "the workload is gone" });
  }
  return accept(deps, ticket, at, await resolve(deps, ticket.open, read.workload));
}

async function accept(
  deps: FlowDeps,
  ticket: Ticket,
  at: FlowTarget,
  resolved: Resolved,
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
      return finish(deps, ticket, { state: "failed", reason: resolved.message, blame: "environment" });
    case "changed":
      return finish(deps, ticket, { state: "superseded", reason: "changed by someone else" });
    default:
      return resolved satisfies never;
  }
  const nowMs = await deps.ledger.clock();
  const { lease: _lease, note: _note, disputed: _disputed, ...rest } = open;
  deps.log.write("info", `${ticket.document.id}: update accepted by ${at.target.kind} ${at.target.name}`, {
    workload: ticket.document.id,
    seq: open.seq,
    afterMs: nowMs - (open.times.heard ?? open.times.planned),
  });
  return save(deps, "workload.accepted", ticket, {
    ...rest,
    state: "verifying",
    to: resolved.to,
    times: { ...open.times, accepted: nowMs },
    verify: noMemory,
    dueMs: nowMs + verifyingDueMs,
  });
}

async function fenced(deps: FlowDeps, ticket: Ticket, why: string): Promise<Ticket | undefined> {
  return finish(deps, ticket, { state: "superseded", reason: `fenced: ${why}` });
}
