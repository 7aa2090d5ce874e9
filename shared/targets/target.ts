import type { Digest, Reference } from "../domain/reference.ts";
import type { Platform, Workload } from "../domain/workload.ts";
import type { HttpClient, HttpOptions } from "../http.ts";
import type { ResolveSecret } from "../secret.ts";

/** What a target kind can do; flows ask for the capability, never for the kind. */
export interface Capabilities {
  /** A digest can be named in the write. Where not, the target resolves the tag by itself and is judged by what it resolved. */
  readonly pins: boolean;
  /** A write carries `seq` in the same request as the version, and a stale writer is refused. */
  readonly fences: boolean;
  /**
   * `any`: it can be brought back to whatever digest it ran. `previous`: only to what its newest write replaced, by
   * `goBack`, and otherwise by a tag that points to the digest; its workloads have a `stamp`.
   */
  readonly rollsBackTo: "any" | "previous";
}

/** One write: every container of `images` to that `tag@digest`, in one update. */
export interface Change {
  /** The rollout's number, written with the change where the target fences. */
  readonly seq: number;
  readonly images: Readonly<Record<string, Reference>>;
  /**
   * For whoever looks at the workload at its target, where it has a place for that: why, e.g. `push 7d0a…`, and when it
   * was decided, ms since the epoch.
   */
  readonly note?: { readonly why: string; readonly atMs: number };
  /** The new image's platforms, for a workload whose spec had some; absent or empty: those of the old image are dropped. */
  readonly platforms?: readonly Platform[];
}

export type WriteOutcome =
  /** The target took it; says nothing about success. */
  | { readonly kind: "accepted" }
  /** Somebody wrote in between: read again and decide again. */
  | { readonly kind: "conflict" }
  /** The target will not do this, in its own words; the same write would be refused again. */
  | { readonly kind: "refused"; readonly message: string }
  /** The workload is no longer there. */
  | { readonly kind: "gone" }
  /** No answer, or one that does not tell whether it took effect: read again before anything else. */
  | { readonly kind: "unknown"; readonly message: string };

/** A task, pod or container of a workload, as the target reports it. */
export interface TaskLook {
  readonly id: string;
  /** What it stands in for: slot, node or ordinal; the newest task of a slot is the one that counts. */
  readonly slot: string;
  /** Whether the target still wants it to run. */
  readonly desired: boolean;
  /** The images its own spec names, by container, as the target spells them. */
  readonly images: Readonly<Record<string, string>>;
  readonly state: "starting" | "running" | "failed";
  /** The target's own words, when it failed. */
  readonly error?: string;
  /** The container that the error is about, where the target tells them apart. */
  readonly container?: string;
  /** The target could not start it for a reason outside the image: pull, scheduling, node. */
  readonly environment?: boolean;
  /** How often it was started again in its place since it was created. */
  readonly restarts: number;
  /** What ended before it was started again the last time, in the target's own words. */
  readonly ended?: { readonly error: string; readonly container: string };
  /** When the target created it, ms since the epoch on the target's clock. */
  readonly createdMs: number;
}

/** One look at a workload under rollout. */
export interface Look {
  readonly workload: Workload;
  /** `none`: the target speaks of no update. Only ever the state of the update now on record there. */
  readonly update: "none" | "updating" | "completed" | "paused" | "rolling-back" | "rolled-back";
  /** The target's own words about the update. */
  readonly message?: string;
  readonly tasks: readonly TaskLook[];
  /** How many tasks the target wants to run; 0 is a legitimate answer. */
  readonly wantedTasks: number;
  /** Why nothing can be proven although nothing is wrong, e.g. `takes effect at the next run`; only where no task is wanted. */
  readonly unproven?: string;
  /** The target's own observation window after an update, ms: success is never declared sooner. */
  readonly windowMs: number;
}

/** By container what each of its tasks reports: a digest of the registry, or `undefined` for what compares to none. */
export type ReportedDigests = Readonly<Record<string, readonly (Digest | undefined)[]>>;

/**
 * Where workloads run. Adapters never retry a write and never decide; every method throws
 * `TargetUnavailableError` or `TargetDeniedError` (both retryable) when the target could not be asked.
 */
export interface Target {
  readonly name: string;
  readonly kind: string;
  readonly capabilities: Capabilities;
  /**
   * Every workload of the target, with a number of calls that does not grow with the workloads. What is not needed to
   * decide about them is left out: they are no base for a write.
   */
  list(): Promise<readonly Workload[]>;
  /**
   * What the tasks of each workload report to run, by the workload's name, with a number of calls that does not grow with
   * the workloads: it proves what runs where a definition names no digest. Absent: tasks of this kind tell nothing more.
   */
  reported?(): Promise<ReadonlyMap<string, ReportedDigests>>;
  /** One workload, fresh; `undefined` when it is not there. `name` is exact. */
  get(name: string): Promise<Workload | undefined>;
  /** Writes a change on top of the version that `workload` was read at. Outcomes are values, lost answers included. */
  update(workload: Workload, change: Change): Promise<WriteOutcome>;
  /**
   * Brings back what the newest write to a workload replaced, on top of the version that it was read at; only of a target
   * that rolls back to the `previous`. What that is the target does not say: the caller has to know it.
   */
  goBack?(workload: Workload): Promise<WriteOutcome>;
  /** The workload with its tasks and the state of its update; `undefined` when it is not there. */
  look(name: string): Promise<Look | undefined>;
  /** Platforms of the nodes that could run tasks, to tell an image that none of them can run. Empty: unknown. */
  platforms(): Promise<readonly Platform[]>;
  close(): Promise<void>;
}

/** What every target is made with, besides its own configuration. */
export interface TargetContext {
  readonly secret: ResolveSecret;
  /**
   * What nodes are to pull from that registry host with (`registries[].nodes`); `undefined`: leave what the
   * workload has (`keep`).
   */
  readonly pullCredentials: (
    host: string,
  ) => { readonly username: string; readonly password: string } | undefined;
  /** Makes the client that an HTTP target is called with; default `httpClient`. */
  readonly connect?: (options: HttpOptions) => HttpClient;
}
