import type { Repository } from "../domain/reference.ts";
import type { Stored } from "../ledger/ledger.ts";
import { deployImage } from "./deploy-image.ts";
import type { Budget, FlowDeps } from "./deps.ts";
import { loadImage, saveImage, withoutPlans } from "./image.ts";
import { promote } from "./promote.ts";
import { prove } from "./prove.ts";
import { relookImage } from "./relook-image.ts";

/**
 * Carries on whatever an image has open: channels to be moved, proofs to be looked at, workloads to be planned. Safe to
 * call from anywhere at any time.
 */
export async function advanceImage(deps: FlowDeps, repository: Repository, budget: Budget): Promise<void> {
  for (const channel of deps.rule(repository).channels) {
    await prove(deps, repository, channel);
    await promote(deps, repository, channel);
  }
  await deployImage(deps, await thawed(deps, repository), budget);
}

/** The image; when a freeze has ended, or a person wants it to be looked at, with everything to be planned anew. */
async function thawed(deps: FlowDeps, repository: Repository): Promise<Stored<"images">> {
  for (;;) {
    const stored = await relookImage(deps, await loadImage(deps, repository));
    const { frozenMs } = stored.value;
    if (frozenMs === undefined || frozenMs > (await deps.ledger.clock())) return stored;
    const saved = await saveImage(deps, "image.planned", stored, withoutPlans(stored.value));
    if (saved !== undefined) return saved;
  }
}
