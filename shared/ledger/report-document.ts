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
  /** Where a run that had to stop goes on, by registry host: the reference that it looked at last. */
  readonly cursors?: Readonly<Record<string, string>>;
}
