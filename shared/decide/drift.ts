import type { DriftVerdict } from "../domain/drift-verdicts.ts";
import type { SkipReason } from "../domain/reasons.ts";
import type { Digest } from "../domain/reference.ts";
import type { Wanted } from "../domain/rollout.ts";
import type { Standing, Workload } from "../domain/workload.ts";
import { decidePush, type Known, type Observed, type Rules } from "./push.ts";

/** What the ledger knows of a workload beyond what any decision needs. */
export interface Recorded extends Known {
  /** What ran before Landfall's first write, by container. */
  readonly baseline?: Readonly<Record<string, Digest>>;
  /**
   * What was wanted when that was put on record, by container: as long as nothing else is wanted, it is let be.
   * Without an entry nobody could tell what that was.
   */
  readonly baselineWanted?: Readonly<Record<string, Digest>>;
}

/** What a full run finds of a workload and one thing that it follows. */
export type DriftDecision =
  | { readonly kind: "unrelated" }
  | { readonly kind: "in-sync"; readonly to: Wanted }
  /** A rollout to it is under way. */
  | { readonly kind: "rolling"; readonly to: Wanted }
  /** An event got lost: it runs what was deployed last, and something else is wanted. */
  | { readonly kind: "missed"; readonly to: Wanted }
  /** Nothing is on record: what runs becomes the baseline. */
  | { readonly kind: "new"; readonly to: Wanted }
  /** Somebody else brought it to what it runs. */
  | { readonly kind: "changed-outside"; readonly to: Wanted }
  /** What runs cannot be told, and so is never replaced. */
  | { readonly kind: "unknown"; readonly to: Wanted; readonly reason: string; readonly detail: string }
  | { readonly kind: "skipped"; readonly reason: SkipReason; readonly detail?: string };

/** How often the same drift may be repaired within a day before somebody else is taken to want it. */
const maxRepairs = 3;
const fightMs = 24 * 3_600_000;

/** Compares what runs, what was deployed and what is wanted. Facts in, decision out. */
export function decideDrift(
  seen: Observed,
  workload: Workload,
  recorded: Recorded,
  rules: Rules,
): DriftDecision {
  const push = decidePush(seen, workload, recorded, { ...rules, mode: "act" });
  switch (push.kind) {
    case "unrelated":
      return push;
    case "join":
      return { kind: "rolling", to: recorded.open?.to ?? {} };
    case "skip":
      if (push.reason === "already-running") return { kind: "in-sync", to: wantedOf(seen, workload) };
      if (push.reason === "changed-outside") {
        return { kind: "changed-outside", to: wantedOf(seen, workload) };
      }
      return {
        kind: "skipped",
        reason: push.reason,
        ...(push.detail === undefined ? {} : { detail: push.detail }),
      };
    case "roll-out":
      return push.again === true ? { kind: "missed", to: push.to } : compared(push.to, workload, recorded);
    default:
      return push satisfies never;
  }
}

/** The containers that are to change, each judged; the most careful answer counts for all. */
function compared(to: Wanted, workload: Workload, recorded: Recorded): DriftDecision {
  const kinds = Object.keys(to).map((name) => {
    const running = workload.containers.find((container) => container.name === name)?.reference?.digest;
    if (running === undefined) return "unknown";
    const deployed = recorded.deployed?.[name];
    if (deployed !== undefined) return running === deployed ? "missed" : "changed-outside";
    const baseline = recorded.baseline?.[name];
    if (baseline === undefined) return "new";
    if (running !== baseline) return "changed-outside";
    const then = recorded.baselineWanted?.[name];
    // What was planned for it once is no longer only what ran before.
    if (then === undefined) return recorded.wanted[name] === undefined ? "new" : "missed";
    return then === to[name]?.digest ? "new" : "missed";
  });
  if (kinds.includes("unknown")) {
    return {
      kind: "unknown",
      to,
      reason: "unpinned",
      detail: "it names its image without a digest, so nobody can tell what runs",
    };
  }
  if (kinds.includes("changed-outside")) return { kind: "changed-outside", to };
  return kinds.includes("new") ? { kind: "new", to } : { kind: "missed", to };
}

function wantedOf({ repository, tag, digest, generation }: Observed, workload: Workload): Wanted {
  return Object.fromEntries(
    workload.containers
      .filter(({ reference }) => reference?.repository === repository)
      .map(({ name }) => [name, { repository, tag, digest, generation }]),
  );
}

/** Whether a full run would deploy it. Who adopts takes what is new, and what somebody else changed, for a lost event. */
export function isActionable({ kind }: DriftDecision, adopt: boolean): boolean {
  return kind === "missed" || (adopt && (kind === "new" || kind === "changed-outside"));
}

/** What stands against repairing, though an event got lost: somebody's hold of the digest, or somebody who undoes it each time. */
export function restrained(
  decision: DriftDecision,
  digest: Digest,
  facts: {
    /** Why nobody is to run the digest. */
    readonly hold?: string;
    readonly repairs?: readonly { readonly digest: Digest; readonly atMs: number }[];
    readonly nowMs: number;
    /** A person wants it once more. */
    readonly adopt: boolean;
  },
): DriftDecision {
  const { hold, repairs = [], nowMs, adopt } = facts;
  if (!isActionable(decision, true)) return decision;
  if (hold !== undefined) return { kind: "skipped", reason: "held", detail: hold };
  if (decision.kind !== "missed" || adopt) return decision;
  const recent = repairs.filter((each) => each.digest === digest && nowMs - each.atMs < fightMs);
  if (recent.length < maxRepairs) return decision;
  const detail = `it was repaired ${recent.length} times within a day, and changed back each time`;
  return { kind: "skipped", reason: "fighting", detail };
}

/** How a row names what was found: what is in sync by its definition may not be so by its tasks. */
export function verdictOf(
  decision: Exclude<DriftDecision, { readonly kind: "unrelated" }>,
  { standing }: Pick<Workload, "standing">,
): { readonly verdict: DriftVerdict; readonly reason?: string } {
  switch (decision.kind) {
    case "skipped":
      return { verdict: "skipped", reason: worded(decision.reason, decision.detail) };
    case "unknown":
      return { verdict: "unknown", reason: worded(decision.reason, decision.detail) };
    case "in-sync":
      return standing === undefined ? { verdict: "in-sync" } : standingVerdict(standing);
    case "rolling":
    case "missed":
    case "new":
    case "changed-outside":
      return { verdict: decision.kind };
    default:
      return decision satisfies never;
  }
}

function standingVerdict({ wanted, running, outdated, unobserved }: Standing): {
  readonly verdict: DriftVerdict;
  readonly reason?: string;
} {
  if (unobserved) return { verdict: "stale" };
  if (outdated !== undefined) return { verdict: "differs", reason: outdated };
  if (running < wanted) return { verdict: "degraded", reason: `${running} of ${wanted} tasks run` };
  return { verdict: "in-sync" };
}

/** A stable name and what is to be said besides. */
export function worded(name: string, detail: string | undefined): string {
  return detail === undefined ? name : `${name}: ${detail}`;
}
