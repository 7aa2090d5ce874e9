import type { Repository } from "../domain/reference.ts";
import type { WorkloadId } from "../domain/workload.ts";
import { isTargetTrouble } from "../errors.ts";
import { advanceImage } from "./advance-image.ts";
import type { Budget, FlowDeps } from "./deps.ts";
import { loadImage, saveImage, withoutPlans } from "./image.ts";
import { sweepPush } from "./push.ts";

/** Looks once more at everything that a workload follows: it was left alone, and may be behind. */
export async function relook(deps: FlowDeps, id: WorkloadId, budget: Budget): Promise<void> {
  const slash = id.indexOf("/");
  const at = deps.targets.find(({ target }) => target.name === id.slice(0, slash));
  if (at === undefined) return;
  let workload: Awaited<ReturnType<typeof at.target.get>>;
  try {
    workload = await deps.recorder.step("target.get", () => at.target.get(id.slice(slash + 1)));
  } catch (error) {
    if (!isTargetTrouble(error)) throw error;
    deps.log.write("warning", `${id} cannot be asked: it is looked at with the next push of its image`, {});
    return;
  }
  const images = (workload?.containers ?? []).flatMap(({ reference }) => reference ?? []);
  for (const repository of new Set(images.map((each) => each.repository))) {
    if (!deps.follows(repository)) continue;
    if (deps.rule(repository).git !== undefined) {
      await planAnew(deps, repository, budget);
    }
  }
  const nowMs = await deps.ledger.clock();
  const looks = images.flatMap(({ repository, tag }) =>
    tag === undefined || !deps.follows(repository)
      ? []
      : [sweepPush(`look-${deps.newId()}`, repository, tag, nowMs)],
  );
  if (looks.length > 0) await deps.recorder.step("bus.continue", () => deps.bus.publish(looks));
}

async function planAnew(deps: FlowDeps, repository: Repository, budget: Budget): Promise<void> {
  for (;;) {
    const stored = await loadImage(deps, repository);
    if (stored.rev === 0) return;
    if ((await saveImage(deps, "image.planned", stored, withoutPlans(stored.value))) !== undefined) break;
  }
  await advanceImage(deps, repository, budget);
}
