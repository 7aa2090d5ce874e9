import { asFollowed } from "../decide/way-back.ts";
import type { Repository } from "../domain/reference.ts";
import { addressOf, type WorkloadId } from "../domain/workload.ts";
import { messageOf } from "../errors.ts";
import type { Stored, WorkloadDocument } from "../ledger/ledger.ts";
import { advanceImage } from "./advance-image.ts";
import type { Budget, FlowDeps } from "./deps.ts";
import { againMs, isSilence, newLooked, publishLooks, tagsOf } from "./followed-tags.ts";
import { loadImage, saveImage, withoutPlans } from "./image.ts";
import { record } from "./record.ts";

/** The record with the time at which the sweep looks at it while no rollout is open. */
export function attended({ dueMs: _, ...value }: WorkloadDocument): WorkloadDocument {
  const times = [value.pause?.untilMs, value.relookMs].filter((each) => each !== undefined);
  return times.length === 0 ? value : { ...value, dueMs: Math.min(...times) };
}

/** Does what a workload without an open rollout wants: the end of its pause, a look at what it missed. */
export async function attend(deps: FlowDeps, stored: Stored<"workloads">, budget: Budget): Promise<void> {
  const { pause, ...rest } = stored.value;
  const nowMs = await deps.ledger.clock();
  if (pause?.untilMs !== undefined && pause.untilMs <= nowMs) {
    const value = attended({ ...rest, relookMs: nowMs });
    const write = { collection: "workloads", id: stored.id, expect: stored.rev, value } as const;
    if ((await record(deps, "workload.note", [write])) === "conflict") return;
  }
  await relook(deps, stored.value.workload, budget);
}

/**
 * Looks once more at everything that a workload follows, if its record says that it is to: it was left alone, and may be
 * behind. It stays on record until the look is on its way. Safe to repeat at any point.
 */
export async function relook(deps: FlowDeps, id: WorkloadId, budget: Budget): Promise<void> {
  const { relookMs: asked, detours } = (await deps.ledger.get("workloads", id))?.value ?? {};
  if (asked === undefined) return;
  const outcome = await lookAgainAt(deps, id, detours, budget);
  if (outcome.kind === "unavailable") {
    deps.log.write("warning", `${id} cannot be looked at again yet: ${outcome.detail}`, { workload: id });
  }
  const laterMs = outcome.kind === "unavailable" ? (await deps.ledger.clock()) + againMs : undefined;
  for (;;) {
    const stored = await deps.ledger.get("workloads", id);
    // Somebody has asked for another look since.
    if (stored?.value.relookMs !== asked) return;
    const { relookMs: _, ...rest } = stored.value;
    const value = attended({ ...rest, ...(laterMs === undefined ? {} : { relookMs: laterMs }) });
    const write = { collection: "workloads", id, expect: stored.rev, value } as const;
    if ((await record(deps, "workload.note", [write])) === "written") return;
  }
}

type Outcome = { readonly kind: "on-its-way" } | { readonly kind: "unavailable"; readonly detail: string };

async function lookAgainAt(
  deps: FlowDeps,
  id: WorkloadId,
  detours: WorkloadDocument["detours"],
  budget: Budget,
): Promise<Outcome> {
  const { target: of, name } = addressOf(id);
  const at = deps.targets.find(({ target }) => target.name === of);
  if (at === undefined) return { kind: "on-its-way" };
  try {
    const shown = await deps.recorder.step("target.get", () => at.target.get(name));
    if (shown === undefined) return { kind: "on-its-way" };
    const workload = asFollowed(shown, detours);
    const looked = newLooked();
    await tagsOf(deps, workload, looked);
    const images = workload.containers.flatMap(({ reference }) => reference?.repository ?? []);
    for (const repository of new Set(images)) {
      const isBuilt = deps.follows(repository) && deps.rule(repository).git !== undefined;
      if (isBuilt) await planAnew(deps, repository, budget);
    }
    await publishLooks(deps, looked);
    return { kind: "on-its-way" };
  } catch (error) {
    if (!isSilence(error)) throw error;
    return { kind: "unavailable", detail: messageOf(error) };
  }
}

async function planAnew(deps: FlowDeps, repository: Repository, budget: Budget): Promise<void> {
  for (;;) {
    const stored = await loadImage(deps, repository);
    if (stored.rev === 0) return;
    if ((await saveImage(deps, "image.planned", stored, withoutPlans(stored.value))) !== undefined) break;
  }
  await advanceImage(deps, repository, budget);
}
