import type { Rollout } from "../domain/rollout.ts";
import type { WorkloadId } from "../domain/workload.ts";
import {
  type OpenRollout,
  rolloutId,
  type Stored,
  type WorkloadDocument,
  type Write,
} from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";

/** How a rollout ended. */
export interface Ending {
  readonly state: "succeeded" | "failed" | "superseded";
  readonly reason: string;
}

/** The write that ends an open rollout's history. */
export function closing(
  document: WorkloadDocument,
  open: OpenRollout,
  end: Pick<Rollout, "state" | "reason" | "blame">,
  nowMs: number,
): Write {
  return {
    collection: "rollouts",
    id: rolloutId(document.workload, open.seq),
    // Created with the plan, written a second time here, and never in between.
    expect: 1,
    value: {
      workload: document.workload,
      seq: open.seq,
      cause: open.cause,
      from: open.from,
      to: open.to,
      times: { ...open.times, finished: nowMs },
      config: open.config,
      ...end,
    },
  };
}

/**
 * What is deployed once a rollout is over, whatever came of it: what its target has taken, also where somebody else has
 * changed that since.
 */
export function deployedBy(
  { deployed }: Pick<WorkloadDocument, "deployed">,
  { to, times }: Pick<OpenRollout, "to" | "times">,
): Pick<WorkloadDocument, "deployed"> {
  if (times.accepted === undefined) return {};
  const digests = Object.entries(to).map(([name, { digest }]) => [name, digest] as const);
  return { deployed: { ...deployed, ...Object.fromEntries(digests) } };
}

/** What a rollback that ended means for the history of the rollout that it was to undo. */
export async function undoneBy(
  deps: FlowDeps,
  workload: WorkloadId,
  open: OpenRollout,
  end: Ending,
): Promise<Write | undefined> {
  const { kind, of } = open.cause;
  if (kind !== "rollback" || of === undefined) return undefined;
  const stored: Stored<"rollouts"> | undefined = await deps.ledger.get("rollouts", rolloutId(workload, of));
  if (stored?.value.state !== "rolling-back") return undefined;
  const { id, rev, value } = stored;
  const next: Rollout = { ...value, ...undoneAs(value, open.seq, end) };
  return { collection: "rollouts", id, expect: rev, value: next };
}

function undoneAs({ reason = "" }: Rollout, by: number, end: Ending): Pick<Rollout, "state" | "reason"> {
  switch (end.state) {
    case "succeeded":
      return { state: "rolled-back", reason };
    case "failed":
      return {
        state: "rollback-unavailable",
        reason: `${reason}; rollout ${by}, which was to undo it, failed too: ${end.reason}`,
      };
    case "superseded":
      return { state: "failed", reason: `${reason}; rollout ${by}, which was to undo it, was superseded` };
    default:
      return end.state satisfies never;
  }
}
