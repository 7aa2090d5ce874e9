import { type Digest, printReference, type Reference, type Repository } from "./reference.ts";
import type { Workload, WorkloadId } from "./workload.ts";

/** Why a workload is brought to other digests. */
export interface Cause {
  /**
   * `push`: a source reported it; `build`: CI built it; `promote`, `deploy`: a person asked for it; `drift`: a full run found it; `rollback`: an earlier
   * rollout failed, or a person asked for it; `retry`: its environment did; `sweep`: found while carrying on unfinished work.
   */
  readonly kind: "push" | "build" | "promote" | "deploy" | "drift" | "rollback" | "retry" | "sweep";
  /** Id of the event that led to the plan. */
  readonly event: string;
  /** Number of the rollout of this workload that failed, for a rollback and a retry. */
  readonly of?: number;
  /** Who, as far as the source says: a registry account, a person. */
  readonly by?: string;
}

export type OpenState = "planned" | "applying" | "verifying";
/** `rolled-back`: it failed, and what was good before runs again; `rollback-unavailable`: it failed, and nothing could bring that back. */
export type FinalState = "succeeded" | "failed" | "rolled-back" | "rollback-unavailable" | "superseded";
/** `rolling-back`: it failed, and a rollout of its own is under way that undoes it. */
export type RolloutState = OpenState | "rolling-back" | FinalState;

/**
 * What says that a container is to run a digest: `tag`: the tag that it follows; `channel`: the promotion of its channel;
 * `head`: the newest commit; `version`: the highest tag.
 */
export type Line = "tag" | "channel" | "head" | "version";

/** What one container of a workload is to run, and the observation that says so. */
export interface WantedContainer {
  readonly repository: Repository;
  readonly tag: string;
  readonly digest: Digest;
  /**
   * Number of the observation within its line: of the ref (`tag`, `version`), of the channel, of the head. A plan with a
   * lower one never replaces a plan of the same line with a higher one.
   */
  readonly generation: number;
  /** Absent: `tag`. */
  readonly line?: Line;
}
export type Wanted = Readonly<Record<string, WantedContainer>>;

/** Who is to blame for a failed rollout: only an image that failed by itself is held. */
export type Blame = "image" | "environment";

/** Times in ms since the epoch, on the ledger's clock. */
export interface RolloutTimes {
  /** The delivery arrived. */
  readonly heard?: number;
  /** The registry named the digest. */
  readonly observed?: number;
  readonly planned: number;
  /** The write to the target was about to be sent. */
  readonly applying?: number;
  /** The target accepted it. */
  readonly accepted?: number;
  readonly finished?: number;
}

/** One attempt to bring a workload to a set of container digests: the history that an operator reads. */
export interface Rollout {
  readonly workload: WorkloadId;
  readonly seq: number;
  readonly state: RolloutState;
  readonly cause: Cause;
  /** What each container ran before, as the target spelled it. */
  readonly from: Readonly<Record<string, string>>;
  readonly to: Wanted;
  /** A sentence for a person: the target's own words where it failed. */
  readonly reason?: string;
  readonly blame?: Blame;
  readonly times: RolloutTimes;
  /** Hash of the configuration that planned it. */
  readonly config: string;
}

export function wantedReference(
  wanted: WantedContainer,
): Reference & { readonly tag: string; readonly digest: Digest } {
  return { repository: wanted.repository, tag: wanted.tag, digest: wanted.digest };
}

/** What is wanted, as references by container. */
export function printWanted(to: Wanted): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(to).map(([name, wanted]) => [name, printReference(wantedReference(wanted))]),
  );
}

/** Whether a workload names the digests that are wanted. */
export function shows(workload: Workload, to: Wanted): boolean {
  return Object.entries(to).every(
    ([name, { digest }]) =>
      workload.containers.find((container) => container.name === name)?.reference?.digest === digest,
  );
}

/** A rollout's digests under the newest generations that they were observed with: of the same tag, or of the head. */
export function raised(to: Wanted, by: Wanted): Wanted {
  return Object.fromEntries(
    Object.entries(to).map(([name, wanted]) => {
      const seen = by[name];
      const isSame = seen !== undefined && (seen.line === "head" || seen.tag === wanted.tag);
      if (!isSame || seen.line !== wanted.line) return [name, wanted];
      return [name, { ...wanted, generation: Math.max(wanted.generation, seen.generation) }];
    }),
  );
}
