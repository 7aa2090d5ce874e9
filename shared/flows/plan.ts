import { decidePush, follows, type Known, type Observed, type PushDecision } from "../decide/push.ts";
import { type Cause, type Rollout, raised, type Wanted, type WantedContainer } from "../domain/rollout.ts";
import type { Workload } from "../domain/workload.ts";
import type { Built } from "../ledger/image-document.ts";
import {
  type Check,
  type OpenRollout,
  rolloutId,
  type Stored,
  type Verdict,
  type WorkloadDocument,
  type Write,
} from "../ledger/ledger.ts";
import type { FlowDeps, FlowTarget } from "./deps.ts";
import { isFree, newLease } from "./lease.ts";
import { newestOf, platformMismatch, runsNewer } from "./plan-checks.ts";
import { record } from "./record.ts";

/** A rollout on record, with the workload document as it was last written by us. */
export interface Ticket {
  readonly document: Stored<"workloads">;
  readonly open: OpenRollout;
}

export interface PlanRequest {
  readonly at: FlowTarget;
  readonly workload: Workload;
  readonly seen: Observed;
  readonly cause: Cause;
  readonly heardMs: number;
  readonly observedMs: number;
  /** Images whose commit is known: what runs may be newer than what is planned, and is never replaced then. */
  readonly builds?: readonly Built[];
  /** Take the right to write at once, in the same commit: the caller goes on with `advance`. */
  readonly claim: boolean;
}

export interface Planned {
  readonly verdict: Verdict;
  /** The rollout to carry on: a new one, or one that an earlier delivery of the same message had planned. */
  readonly ticket?: Ticket;
  /** Nothing was decided: the head or the channel is about to move on. */
  readonly overtaken?: true;
  /** For a workload that waits: how long its target or registry asked to be left alone, ms. */
  readonly retryAfterMs?: number;
}

const maxAttempts = 8;
/** When the sweep looks at a plan that nobody has carried on, ms. */
export const plannedDueMs = 30_000;

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
  if (unknown.kind === "skip" && unknown.reason !== "already-running")
    return skip(unknown.reason, unknown.detail);

  // What was listed may be older than the record: a decision to leave things as they are is made on a fresh read.
  let fresh: Workload | undefined;
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const stored = await deps.ledger.get("workloads", workload.id);
    if (attempt > 0) {
      fresh = await deps.recorder.step("target.get", () => request.at.target.get(workload.name));
      if (fresh === undefined) return skip("gone");
    }
    const decision = decidePush(seen, fresh ?? workload, knownOf(stored?.value), rules);
    switch (decision.kind) {
      case "unrelated":
        return undefined;
      case "skip": {
        const standing = decision.reason === "already-running" ? follows(seen, fresh ?? workload, rules) : {};
        const isNews = Object.entries(standing).some(([name, each]) => isNewTo(stored?.value, name, each));
        if (decision.reason !== "changed-outside" && !isNews) return skip(decision.reason, decision.detail);
        if (fresh === undefined) continue;
        if (isNews && (await note(deps, workload, stored, standing)) === "conflict") continue;
        return skip(decision.reason, decision.detail);
      }
      case "join": {
        const joined = await join(deps, stored, follows(seen, fresh ?? workload, rules));
        if (joined === undefined) continue;
        const own = joined.open.cause.event === request.cause.event ? { ticket: joined } : {};
        return { verdict: { workload: workload.id, kind: "joined", seq: decision.seq }, ...own };
      }
      case "roll-out": {
        const checks = await newestOf(deps, seen);
        if (checks === "superseded") {
          return { ...skip("superseded", "a newer build is on its way"), overtaken: true };
        }
        const mismatch = await platformMismatch(deps, request);
        if (mismatch !== undefined) return skip("platform-mismatch", mismatch);
        const newer = await runsNewer(deps, request, fresh ?? workload, decision.to, stored?.value);
        if (newer !== undefined) return skip(newer.reason, newer.detail);
        const planned = { ...request, workload: fresh ?? workload };
        const ticket = await write(deps, planned, stored, decision, checks);
        if (ticket === undefined) continue;
        return { verdict: { workload: workload.id, kind: "planned", seq: ticket.open.seq }, ticket };
      }
      default:
        return decision satisfies never;
    }
  }
  return { verdict: { workload: workload.id, kind: "waiting", reason: "contended" } };
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

function newDocument(workload: Workload): WorkloadDocument {
  const { id, target, name } = workload;
  return { workload: id, target, name, seq: 0, wanted: {}, holds: [] };
}

async function write(
  deps: FlowDeps,
  request: PlanRequest,
  stored: Stored<"workloads"> | undefined,
  { to, again }: PushDecision & { readonly kind: "roll-out" },
  checks: readonly Check[],
): Promise<Ticket | undefined> {
  const { workload } = request;
  const nowMs = await deps.ledger.clock();
  const before = stored?.value;
  const seq = Math.max(before?.seq ?? 0, workload.fence) + 1;
  const from = Object.fromEntries(workload.containers.map((container) => [container.name, container.image]));
  const inherited = before?.open?.lease;
  const claim = request.claim && isFree(deps, inherited, request.at.target.capabilities.fences, nowMs);
  const lease = claim ? newLease(deps, nowMs) : inherited;
  const open: OpenRollout = {
    seq,
    state: claim ? "applying" : "planned",
    cause: request.cause,
    from,
    to,
    times: {
      heard: request.heardMs,
      observed: request.observedMs,
      planned: nowMs,
      ...(claim ? { applying: nowMs } : {}),
    },
    ...(lease === undefined ? {} : { lease }),
    config: deps.configHash,
    attempts: claim ? 1 : 0,
    dueMs: lease === undefined ? nowMs + plannedDueMs : lease.untilMs,
    ...(isDisputed(before?.open) ? { disputed: true } : {}),
    ...(again === undefined ? {} : { again }),
  };
  const value: WorkloadDocument = {
    ...(before ?? newDocument(workload)),
    seq,
    wanted: { ...before?.wanted, ...to },
    baseline: before?.baseline ?? from,
    // Another digest was observed since: that lifts what was held.
    holds: [],
    open,
  };
  const rollout: Rollout = {
    workload: workload.id,
    seq,
    state: "planned",
    cause: request.cause,
    from,
    to,
    times: open.times,
    config: deps.configHash,
  };
  const writes: [Write, ...Write[]] = [
    { collection: "workloads", id: workload.id, expect: stored?.rev ?? 0, value },
    { collection: "rollouts", id: rolloutId(workload.id, seq), expect: 0, value: rollout },
  ];
  if (before?.open !== undefined) {
    const reason = `rollout ${seq} replaced it`;
    writes.push(closing(before, before.open, { state: "superseded", reason }, nowMs));
  }
  const outcome = await record(deps, "workload.plan", writes, checks);
  if (outcome === "conflict") return undefined;
  return { document: { id: workload.id, rev: (stored?.rev ?? 0) + 1, writer: "", value }, open };
}

/** The write that ends an open rollout's history. */
export function closing(
  document: WorkloadDocument,
  open: OpenRollout,
  end: Pick<Rollout, "state" | "reason" | "blame">,
  nowMs: number,
): Write {
  return {
    collection: "rollouts",
    id: rolloutId(document.workload, open.seq),
    // Created with the plan, written a second time here, and never in between.
    expect: 1,
    value: {
      workload: document.workload,
      seq: open.seq,
      cause: open.cause,
      from: open.from,
      to: open.to,
      times: { ...open.times, finished: nowMs },
      config: open.config,
      ...end,
    },
  };
}

export function knownOf(document: WorkloadDocument | undefined): Known {
  return {
    wanted: document?.wanted ?? {},
    ...(document?.deployed === undefined ? {} : { deployed: document.deployed }),
    ...(document?.unproven === undefined ? {} : { unproven: document.unproven }),
    held: document?.holds ?? [],
    ...(document?.open === undefined ? {} : { open: document.open }),
  };
}

/** A write of the rollout that is being replaced may still be on its way: ours has to leave a mark even if nothing changes. */
function isDisputed(open: OpenRollout | undefined): boolean {
  return open !== undefined && (open.state === "applying" || open.disputed === true);
}
