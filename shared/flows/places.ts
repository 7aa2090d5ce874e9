import type { Stored } from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";

/** Plans that are looked through for those whose turn it is. */
const maxQueue = 64;

/**
 * The plans of a target whose turn it is, longest waiting first: as many as there are free places. Nobody else claims
 * one, so two that wait never chase each other away. The queue may be long, and every plan in it that is read costs.
 */
async function nextInLine(deps: FlowDeps, target: string): Promise<readonly Stored<"workloads">[]> {
  // Places before plans: who takes one in between is no longer in the queue, and is not counted twice.
  const free = deps.maxParallel - (await deps.ledger.underWay(target));
  if (free <= 0) return [];
  const nowMs = await deps.ledger.clock();
  const asMany = Math.min(free, maxQueue);
  const first = await deps.ledger.planned(target, asMany);
  const ready = first.filter((each) => isReady(each, nowMs));
  if (ready.length === asMany || first.length < asMany) return ready;
  // Who has to wait longer stands in nobody's way.
  const more = await deps.ledger.planned(target, maxQueue);
  return more.filter((each) => isReady(each, nowMs)).slice(0, free);
}

function isReady({ value: { open } }: Stored<"workloads">, nowMs: number): boolean {
  return (open?.lease?.untilMs ?? 0) <= nowMs && (open?.retryMs ?? 0) <= nowMs;
}

/** Whether a workload that waits for a place may take one now. */
export async function isItsTurn(deps: FlowDeps, target: string, workload: string): Promise<boolean> {
  return (await nextInLine(deps, target)).some((each) => each.id === workload);
}

/**
 * A place on the target is free: whoever has waited longest is told so. Two that end at the same moment both see both
 * places and the same first in line, so each wakes as many as there are places; one too many finds its place taken.
 */
export async function wakeNext(deps: FlowDeps, target: string): Promise<void> {
  if ((await deps.ledger.planned(target, 1)).length === 0) return;
  const messages = (await nextInLine(deps, target)).flatMap(({ value: { workload, open } }) =>
    open === undefined ? [] : [{ kind: "continue", workload, seq: open.seq } as const],
  );
  if (messages.length === 0) return;
  await deps.recorder.step("bus.continue", () => deps.bus.publish(messages));
}
