import type { Stored } from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";

/** Plans that are looked through for those whose turn it is. */
const maxQueue = 64;

/**
 * The plans of a target whose turn it is, longest waiting first: as many as there are free places. Nobody else claims
 * one, so two that wait never chase each other away.
 */
async function nextInLine(deps: FlowDeps, target: string): Promise<readonly Stored<"workloads">[]> {
  const waiting = await deps.ledger.planned(target, maxQueue);
  if (waiting.length === 0) return [];
  const free = Math.max(0, deps.maxParallel - (await deps.ledger.underWay(target)));
  const nowMs = await deps.ledger.clock();
  return waiting
    .filter(({ value: { open } }) => (open?.lease?.untilMs ?? 0) <= nowMs && (open?.retryMs ?? 0) <= nowMs)
    .slice(0, free);
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
  const messages = (await nextInLine(deps, target)).flatMap(({ value: { workload, open } }) =>
    open === undefined ? [] : [{ kind: "continue", workload, seq: open.seq } as const],
  );
  if (messages.length === 0) return;
  await deps.recorder.step("bus.continue", () => deps.bus.publish(messages));
}
