import type { Commit } from "../domain/commit.ts";

/** The branch that images are built from. `url` is the repository's HTTPS address as the configuration names it. */
export interface GitBranch {
  readonly url: string;
  /** Without `refs/heads/`, e.g. `main`. */
  readonly branch: string;
}

/**
 * How commit `to` stands to commit `from`. `newer`: `from` is a proper ancestor of `to`, and `to` is on the branch.
 * `diverged`: neither is an ancestor of the other. `off-branch`: `to` exists, is not older, and is not on the branch.
 * `unknown-from`, `unknown-to`: the server does not have that commit.
 */
export type Order = "newer" | "same" | "older" | "diverged" | "off-branch" | "unknown-from" | "unknown-to";

/** The graph of commits, by ancestry alone: no date, count or tag ever orders two commits. */
export interface CommitHistory {
  /**
   * @param from the commit to compare with; `undefined`: there is none yet, and any commit on the branch is `newer`
   * @throws HistoryUnavailableError (retryable; may carry `retryAfterMs`), HistoryDeniedError (retryable: a person must
   * mend it) when the order cannot be told now: nobody may guess it
   */
  order(at: GitBranch, from: Commit | undefined, to: Commit): Promise<Order>;
  close(): Promise<void>;
}

/** How two commits stand in the graph, whatever branch they are on. */
export type Relation = "same" | "ancestor" | "descendant" | "diverged" | "unknown-from" | "unknown-to";

/**
 * What one kind of git host answers; `CommitHistory` is made of it with a cache, deadlines and repetitions. Errors are
 * those of `CommitHistory.order`. A call ends within `deadlineMs` of its own (10 s).
 */
export interface GitHost {
  /** `ancestor`: `from` is a proper ancestor of `to`. Both unknown: `unknown-to`. `from` and `to` may be equal. */
  relation(url: string, from: Commit, to: Commit): Promise<Relation>;
  /** Whether the branch holds the commit: it is the branch's tip or an ancestor of it. */
  onBranch(at: GitBranch, commit: Commit): Promise<"on" | "off" | "unknown">;
  close(): Promise<void>;
}
