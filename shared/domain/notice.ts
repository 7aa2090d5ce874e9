/** What people are told of, with the headline of a message about one or about several. The names are stable: `on` lists them. */
export const noticeKinds = {
  failed: { one: "A rollout failed", many: "rollouts failed" },
  "rolled-back": { one: "A rollout failed and was undone", many: "rollouts failed and were undone" },
  "rollback-unavailable": {
    one: "A rollout failed and could not be undone",
    many: "rollouts failed and could not be undone",
  },
  "held-back": { one: "A build was not accepted", many: "builds were not accepted" },
  "soak-failed": { one: "A channel stays where it is", many: "channels stay where they are" },
  conflict: { one: "Somebody else moved a channel", many: "channels were moved by somebody else" },
  "changed-outside": {
    one: "Somebody else changed a workload",
    many: "workloads were changed by somebody else",
  },
  guarded: { one: "The guard stopped a full run", many: "full runs were stopped by the guard" },
  "given-up": { one: "A push was given up", many: "pushes were given up" },
  "dead-lettered": { one: "A message was set aside", many: "messages were set aside" },
  "config-rejected": { one: "A configuration was refused", many: "configurations were refused" },
  succeeded: { one: "A rollout succeeded", many: "rollouts succeeded" },
} as const satisfies Readonly<Record<string, { readonly one: string; readonly many: string }>>;

export type NoticeKind = keyof typeof noticeKinds;
export const noticeKindNames = Object.keys(noticeKinds) as readonly NoticeKind[];
/** What a notifier tells that does not say otherwise: all that a person may have to act upon. */
export const alarmingKinds = noticeKindNames.filter((kind) => kind !== "succeeded");

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

/** The headline of a message about so many notices of one kind. */
export function headlineOf(kind: NoticeKind, count: number): string {
  const { one, many } = noticeKinds[kind];
  return count === 1 ? one : `${count} ${many}`;
}
