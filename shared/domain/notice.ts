/** What people are told of. The names are stable: `on` of the configuration lists them. */
export const noticeKinds = [
  "failed",
  "rolled-back",
  "rollback-unavailable",
  "held-back",
  "soak-failed",
  "conflict",
  "changed-outside",
  "fighting",
  "guarded",
  "given-up",
  "dead-lettered",
  "config-rejected",
  "succeeded",
] as const;
export type NoticeKind = (typeof noticeKinds)[number];

/** What a notifier tells that does not say otherwise: all that a person may have to act upon. */
export const alarmingKinds = noticeKinds.filter((kind) => kind !== "succeeded");

/** One thing that people want to know. */
export interface Notice {
  readonly kind: NoticeKind;
  /** What it is about: a workload's address, an image with its tag, a target. */
  readonly subject: string;
  /** What happened, for a person; begins with neither the kind nor the subject. */
  readonly sentence: string;
  /** What that person can do about it; commands are in backquotes. */
  readonly next?: string;
  /** What the rollout was to bring, e.g. `docker.io/acme/web:v1@sha256:…`. */
  readonly images?: readonly string[];
  /** Id of the event that led to it. */
  readonly event?: string;
  /** Number of the rollout. */
  readonly seq?: number;
  /** Ledger's clock, ms. */
  readonly atMs: number;
}
