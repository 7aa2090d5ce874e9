import { parseReference } from "../domain/reference.ts";
import type { Workload } from "../domain/workload.ts";
import type { OpenRollout, WorkloadDocument } from "../ledger/ledger.ts";

/**
 * What a person has said since a rollout was planned that keeps it from being written; `undefined`: nothing. What a
 * person ordered goes through a pause, and what undoes a failure goes on whatever is said of the future.
 */
export function stoppedBy(
  { pause, holds, pin }: Pick<WorkloadDocument, "pause" | "holds" | "pin">,
  { to, cause, undoes, stopped }: Pick<OpenRollout, "to" | "cause" | "undoes" | "stopped">,
  nowMs: number,
): string | undefined {
  if (undoes !== undefined) return undefined;
  if (stopped !== undefined) return stopped;
  const hold = holds.find(({ digest }) => Object.values(to).some((wanted) => wanted.digest === digest));
  if (hold !== undefined) return `held by ${hold.by ?? "Landfall"}: ${hold.reason}`;
  // A pin is of who ordered what is under way: nothing else goes on under one.
  const isOrdered = cause.kind === "deploy" || cause.kind === "rollback" || pin !== undefined;
  const paused = isOrdered ? undefined : pausedBy(pause, nowMs);
  return paused && `paused ${paused}`;
}

/** By whom a workload is paused now, and why; `undefined`: it is not. */
export function pausedBy(pause: WorkloadDocument["pause"], nowMs: number): string | undefined {
  if (pause === undefined || (pause.untilMs ?? Number.POSITIVE_INFINITY) <= nowMs) return undefined;
  return `by ${pause.by}${pause.reason === undefined ? "" : `: ${pause.reason}`}`;
}

/** Whether somebody else has brought a workload to something since a rollout failed that is to be tried again. */
export function isMovedOn(
  { cause, from, to }: Pick<OpenRollout, "cause" | "from" | "to">,
  { containers }: Pick<Workload, "containers">,
): boolean {
  if (cause.kind !== "retry") return false;
  return containers.some(({ name, reference }) => {
    const read = parseReference(from[name] ?? "");
    const left = read.kind === "reference" ? read.reference.digest : undefined;
    const running = reference?.digest;
    return to[name] !== undefined && running !== left && running !== to[name]?.digest;
  });
}
