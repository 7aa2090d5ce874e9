import type { ImageDocument } from "../../../shared/ledger/image-document.ts";
import type { WorkloadView } from "../history.ts";
import { standingOf } from "../standing.ts";
import { columns } from "./table.ts";

/** For each workload that something stands for: what, since when, why, and how it ends; empty when there is none. */
export function renderStanding(
  workloads: readonly WorkloadView[],
  images: readonly ImageDocument[],
  nowMs: number,
): string {
  const blocks = workloads.flatMap((workload) => {
    const standing = standingOf(workload, images, nowMs);
    if (standing.length === 0) return [];
    const rows = standing.flatMap(({ what, text, next }) => [
      [what, text],
      ...(next === undefined ? [] : [["", next]]),
    ]);
    return [`${workload.workload}\n${columns(rows, "  ")}`];
  });
  return blocks.join("\n");
}
