import { isOpen, type WorkloadView } from "../history.ts";
import { noteOf } from "./rollouts.ts";
import { table } from "./table.ts";
import { ago } from "./time.ts";
import { shortDigest } from "./words.ts";

/** One line a container: what Landfall has put there, or is about to. */
export function renderStatus(workloads: readonly WorkloadView[], nowMs: number): string {
  const rows = workloads.flatMap((workload) => rowsOf(workload, nowMs));
  return `${table(["WORKLOAD", "STATE", "IMAGE", "DIGEST", "SINCE", "NOTE"], rows)}\n\n${summary(workloads)}`;
}

/** The state of a workload's open rollout, else of its newest one; `-` before the first. */
function stateOf({ open, newest }: WorkloadView): string {
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

function notes({ newest, holds }: WorkloadView, nowMs: number): string {
  const of = newest === undefined ? "" : noteOf(newest, nowMs);
  const held = holds.map(({ digest, reason }) => {
    const why = of.includes(reason) ? "" : ` (${reason})`;
    return `held: ${shortDigest(digest)}${why}`;
  });
  return [of, ...held].filter((note) => note !== "").join("; ");
}

function summary(workloads: readonly WorkloadView[]): string {
  const under = workloads.filter(({ open }) => open !== undefined && isOpen(open.state)).length;
  const failed = workloads.filter((workload) => stateOf(workload) === "failed").length;
  const held = workloads.filter(({ holds }) => holds.length > 0).length;
  const parts = [
    `${workloads.length} workload${workloads.length === 1 ? "" : "s"}`,
    `${under} rolling out`,
    `${failed} failed`,
    ...(held === 0 ? [] : [`${held} with a held digest`]),
  ];
  return `${parts.join(", ")}.`;
}
