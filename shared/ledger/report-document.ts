import type { Digest } from "../domain/reference.ts";
import type { WorkloadId } from "../domain/workload.ts";

/** What a full run found of one container. */
export interface DriftRow {
  readonly workload: WorkloadId;
  readonly container: string;
  /** What its spec names, as the target spells it. */
  readonly running: string;
  readonly deployed?: Digest;
  readonly wanted?: Digest;
  /** e.g. `in-sync`, `missed`, `new`, `changed-outside`, `unknown`, `skipped`, `missing`. */
  readonly verdict: string;
  readonly reason?: string;
  /** The rollout that repairs it. */
  readonly seq?: number;
}

/** What a full run would have done to a target that its guard stopped, and the name by which a person approves it. */
export interface GuardedPlan {
  readonly target: string;
  readonly fingerprint: string;
  /** References that would be deployed now and that no event explains, of all that the target's workloads name. */
  readonly actionable: number;
  readonly references: number;
  /** What the plan is made of besides the target: an approval makes it anew in the same way. */
  readonly adopt?: boolean;
  readonly workloads?: readonly string[];
  readonly images?: readonly string[];
  /** Ledger's clock, ms. */
  readonly atMs?: number;
  /** The report whose rows are the plan. */
  readonly report?: string;
  /** Somebody has approved it, and a run has begun to carry it out: what is left of it is approved too. */
  readonly begun?: boolean;
}

/** What a full run found at one target. */
export interface TargetSummary {
  readonly target: string;
  /** Workloads with a container that Landfall may deploy, and those without. */
  readonly workloads: number;
  readonly unmanaged: number;
  /** Different things that containers follow there. */
  readonly references: number;
}

/** A full run. Id: the report's id; its rows are in chunks, at `ID/0`, `ID/1` … */
export interface ReportDocument {
  readonly startedMs: number;
  readonly finishedMs?: number;
  readonly by: string;
  readonly dryRun: boolean;
  readonly adopt: boolean;
  /** Rows by verdict. */
  readonly counts: Readonly<Record<string, number>>;
  readonly chunks: number;
  readonly guarded: readonly GuardedPlan[];
  /** Targets that were listed. */
  readonly targets?: readonly TargetSummary[];
  /** Targets, registries and git hosts that could not be asked, in words. */
  readonly troubles: readonly string[];
  /** Only in a chunk. */
  readonly rows?: readonly DriftRow[];
  readonly expireMs: number;
}

/** Something that only one may do at a time. Id: what it is. */
export interface LeaseDocument {
  readonly holder?: {
    readonly id: string;
    /** Who asked for what is under way. */
    readonly by?: string;
    readonly untilMs: number;
  };
  /** The last report that was finished. */
  readonly report?: string;
  /** Plans that the guard stopped, newest first, at most 20: they wait for somebody to approve them. */
  readonly guarded?: readonly GuardedPlan[];
  /** Where a run that had to stop goes on, by registry host: the reference that it looked at last. */
  readonly cursors?: Readonly<Record<string, string>>;
}
