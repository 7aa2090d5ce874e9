import { goodFor } from "../decide/aftermath.ts";
import type { Wanted } from "../domain/rollout.ts";
import type { Workload } from "../domain/workload.ts";
import type { FlowDeps } from "./deps.ts";
import type { End } from "./finish.ts";
import { registryReason } from "./observe.ts";
import type { Ticket } from "./plan-writes.ts";
import { save } from "./save.ts";

/** Whether a rollback can go on, and to what: the newest good images that the registry still has. */
export async function wayBack(
  deps: FlowDeps,
  ticket: Ticket,
  undoes: Wanted,
  fresh: Workload,
): Promise<
  | { readonly kind: "goes"; readonly ticket: Ticket }
  | { readonly kind: "ends"; readonly end: End }
  | { readonly kind: "lost" }
> {
  const { document, open } = ticket;
  const isOurs = Object.entries(undoes).every(([name, { digest }]) => {
    const running = fresh.containers.find((container) => container.name === name)?.reference?.digest;
    return running === digest || running === open.to[name]?.digest;
  });
  if (!isOurs) return { kind: "ends", end: { state: "superseded", reason: "changed by someone else" } };
  const { lastGood, earlierGood = [], baseline } = document.value;
  for (const images of [lastGood, ...earlierGood, baseline]) {
    const to = images === undefined ? undefined : goodFor(undoes, [images]);
    if (to === undefined || !(await isThere(deps, to))) continue;
    if (isSame(to, open.to)) return { kind: "goes", ticket };
    const next = await save(deps, "workload.correct", ticket, { ...open, to });
    return next === undefined ? { kind: "lost" } : { kind: "goes", ticket: next };
  }
  const reason = "nothing that it ran well with is in the registry any more";
  return { kind: "ends", end: { state: "failed", reason, blame: "environment" } };
}

/** A registry that cannot be asked says nothing against an image: nodes may have it. */
export async function isThere(deps: FlowDeps, to: Wanted): Promise<boolean> {
  for (const { repository, digest } of Object.values(to)) {
    try {
      const head = await deps.recorder.step("registry.head", () => deps.registry.head(repository, digest));
      if (head === undefined) return false;
    } catch (error) {
      if (registryReason(error) === undefined) throw error;
    }
  }
  return true;
}

function isSame(one: Wanted, other: Wanted): boolean {
  return Object.entries(one).every(([name, { digest }]) => other[name]?.digest === digest);
}
