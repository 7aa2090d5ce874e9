import { isDeepStrictEqual } from "node:util";
import type { EventDocument, Verdict, Write } from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";
import type { Owed } from "./observe.ts";
import { record } from "./record.ts";

/** How long an invocation that looks again keeps others from doing the same, ms. */
const claimMs = 60_000;
const maxAttempts = 5;
/** How long an event is kept for readers, ms. */
export const eventKeptMs = 90 * 24 * 3_600_000;

/** Skips kept with an event; the rest is a count. */
export const maxVerdicts = 200;

/**
 * Puts on record what a pass over a push came to.
 * @param owed what is due until then, unless somebody else has looked since
 * @returns the event's new revision; `undefined` when another delivery of the same message finished it
 */
export async function saveEvent(
  deps: FlowDeps,
  id: string,
  event: EventDocument,
  rev: number,
  owed?: Owed,
): Promise<number | undefined> {
  let expect = rev;
  let paid: readonly Write[] = owed === undefined ? [] : [owed];
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const write = { collection: "events", id, expect, value: event } as const;
    if ((await record(deps, "event.record", [write, ...paid])) === "written") return expect + 1;
    const stored = await deps.ledger.get("events", id);
    if (owed !== undefined && (await deps.ledger.get("refs", owed.id))?.rev !== owed.expect) paid = [];
    if (stored?.value.state === "done" && !tellsMore(event, stored.value)) {
      // What this pass came to is with the workloads, unless it has to look again.
      const isPaid = event.state === "done" && paid.length > 0;
      if (isPaid && owed !== undefined) await record(deps, "event.record", [owed]);
      return undefined;
    }
    expect = stored?.rev ?? 0;
  }
  return undefined;
}

/** A delivery that joined the look of another one of the same message knows nothing of what that will come to. */
function tellsMore(event: EventDocument, stored: EventDocument): boolean {
  return stored.outcome === "joined" && event.outcome !== "joined";
}

/**
 * Takes the right to look again at an event.
 * @returns the event's new revision; `undefined` when somebody else was faster
 */
export async function claimEvent(
  deps: FlowDeps,
  id: string,
  event: EventDocument,
  rev: number,
): Promise<number | undefined> {
  const dueMs = (await deps.ledger.clock()) + claimMs;
  const write = { collection: "events", id, expect: rev, value: { ...event, dueMs } } as const;
  return (await record(deps, "event.claim", [write])) === "written" ? rev + 1 : undefined;
}

/** Rollouts that an earlier look led to stay on record, though a later look finds their work done or cannot look at all. */
export function mergeVerdicts(earlier: readonly Verdict[], now: readonly Verdict[]): readonly Verdict[] {
  const kept = earlier.filter(({ kind, workload, seq }) => {
    if (kind !== "planned" && kind !== "joined") return false;
    const later = now.find((verdict) => verdict.workload === workload);
    return later === undefined || later.reason === "already-running" || later.seq === seq;
  });
  const names = new Set(kept.map(({ workload }) => workload));
  return [...kept, ...now.filter(({ workload }) => !names.has(workload))];
}

/**
 * What is worth a line. A build is asked about as the newest commit and as what its channels have: that a workload goes
 * by the other of the two is no news beside what was decided there, and the same twice is said once.
 */
export function withoutEchoes(verdicts: readonly Verdict[]): readonly Verdict[] {
  const byWorkload = Map.groupBy(verdicts, ({ workload }) => workload);
  return [...byWorkload.values()].flatMap((own) => {
    const told = own.filter(({ reason }) => reason !== "other-tag");
    const [first] = own;
    if (told.length === 0) return first === undefined ? [] : [first];
    return told.filter((each, at) => told.findIndex((other) => isDeepStrictEqual(each, other)) === at);
  });
}

/** Adds what was decided for an event after it was written. One that is no longer there, or changes all the time, is let be. */
export async function addVerdicts(deps: FlowDeps, id: string, verdicts: readonly Verdict[]): Promise<void> {
  if (verdicts.length === 0) return;
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const stored = await deps.ledger.get("events", id);
    if (stored === undefined) return;
    const all = mergeVerdicts(stored.value.verdicts, withoutEchoes(verdicts));
    const value: EventDocument = {
      ...stored.value,
      verdicts: all.slice(0, maxVerdicts),
      more: Math.max(0, all.length - maxVerdicts),
    };
    const write = { collection: "events", id, expect: stored.rev, value } as const;
    if ((await record(deps, "event.verdicts", [write])) === "written") return;
  }
}
