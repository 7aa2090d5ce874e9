import type { NoticeKind } from "../domain/notice.ts";

const headlines: Readonly<Record<NoticeKind, { readonly one: string; readonly many: string }>> = {
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
  fighting: { one: "Somebody undoes what is repaired", many: "repairs are undone again and again" },
  guarded: {
    one: "The guard stopped what would be deployed",
    many: "times the guard stopped what would be deployed",
  },
  "given-up": { one: "A push was given up", many: "pushes were given up" },
  "dead-lettered": { one: "A message was set aside", many: "messages were set aside" },
  "config-rejected": { one: "A configuration was refused", many: "configurations were refused" },
  succeeded: { one: "A rollout succeeded", many: "rollouts succeeded" },
};

/** The headline of a message about so many notices of one kind, at most 60 characters. */
export function headlineOf(kind: NoticeKind, count: number): string {
  const { one, many } = headlines[kind];
  return count === 1 ? one : `${count} ${many}`;
}
