import { type Blame, shows, type Wanted } from "../domain/rollout.ts";
import type { VerifyMemory } from "../ledger/ledger.ts";
import type { Look, TaskLook } from "../targets/target.ts";

export interface VerifyRules {
  /** How long a rollout may take until it has converged, ms. Time in which the target could not be asked does not count. */
  readonly timeoutMs: number;
  /** How long the same tasks must run, ms; never less than the target's own window. */
  readonly stableForMs: number;
}

export interface VerifyFacts {
  readonly seq: number;
  readonly to: Wanted;
  /** When the write was about to be sent, ms. */
  readonly applyingMs: number;
  /** When the target had taken it, ms: a rollout's time counts from there. */
  readonly acceptedMs: number;
  /** Whether the target carries our `seq`, so that a lower or higher one there means something. */
  readonly fences: boolean;
}

export type VerifyDecision =
  | { readonly kind: "wait"; readonly memory: VerifyMemory; readonly note: string }
  | { readonly kind: "succeeded"; readonly reason: string }
  | {
      readonly kind: "failed";
      readonly reason: string;
      readonly blame: Blame;
      /** Containers that failed, as far as the target names them. */
      readonly guilty: readonly string[];
      /** Fewer tasks run than are wanted. */
      readonly short: boolean;
      /** The target went back by itself to what it had run before. */
      readonly restored: boolean;
    }
  /** Somebody else moved the workload on: not ours to judge. */
  | { readonly kind: "superseded"; readonly reason: string };

interface Failing {
  /** The target went back by itself. */
  readonly restored?: boolean;
  /** What ended by itself last, so often that the image is to blame. */
  readonly crashed?: Pick<TaskLook, "error" | "container" | "environment">;
}

/** What the ledger starts a verification with. */
export const noMemory: VerifyMemory = { tasks: [], replaced: 0, blindMs: 0 };

/** How often a task of the new image may be lost before the rollout counts as failed. */
const maxReplaced = 3;
/** Clocks of target and ledger may differ this much: an older task's failure is not this rollout's. */
const clockToleranceMs = 5_000;

/** The target could not be asked: remember since when, judge nothing. */
export function decideBlind(memory: VerifyMemory, nowMs: number): VerifyMemory {
  return memory.blindSinceMs === undefined ? { ...memory, blindSinceMs: nowMs } : memory;
}

/**
 * What one look says about a rollout. Accepted by the API is not success: the wanted tasks must run, the same ones,
 * for the whole window; a replaced task starts it anew, the third is a failure.
 */
export function decideVerify(
  facts: VerifyFacts,
  before: VerifyMemory,
  look: Look | undefined,
  nowMs: number,
  rules: VerifyRules,
): VerifyDecision {
  if (look === undefined) return { kind: "superseded", reason: "the workload is gone" };
  const memory = sighted(before, nowMs);
  if (facts.fences && look.workload.fence > facts.seq) {
    return { kind: "superseded", reason: `fenced: rollout ${look.workload.fence} was written since` };
  }
  const tasks = look.tasks.filter((task) => isCurrent(task, facts.to));
  const sinceMs = facts.applyingMs - clockToleranceMs;
  const failures = tasks
    .filter((task) => task.state === "failed" && task.createdMs >= sinceMs)
    .sort((one, other) => one.createdMs - other.createdMs);
  const isShort =
    slots(look.tasks.filter((task) => task.desired && task.state === "running")) < look.wantedTasks;
  const failed = (sentence: string, { restored = false, crashed }: Failing = {}): VerifyDecision => {
    const last = crashed ?? failures.at(-1) ?? tasks.findLast((task) => task.error !== undefined);
    // Where no task says anything, there may be none: a quota, or whatever refuses them, shows in the update only.
    const words = last === undefined ? look.message : last.error;
    const own = words === undefined || sentence.includes(words) ? "" : `: ${words}`;
    const isOurs = last !== undefined && (last.container === undefined || last.container in facts.to);
    const blame = isOurs && last.environment !== true ? "image" : "environment";
    const guilty = blame === "image" && last?.container !== undefined ? [last.container] : [];
    return { kind: "failed", reason: `${sentence}${own}`, blame, guilty, short: isShort, restored };
  };

  const isThere = shows(look.workload, facts.to);
  // One that is to undo another may find that the target has gone back by itself: that is what it is for.
  if (look.update === "rolled-back" && !isThere) {
    const said = memory.said ?? look.message ?? "the target rolled the update back";
    // It says so before all of its tasks are up again, and also where they do not come up.
    const isEarly = isShort && nowMs - facts.acceptedMs - memory.blindMs <= rules.timeoutMs;
    return isEarly
      ? { kind: "wait", memory: { ...memory, said }, note: "the target has rolled back, and its tasks start" }
      : failed(said, { restored: true });
  }
  if (look.update === "rolling-back") {
    const said = look.message === undefined ? {} : { said: look.message };
    return { kind: "wait", memory: { ...memory, ...said }, note: "the target is rolling back by itself" };
  }
  if (!isThere) return { kind: "superseded", reason: "changed by someone else" };
  if (look.update === "paused") return failed(look.message ?? "the target paused the update");
  if (look.wantedTasks === 0)
    return { kind: "succeeded", reason: `unproven: ${look.unproven ?? "no tasks"}` };

  const running = tasks.filter((task) => task.desired && task.state === "running");
  const others = look.tasks.filter((task) => task.desired && !isCurrent(task, facts.to));
  const converged = slots(running) >= look.wantedTasks && others.length === 0;
  const next = remember(memory, running, converged, nowMs);
  const crashes = crashesOf(tasks.filter((task) => task.createdMs >= sinceMs));
  if (Math.max(next.replaced, crashes) >= maxReplaced) {
    const ownCrash =
      failures.findLast((task) => task.environment !== true) ??
      tasks.findLast((task) => task.ended !== undefined)?.ended;
    // What was taken away from outside has not crashed.
    const crashed = crashes >= maxReplaced ? { crashed: ownCrash ?? {} } : {};
    return failed(`its tasks do not stay up: ${Math.max(next.replaced, crashes)} were lost`, crashed);
  }
  const windowMs = Math.max(rules.stableForMs, look.windowMs);
  if (next.sinceMs !== undefined && look.update !== "updating" && nowMs - next.sinceMs >= windowMs) {
    return {
      kind: "succeeded",
      reason: `${look.wantedTasks} of ${look.wantedTasks} tasks ran for ${windowMs / 1000} s`,
    };
  }
  const spentMs = nowMs - facts.acceptedMs - next.blindMs;
  const progress = `${slots(running)} of ${look.wantedTasks} tasks run the new image`;
  // Nobody may have looked for long: what runs by now still gets its window.
  const isGivenTime = next.sinceMs !== undefined && nowMs - next.sinceMs < windowMs;
  if (spentMs > rules.timeoutMs && !isGivenTime)
    return failed(`not rolled out within ${rules.timeoutMs / 1000} s: ${progress}`);
  return { kind: "wait", memory: next, note: progress };
}

function sighted(memory: VerifyMemory, nowMs: number): VerifyMemory {
  if (memory.blindSinceMs === undefined) return memory;
  const { blindSinceMs, ...rest } = memory;
  return { ...rest, blindMs: memory.blindMs + Math.max(0, nowMs - blindSinceMs) };
}

function remember(
  memory: VerifyMemory,
  running: readonly TaskLook[],
  converged: boolean,
  nowMs: number,
): VerifyMemory {
  // An id carries the restart count, so that a container restarted in place is another one.
  const ids = running.map((task) => `${task.id}#${task.restarts}`).sort();
  const lost = memory.tasks.filter((id) => !ids.includes(id)).length;
  const replaced = memory.replaced + lost;
  if (!converged) {
    const { sinceMs: _, ...rest } = memory;
    return { ...rest, tasks: [], replaced };
  }
  // A time that is yet to come was taken from a clock that has been set since.
  const began = memory.sinceMs !== undefined && memory.sinceMs <= nowMs;
  const same = began && lost === 0 && ids.length === memory.tasks.length;
  return same ? memory : { ...memory, tasks: ids, sinceMs: nowMs, replaced };
}

/** How often tasks failed by themselves, starts anew in their place included: each time is one. */
export function crashesOf(tasks: readonly TaskLook[]): number {
  const ours = tasks.filter((task) => task.environment !== true);
  const restarts = ours.reduce((sum, task) => sum + task.restarts, 0);
  return restarts + ours.filter((task) => task.state === "failed").length;
}

/** How many places are taken by tasks. */
export function slots(tasks: readonly TaskLook[]): number {
  return new Set(tasks.map((task) => task.slot)).size;
}

function isCurrent(task: TaskLook, to: Wanted): boolean {
  return Object.entries(to).every(
    ([name, wanted]) => task.images[name]?.endsWith(`@${wanted.digest}`) ?? false,
  );
}
