import type { Due, Stored } from "../ledger/ledger.ts";
import { advance } from "./advance.ts";
import { advanceImage } from "./advance-image.ts";
import { type Budget, type FlowDeps, glance } from "./deps.ts";
import { handlePush, sweepPush } from "./push.ts";
import { record } from "./record.ts";
import { relook } from "./relook.ts";
import { resumeEvent } from "./resume.ts";

/** One piece of unfinished work that a sweep found. */
export interface SweepRow {
  readonly kind: "rollout" | "event" | "ref" | "image";
  readonly id: string;
  readonly outcome: "carried-on" | "failed";
  readonly error?: string;
}

export interface SweepReport {
  readonly mode: "sweep";
  readonly work: readonly SweepRow[];
}

const maxWork = 100;
const kinds = { workloads: "rollout", refs: "ref", events: "event", images: "image" } as const;

/**
 * Carries on what a dead or finished invocation left: open rollouts, events that wait, refs that nobody holds. One
 * ledger query when nothing is due; nothing outside the ledger is asked for then.
 */
export async function sweep(deps: FlowDeps, budget: Budget): Promise<SweepReport> {
  const due = await deps.ledger.due(await deps.ledger.clock(), maxWork);
  return { mode: "sweep", work: await Promise.all(due.map((each) => carryOn(deps, each, budget))) };
}

async function carryOn(deps: FlowDeps, due: Due, budget: Budget): Promise<SweepRow> {
  const { id } = due.document;
  try {
    switch (due.collection) {
      case "refs": {
        const { repository, tag } = due.document.value;
        const nowMs = await deps.ledger.clock();
        await handlePush(deps, sweepPush(`sweep-${deps.newId()}`, repository, tag, nowMs), budget);
        return { kind: "ref", id, outcome: "carried-on" };
      }
      case "images":
        await advanceImage(deps, due.document.value.repository, budget);
        return { kind: "image", id, outcome: "carried-on" };
      case "events":
        await resumeEvent(deps, due.document, budget);
        return { kind: "event", id, outcome: "carried-on" };
      case "workloads": {
        const { open, workload } = due.document.value;
        if (open !== undefined) {
          const ticket = { document: due.document, open };
          // A verifying rollout most likely has an invocation of its own: one look, and no second chain of them.
          const own = open.state === "verifying" ? glance : budget;
          await advance(deps, workload, open.seq, own, ticket);
        } else {
          await endPause(deps, due.document, budget);
        }
        return { kind: "rollout", id, outcome: "carried-on" };
      }
      default:
        return due satisfies never;
    }
  } catch (error) {
    // One failing piece never stops the others; it stays due and is found again.
    const message = error instanceof Error ? error.message : String(error);
    deps.log.write("error", `${id}: ${message}`, { kind: due.collection });
    return {
      kind: kinds[due.collection],
      id,
      outcome: "failed",
      error: message,
    };
  }
}

/** A pause is over: what the workload missed is looked at. */
async function endPause(deps: FlowDeps, stored: Stored<"workloads">, budget: Budget): Promise<void> {
  const { pause: _pause, dueMs: _dueMs, ...value } = stored.value;
  const write = { collection: "workloads", id: stored.id, expect: stored.rev, value } as const;
  if ((await record(deps, "workload.note", [write])) === "written")
    await relook(deps, value.workload, budget);
}
