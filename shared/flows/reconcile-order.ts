import type { ReconcileMessage } from "../bus/bus.ts";
import { type EventDocument, rolloutId, type Stored, type Verdict } from "../ledger/ledger.ts";
import type { Budget, FlowDeps } from "./deps.ts";
import { countsText } from "./drift-report.ts";
import { eventKeptMs, maxVerdicts } from "./event.ts";
import { type FullRun, fullRun, unknownTargets } from "./full-run.ts";
import { telling } from "./full-run-progress.ts";
import { record } from "./record.ts";
import { reportPages } from "./report-rows.ts";

/** How long a run is given before another delivery may begin it anew, ms. */
const claimMs = 10 * 60_000;
/** How soon it is tried again while another full run is under way, or after nobody took the message, ms. */
const againMs = 60_000;

/** A full run of this event is under way. */
const comparing = "comparing";

/**
 * Somebody asks for a full run. It runs here, once: its event names the report. While another full run is under way it
 * waits, and the sweep asks for it again. Safe to repeat at any point.
 * @throws LedgerUnavailableError (retryable)
 */
export async function handleReconcile(
  before: FlowDeps,
  message: ReconcileMessage,
  budget: Budget,
): Promise<void> {
  const deps = (await before.fresh?.()) ?? before;
  const known = await deps.ledger.get("events", message.event);
  const nowMs = await deps.ledger.clock();
  if (known !== undefined && !isFree(known.value, nowMs)) return;
  const strange = unknownTargets(deps, message.run);
  if (strange !== undefined) {
    await save(deps, message, { state: "done", outcome: "refused", detail: strange }, known?.rev ?? 0);
    return;
  }
  const claim = { state: "waiting", outcome: comparing, dueMs: nowMs + claimMs } as const;
  const claimed = await save(deps, message, claim, known?.rev ?? 0);
  // Another delivery of the same message was faster.
  if (!claimed) return;
  const { onProgress, settled } = telling(deps, (text) => note(deps, message, text));
  const done = await fullRun(deps, { ...message.run, by: message.by }, budget, onProgress).catch(
    async (error: unknown) => {
      await settled();
      await settle(deps, message, { state: "waiting", dueMs: nowMs + againMs });
      throw error;
    },
  );
  await settled();
  await settle(deps, message, await outcomeOf(deps, done));
}

/** Asks once more for a full run whose time has come: it takes longer than a sweep may. */
export async function askAgain(deps: FlowDeps, { id, rev, value }: Stored<"events">): Promise<void> {
  const { reconcile, by = "unknown", heardMs } = value;
  if (reconcile === undefined) return;
  const message: ReconcileMessage = { kind: "reconcile", event: id, heardMs, by, run: reconcile };
  const dueMs = (await deps.ledger.clock()) + againMs;
  if (!(await save(deps, message, { state: "waiting", dueMs }, rev))) return;
  await deps.recorder.step("bus.continue", () => deps.bus.publish([message]));
}

type Change = Pick<EventDocument, "state"> &
  Partial<Pick<EventDocument, "outcome" | "detail" | "report" | "verdicts" | "more" | "dueMs">>;

async function outcomeOf(deps: FlowDeps, done: Awaited<ReturnType<typeof fullRun>>): Promise<Change> {
  switch (done.kind) {
    case "busy": {
      const nowMs = await deps.ledger.clock();
      return {
        state: "waiting",
        outcome: "busy",
        detail: `asked by ${done.by}, until ${new Date(done.untilMs).toISOString()} at the latest`,
        dueMs: nowMs + Math.min(againMs, Math.max(1_000, done.untilMs - nowMs)),
      };
    }
    case "report":
      return {
        state: "done",
        outcome: "compared",
        report: done.id,
        detail: `${done.id}: ${countsText(done.report)}`,
        ...(await begunBy(deps, done)),
      };
    default:
      return done satisfies never;
  }
}

/** The rollouts that it began, so that whoever follows the event finds them. */
async function begunBy(
  { ledger }: Pick<FlowDeps, "ledger">,
  { id, report, rows }: FullRun,
): Promise<Required<Pick<Change, "verdicts" | "more">>> {
  const begun = new Map<string, Verdict>();
  for await (const page of rows === undefined ? reportPages(ledger, id, report) : [rows]) {
    for (const { workload, seq } of page) {
      if (seq !== undefined) begun.set(rolloutId(workload, seq), { workload, kind: "planned", seq });
    }
  }
  return {
    verdicts: [...begun.values()].slice(0, maxVerdicts),
    more: Math.max(0, begun.size - maxVerdicts),
  };
}

/** A run that nobody is at: it never began, or whoever was at it is gone. */
function isFree({ state, outcome, dueMs = 0 }: EventDocument, nowMs: number): boolean {
  return state !== "done" && (outcome !== comparing || dueMs <= nowMs);
}

/** Puts on record how far the run is; whoever is at it keeps it for as long again. */
async function note(deps: FlowDeps, message: ReconcileMessage, detail: string): Promise<void> {
  const stored = await deps.ledger.get("events", message.event);
  if (stored?.value.outcome !== comparing) return;
  const dueMs = (await deps.ledger.clock()) + claimMs;
  await save(deps, message, { state: "waiting", outcome: comparing, detail, dueMs }, stored.rev);
}

/** Puts on record what became of the event, whoever else wrote it meanwhile, unless that is on record. */
async function settle(deps: FlowDeps, message: ReconcileMessage, change: Change): Promise<void> {
  for (;;) {
    const stored = await deps.ledger.get("events", message.event);
    if (stored?.value.state === "done") return;
    if (await save(deps, message, change, stored?.rev ?? 0)) return;
  }
}

async function save(
  deps: FlowDeps,
  { event, run, by, heardMs }: ReconcileMessage,
  change: Change,
  expect: number,
): Promise<boolean> {
  const value: EventDocument = {
    reconcile: run,
    by,
    heardMs,
    verdicts: [],
    more: 0,
    looks: 0,
    expireMs: heardMs + eventKeptMs,
    ...change,
  };
  const write = { collection: "events", id: event, expect, value } as const;
  return (await record(deps, "order.record", [write])) === "written";
}
