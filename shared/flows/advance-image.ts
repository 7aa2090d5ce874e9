import type { Repository } from "../domain/reference.ts";
import { deployImage } from "./deploy-image.ts";
import type { Budget, FlowDeps } from "./deps.ts";
import { loadImage } from "./image.ts";
import { promote } from "./promote.ts";
import { prove } from "./prove.ts";

/**
 * Carries on whatever an image has open: channels to be moved, proofs to be looked at, workloads to be planned. Safe to
 * call from anywhere at any time.
 */
export async function advanceImage(deps: FlowDeps, repository: Repository, budget: Budget): Promise<void> {
  for (const channel of deps.rule(repository).channels) {
    await prove(deps, repository, channel);
    await promote(deps, repository, channel);
  }
  await deployImage(deps, await loadImage(deps, repository), budget);
}
