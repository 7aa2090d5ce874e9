import type { Digest } from "../domain/reference.ts";
import type { Cause, OpenState, RolloutTimes, Wanted } from "../domain/rollout.ts";
import type { WorkloadId } from "../domain/workload.ts";

/** A digest that must not be deployed to this workload again. */
export interface Hold {
  readonly digest: Digest;
  readonly reason: string;
  readonly sinceMs: number;
  /** Who holds it; absent: Landfall, because it failed there. A person's hold is lifted by nothing but a release. */
  readonly by?: string;
  /** The containers that it failed in: only something newer for one of them lifts it. Absent: for any. */
  readonly containers?: readonly string[];
}

/** A person has brought a workload to what it runs. */
export interface Pin {
  readonly until: "next" | "release";
  readonly by: string;
  readonly sinceMs: number;
  readonly reason?: string;
  /** What was wanted of it then, by container: only what was observed after that, and heard after the pin, lifts it. */
  readonly over: Wanted;
}

/** A person wants a workload to be left alone. */
interface Pause {
  readonly by: string;
  readonly sinceMs: number;
  readonly untilMs?: number;
  readonly reason?: string;
}

/** What a person ordered last of a workload: where it is to be, and whether it is left alone. */
interface LastOrder {
  readonly do: string;
  readonly by: string;
  /** By the clock of who gave it, ms. */
  readonly givenMs: number;
}

/** What verification remembers between looks. */
export interface VerifyMemory {
  /** Ids of the tasks that have been running since `sinceMs`; empty while not converged. */
  readonly tasks: readonly string[];
  readonly sinceMs?: number;
  /** How often a task that had been running was replaced. */
  readonly replaced: number;
  /** Sum of the time in which the target could not be asked, ms: it does not count against the deadline. */
  readonly blindMs: number;
  readonly blindSinceMs?: number;
  /** Why the target began to roll back by itself, in its own words: when it is done, it says no more than that. */
  readonly said?: string;
}

/** What a write to a target goes on top of that goes back only to what it had before. */
export interface Base {
  /** What each container names, as the target spells it. */
  readonly images: Readonly<Record<string, string>>;
  /** The workload's stamp after the write, unless somebody else writes too. */
  readonly stamp: string;
}

/** What our newest write to such a target has left behind: while it stands, going back leads to what it was on top of. */
export interface Left extends Base {
  /** What each container names since, as the target spells it. */
  readonly now: Readonly<Record<string, string>>;
}

/** The rollout that a workload is in. */
export interface OpenRollout {
  readonly seq: number;
  readonly state: OpenState;
  readonly cause: Cause;
  readonly from: Readonly<Record<string, string>>;
  readonly to: Wanted;
  readonly times: RolloutTimes;
  /** Who acts on it now; nobody else writes to the target until then (ledger's clock). */
  readonly lease?: { readonly holder: string; readonly untilMs: number };
  /** Hash of the configuration that planned it. */
  readonly config: string;
  /** Writes to the target that were attempted. */
  readonly attempts: number;
  /** How often a target that resolves the tag by itself came to an older digest. */
  readonly lagged?: number;
  readonly verify?: VerifyMemory;
  /** It replaced a rollout whose write may still be on its way: it marks the target even where nothing changes. */
  readonly disputed?: boolean;
  /** The workload names these digests already, but an earlier rollout of them failed by its environment. */
  readonly again?: boolean;
  readonly base?: Base;
  /** The tag that a target which takes no digest is asked for, by container, where that is not the wanted one. */
  readonly via?: Readonly<Record<string, string>>;
  /** For a rollback: what the rollout had written that failed. */
  readonly undoes?: Wanted;
  /** How often it was tried again because its environment failed. */
  readonly retries?: number;
  /** Why a person wants it to be written no more, said when it was under way already. */
  readonly stopped?: string;
  /** Why it waits, for a person. */
  readonly note?: string;
  /** The target could not be written to: it takes nobody's place on the target until then. */
  readonly retryMs?: number;
  readonly dueMs: number;
}

/** One workload as the ledger knows it. Id: the workload's id. */
export interface WorkloadDocument {
  readonly workload: WorkloadId;
  readonly target: string;
  readonly name: string;
  /** Number of the newest rollout; numbers only go up. */
  readonly seq: number;
  readonly wanted: Wanted;
  /** Digests that Landfall put there last, by container. */
  readonly deployed?: Readonly<Record<string, Digest>>;
  /** Whole references as verified last, by container, as the target spells them. */
  readonly lastGood?: Readonly<Record<string, string>>;
  /** What was good before `lastGood`, newest first, at most 9. */
  readonly earlierGood?: readonly Readonly<Record<string, string>>[];
  /** What is tried again once the rollback that is open has ended. */
  readonly retry?: {
    readonly to: Wanted;
    readonly cause: Cause;
    readonly times: number;
    readonly pauseMs: number;
  };
  /** Digests that Landfall put there and whose rollout failed by the environment: a later push of one tries again. */
  readonly unproven?: Readonly<Record<string, Digest>>;
  /** What ran before our first write, by container, as the target spelled it. */
  readonly baseline?: Readonly<Record<string, string>>;
  readonly left?: Left;
  /**
   * Containers that were brought to a digest by another tag than the one that they follow: as long as they have that tag,
   * they follow as before.
   */
  readonly detours?: Readonly<Record<string, { readonly at: string; readonly follows: string }>>;
  readonly holds: readonly Hold[];
  /** What was wanted, by container, when what ran became the baseline: until something else is, it is let be. */
  readonly baselineWanted?: Readonly<Record<string, Digest>>;
  /** When drift was repaired, ms, newest first, by digest of the first container: the same one again and again is a fight. */
  readonly repairs?: readonly { readonly digest: Digest; readonly atMs: number }[];
  /** What people were told of this workload's drift, so that they are told once. */
  readonly told?: string;
  readonly pin?: Pin;
  readonly pause?: Pause;
  /** Orders that were carried out last, by what they were about. */
  readonly orders?: { readonly place?: LastOrder; readonly pause?: LastOrder };
  readonly open?: OpenRollout;
  /** It was left alone, and may be behind: when everything that it follows is looked at once more, ms. */
  readonly relookMs?: number;
  /** When a workload without an open rollout wants attention, ms: its pause ends, or it is looked at once more. */
  readonly dueMs?: number;
}
