import type { ImageDocument } from "../../../shared/ledger/image-document.ts";
import { isOpen, type WorkloadView } from "../history.ts";
import { noteOf } from "./rollouts.ts";
import { renderStanding } from "./standing.ts";
import { table } from "./table.ts";
import { ago } from "./time.ts";
import { shortDigest } from "./words.ts";

/** One line a container: what Landfall has put there, or is about to; then what stands for each workload. */
export function renderStatus(
  workloads: readonly WorkloadView[],
  nowMs: number,
  images: readonly ImageDocument[] = [],
): string {
  const rows = workloads.flatMap((workload) => rowsOf(workload, nowMs));
  return [
    table(["WORKLOAD", "STATE", "IMAGE", "DIGEST", "SINCE", "NOTE"], rows),
    renderStanding(workloads, images, nowMs),
    summary(workloads),
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

/**
 * The state of a workload's open rollout, else of its newest one; `-` before the first. What undoes a failure shows how
 * far that is: `succeeded` would hide what happened.
 */
function stateOf({ open, newest, failed }: WorkloadView): string {
  const undone = newest?.cause.kind === "rollback" ? failed?.state : undefined;
  if (undone === "rolling-back" || undone === "rolled-back" || undone === "rollback-unavailable")
    return undone;
  return open?.state ?? newest?.state ?? "-";
}

function rowsOf(workload: WorkloadView, nowMs: number): readonly (readonly string[])[] {
  const { open, newest } = workload;
  const sinceMs = open?.times.planned ?? newest?.times.finished ?? newest?.times.planned;
  const wanted = Object.entries(workload.wanted);
  if (wanted.length === 0)
    return [[workload.workload, stateOf(workload), "-", "-", "", notes(workload, nowMs)]];
  return wanted.map(([container, { repository, tag, digest }], index) => {
    const deployed = workload.deployed?.[container];
    const moving = open !== undefined && deployed !== digest;
    return [
      index === 0 ? workload.workload : "",
      index === 0 ? stateOf(workload) : "",
      `${repository}:${tag}`,
      moving ? `${shortDigest(deployed)} -> ${shortDigest(digest)}` : shortDigest(deployed ?? digest),
      index === 0 && sinceMs !== undefined ? ago(sinceMs, nowMs) : "",
      index === 0 ? notes(workload, nowMs) : "",
    ];
  });
}

/** Why it is where it is, and what stands for it in a word: what that is and how it ends comes below. */
function notes({ newest, holds, pin, pause }: WorkloadView, nowMs: number): string {
  return [
    newest === undefined ? "" : noteOf(newest, nowMs),
    pin === undefined ? "" : "pinned",
    pause === undefined ? "" : "paused",
    ...holds.map(({ digest }) => `held: ${shortDigest(digest)}`),
  ]
    .filter((note) => note !== "")
    .join("; ");
}

function summary(workloads: readonly WorkloadView[]): string {
  const under = workloads.filter(({ open }) => open !== undefined && isOpen(open.state)).length;
  const failed = workloads.filter((workload) => stateOf(workload) === "failed").length;
  const count = (isMeant: (each: WorkloadView) => boolean) => workloads.filter(isMeant).length;
  const others = [
    [count((each) => stateOf(each).startsWith("roll")), "rolled back"],
    [count(({ pin }) => pin !== undefined), "pinned"],
    [count(({ pause }) => pause !== undefined), "paused"],
    [count(({ holds }) => holds.length > 0), "with a held digest"],
  ] as const;
  const parts = [
    `${workloads.length} workload${workloads.length === 1 ? "" : "s"}`,
    `${under} rolling out`,
    `${failed} failed`,
    ...others.flatMap(([number, what]) => (number === 0 ? [] : [`${number} ${what}`])),
  ];
  return `${parts.join(", ")}.`;
}
