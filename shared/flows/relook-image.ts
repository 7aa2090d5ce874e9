import { asFollowed } from "../decide/way-back.ts";
import type { Workload } from "../domain/workload.ts";
import { messageOf } from "../errors.ts";
import type { Stored } from "../ledger/ledger.ts";
import type { FlowDeps, FlowTarget } from "./deps.ts";
import { againMs, isSilence, newLooked, publishLooks, tagsOf } from "./followed-tags.ts";
import { loadImage, saveImage, withoutPlans } from "./image.ts";

/**
 * Looks once more at every tag of an image that a workload follows, and has all of its plans made anew, if its record says
 * so: workloads were kept from a digest, and may be behind. It stays on record until the looks are on their way.
 */
export async function relookImage(deps: FlowDeps, first: Stored<"images">): Promise<Stored<"images">> {
  const { repository, relookMs: asked } = first.value;
  if (asked === undefined || asked > (await deps.ledger.clock())) return first;
  const troubles: string[] = [];
  const looked = newLooked();
  for (const { target } of deps.targets) {
    try {
      const workloads = await deps.recorder.step("target.list", () => target.list());
      for (const listed of workloads) {
        if (!listed.containers.some(({ reference }) => reference?.repository === repository)) continue;
        await tagsOf(deps, await followingAt(deps, target, listed), looked, repository);
      }
    } catch (error) {
      if (!isSilence(error)) throw error;
      troubles.push(`${target.name}: ${messageOf(error)}`);
    }
  }
  await publishLooks(deps, looked);
  if (troubles.length > 0) {
    deps.log.write("warning", `${repository} cannot be looked at everywhere yet: ${troubles.join("; ")}`, {});
  }
  const laterMs = troubles.length === 0 ? undefined : (await deps.ledger.clock()) + againMs;
  for (;;) {
    const stored = await loadImage(deps, repository);
    if (stored.value.relookMs !== asked) return stored;
    const { relookMs: _, ...rest } = withoutPlans(stored.value);
    const value = { ...rest, ...(laterMs === undefined ? {} : { relookMs: laterMs }) };
    const saved = await saveImage(deps, "image.planned", stored, value);
    if (saved !== undefined) return saved;
  }
}

/** Only a target that takes no digest ever brings a workload to another tag than it follows. */
async function followingAt(
  { ledger }: FlowDeps,
  { capabilities }: FlowTarget["target"],
  listed: Workload,
): Promise<Workload> {
  if (capabilities.rollsBackTo === "any") return listed;
  return asFollowed(listed, (await ledger.get("workloads", listed.id))?.value.detours);
}
