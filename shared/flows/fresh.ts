import type { Workload } from "../domain/workload.ts";
import { isTargetTrouble, messageOf, retryAfterOf } from "../errors.ts";
import type { FlowDeps, FlowTarget } from "./deps.ts";
import type { Ticket } from "./plan-writes.ts";

export type Fresh = { readonly kind: "read"; readonly workload: Workload | undefined } | Unavailable;

export interface Unavailable {
  readonly kind: "unavailable";
  readonly message: string;
  readonly retryAfterMs: number;
}

export function unavailable(error: unknown): Unavailable {
  return { kind: "unavailable", message: messageOf(error), retryAfterMs: retryAfterOf(error) ?? 0 };
}

export async function getFresh(deps: FlowDeps, at: FlowTarget, ticket: Ticket): Promise<Fresh> {
  try {
    const workload = await deps.recorder.step("target.get", () => at.target.get(ticket.document.value.name));
    return { kind: "read", workload };
  } catch (error) {
    if (!isTargetTrouble(error)) throw error;
    return unavailable(error);
  }
}

/** An update that the target has paused goes on only when it is written again, even if nothing in it changes. */
export async function isPaused(
  deps: FlowDeps,
  at: FlowTarget,
  ticket: Ticket,
): Promise<{ readonly kind: "paused" | "going" } | Unavailable> {
  try {
    const look = await deps.recorder.step("target.look", () => at.target.look(ticket.document.value.name));
    return { kind: look?.update === "paused" ? "paused" : "going" };
  } catch (error) {
    if (!isTargetTrouble(error)) throw error;
    return unavailable(error);
  }
}
