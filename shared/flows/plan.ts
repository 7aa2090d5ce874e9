import { decidePush, follows, type Known, type Observed, type PushDecision } from "../decide/push.ts";
import { pausedBy } from "../decide/stopped.ts";
import { asFollowed } from "../decide/way-back.ts";
import { type Cause, raised, type Wanted, type WantedContainer } from "../domain/rollout.ts";
import type { Workload } from "../domain/workload.ts";
import type { Built } from "../ledger/image-document.ts";
import type { Check, Hold, Stored, Verdict, WorkloadDocument } from "../ledger/ledger.ts";
import type { FlowDeps, FlowTarget } from "./deps.ts";
import { printTime } from "./freezes.ts";
import { imageSays, platformMismatch, runsNewer } from "./plan-checks.ts";
import { newDocument, planWrites, type Ticket } from "./plan-writes.ts";
import { record } from "./record.ts";

export interface PlanRequest {
  readonly at: FlowTarget;
  readonly workload: Workload;
  readonly seen: Observed;
  readonly cause: Cause;
  readonly heardMs: number;
  readonly observedMs: number;
  /** Images whose commit is known: what runs may be newer than what is planned, and is never replaced then. */
  readonly builds?: readonly Built[];
  /** Why the guard deploys nothing of it. */
  readonly stopped?: string;
  /** A person wants what somebody else changed to be deployed again. */
  readonly adopt?: boolean;
  /** What else changes in the workload's document. */
  readonly more?: Partial<WorkloadDocument>;
  /** Take the right to write at once, in the same commit: the caller goes on with `advance`. */
  readonly claim: boolean;
}

export interface Planned {
  readonly verdict: Verdict;
  /** The rollout to carry on: a new one, or one that an earlier delivery of the same message had planned. */
  readonly ticket?: Ticket;
  /** A freeze holds until then, ms: somebody has to look again. */
  readonly frozenMs?: number;
  /** Nothing was decided: the head or the channel is about to move on. */
  readonly overtaken?: true;
  /** For a workload that waits: how long its target or registry asked to be left alone, ms. */
  readonly retryAfterMs?: number;
}

const maxAttempts = 8;
/**
 * Decides for one workload and puts a plan on record: the workload's document and its rollout in one batch, so that
 * either both are there or none. An open rollout of a lower generation ends as superseded in the same batch.
 */
export async function plan(deps: FlowDeps, request: PlanRequest): Promise<Planned | undefined> {
  const { workload, seen } = request;
  const rules = { rule: deps.rule(seen.repository), mode: request.at.mode };
  const skip = (reason: string, detail?: string): Planned => ({
    verdict: { workload: workload.id, kind: "skipped", reason, ...(detail === undefined ? {} : { detail }) },
  });
  const unknown = decidePush(seen, workload, { wanted: {}, held: [] }, rules);
  if (unknown.kind === "unrelated") return undefined;
  if (unknown.kind === "skip" && unknown.reason !== "already-running") {
    if (!(await isOnDetour(deps, request))) return skip(unknown.reason, unknown.detail);
  }

  // What was listed may be older than the record: a decision to leave things as they are is made on a fresh read.
  let fresh: Workload | undefined;
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const stored = await deps.ledger.get("workloads", workload.id);
    if (attempt > 0) {
      fresh = await deps.recorder.step("target.get", () => request.at.target.get(workload.name));
      if (fresh === undefined) return skip("gone");
    }
    const shown = asFollowed(fresh ?? workload, stored?.value.detours);
    const known = adopted(knownOf(stored?.value, await deps.ledger.clock()), request.adopt === true);
    const decision = decidePush({ heardMs: request.heardMs, ...seen }, shown, known, rules);
    switch (decision.kind) {
      case "unrelated":
        return undefined;
      case "skip": {
        const standing = decision.reason === "already-running" ? follows(seen, shown, rules) : {};
        const isNews = Object.entries(standing).some(([name, each]) => isNewTo(stored?.value, name, each));
        if (decision.reason !== "changed-outside" && !isNews) return skip(decision.reason, decision.detail);
        if (fresh === undefined) continue;
        if (isNews && (await note(deps, workload, stored, standing)) === "conflict") continue;
        return skip(decision.reason, decision.detail);
      }
      case "join": {
        const joined = await join(deps, stored, follows(seen, shown, rules));
        if (joined === undefined) continue;
        const own = joined.open.cause.event === request.cause.event ? { ticket: joined } : {};
        return { verdict: { workload: workload.id, kind: "joined", seq: decision.seq }, ...own };
      }
      case "roll-out": {
        if (request.stopped !== undefined) return skip("guarded", request.stopped);
        const image = await imageSays(deps, seen);
        if (image.kind === "held") return skip("held", image.detail);
        if (image.kind === "overtaken") {
          return { ...skip("superseded", "a newer build is on its way"), overtaken: true };
        }
        const frozenMs = deps.frozenUntil(request.at.target.name, await deps.ledger.clock());
        if (frozenMs !== undefined) {
          return { ...skip("frozen", `until ${printTime(frozenMs)}`), frozenMs };
        }
        const mismatch = await platformMismatch(deps, request);
        if (mismatch !== undefined) return skip("platform-mismatch", mismatch);
        const newer = await runsNewer(deps, request, shown, decision.to, stored?.value);
        if (newer !== undefined) return skip(newer.reason, newer.detail);
        const planned = { ...request, workload: shown };
        const ticket = await write(deps, planned, stored, decision, image.checks);
        if (ticket === undefined) continue;
        return { verdict: { workload: workload.id, kind: "planned", seq: ticket.open.seq }, ticket };
      }
      default:
        return decision satisfies never;
    }
  }
  return { verdict: { workload: workload.id, kind: "waiting", reason: "contended" } };
}

/** Whether it may follow another tag than it runs: only a target that takes no digest is ever brought to one. */
async function isOnDetour(deps: FlowDeps, { at, workload }: PlanRequest): Promise<boolean> {
  if (at.target.capabilities.rollsBackTo === "any") return false;
  return (await deps.ledger.get("workloads", workload.id))?.value.detours !== undefined;
}

/** Whether a plan of a lower generation, or to a lower tag, could still slip in behind this observation. */
function isNewTo(document: WorkloadDocument | undefined, name: string, seen: WantedContainer): boolean {
  const wanted = document?.wanted[name];
  if (wanted?.repository === seen.repository && wanted.tag === seen.tag) {
    return wanted.generation < seen.generation;
  }
  return seen.generation > 1 || seen.line === "version";
}

/** Joins an open rollout. One that is newer than its plan is put on record there, so that nothing in between replaces it. */
async function join(
  deps: FlowDeps,
  stored: Stored<"workloads"> | undefined,
  seen: Wanted,
): Promise<Ticket | undefined> {
  const before = stored?.value.open;
  if (stored === undefined || before === undefined) return undefined;
  const to = raised(before.to, seen);
  if (Object.entries(to).every(([name, { generation }]) => generation === before.to[name]?.generation)) {
    return { document: stored, open: before };
  }
  const open = { ...before, to };
  const value = { ...stored.value, open, wanted: { ...stored.value.wanted, ...to } };
  const write = { collection: "workloads", id: stored.id, expect: stored.rev, value } as const;
  if ((await record(deps, "workload.note", [write])) === "conflict") return undefined;
  return { document: { ...stored, rev: stored.rev + 1, value }, open };
}

/** Puts an observation that asks for nothing on record, so that a late plan of an older one is refused. */
async function note(
  deps: FlowDeps,
  workload: Workload,
  stored: Stored<"workloads"> | undefined,
  standing: Wanted,
): Promise<"written" | "conflict"> {
  const before = stored?.value ?? newDocument(workload);
  const value = { ...before, wanted: { ...before.wanted, ...standing } };
  const expect = stored?.rev ?? 0;
  return record(deps, "workload.note", [{ collection: "workloads", id: workload.id, expect, value }]);
}

async function write(
  deps: FlowDeps,
  request: PlanRequest,
  stored: Stored<"workloads"> | undefined,
  { to, again }: PushDecision & { readonly kind: "roll-out" },
  checks: readonly Check[],
): Promise<Ticket | undefined> {
  const holds = (stored?.value.holds ?? []).filter((hold) => !isLifted(hold, request.seen, to));
  const { writes, ticket } = await planWrites(
    deps,
    { ...request, to, again: again === true, more: { ...request.more, holds } },
    stored,
  );
  return (await record(deps, "workload.plan", writes, checks)) === "written" ? ticket : undefined;
}

/**
 * Another digest was observed since: that lifts what failed, in the containers that follow it, and a person's pin. What a
 * person holds stays.
 */
function isLifted({ by, containers }: Hold, { repository, digest }: Observed, to: Wanted): boolean {
  if (by !== undefined) return false;
  const isNews = (name: string) => to[name]?.repository === repository && to[name].digest === digest;
  return containers === undefined || containers.some(isNews);
}

/** As if nothing had been deployed: then nobody can have changed it since. */
function adopted(known: Known, adopt: boolean): Known {
  if (!adopt) return known;
  const { deployed: _, ...rest } = known;
  return rest;
}

export function knownOf(document: WorkloadDocument | undefined, nowMs: number): Known {
  const { pin, pause } = document ?? {};
  const paused = pausedBy(pause, nowMs);
  return {
    ...(pin === undefined ? {} : { pin }),
    ...(paused === undefined ? {} : { paused }),
    wanted: document?.wanted ?? {},
    ...(document?.deployed === undefined ? {} : { deployed: document.deployed }),
    ...(document?.unproven === undefined ? {} : { unproven: document.unproven }),
    held: document?.holds ?? [],
    ...(document?.open === undefined ? {} : { open: document.open }),
  };
}
