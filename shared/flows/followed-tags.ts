import { choosesByTag, highest } from "../decide/policies/index.ts";
import { isCommit } from "../domain/commit.ts";
import { printReference, type Reference, type Repository } from "../domain/reference.ts";
import type { Container, Workload } from "../domain/workload.ts";
import { isTargetTrouble } from "../errors.ts";
import type { FlowDeps } from "./deps.ts";
import { policyOf } from "./drift-questions.ts";
import { registryReason } from "./observe.ts";
import { sweepPush } from "./push.ts";

/** What cannot be asked is asked again after so long, ms. */
export const againMs = 60_000;

/** Tags to be looked at, each once, and the highest one of a repository asked for once a policy. */
interface Looked {
  readonly tags: Map<string, { readonly repository: Repository; readonly tag: string }>;
  readonly lists: Map<Repository, Promise<readonly string[]>>;
}

export function newLooked(): Looked {
  return { tags: new Map(), lists: new Map() };
}

/** Adds the tags that say what a workload is to run, as far as tags do. */
export async function tagsOf(
  deps: FlowDeps,
  workload: Workload,
  looked: Looked,
  only?: Repository,
): Promise<void> {
  for (const container of workload.containers) {
    const { reference } = container;
    if (reference?.tag === undefined || !deps.follows(reference.repository)) continue;
    if (only !== undefined && reference.repository !== only) continue;
    const tag = await followedTag(deps, workload, container, reference, looked);
    if (tag === undefined) continue;
    const { repository } = reference;
    looked.tags.set(printReference({ repository, tag }), { repository, tag });
  }
}

/** The tag that says what a container is to run: its own, or the highest one of its policy. */
async function followedTag(
  deps: FlowDeps,
  workload: Workload,
  container: Container,
  { repository, tag }: Reference,
  { lists }: Looked,
): Promise<string | undefined> {
  // A look at such a tag is no build that anybody reported.
  if (deps.rule(repository).git !== undefined && isCommit(tag)) return undefined;
  const policy = policyOf(deps, workload, container, repository);
  if (!choosesByTag(policy)) return tag;
  const listing =
    lists.get(repository) ?? deps.recorder.step("registry.tags", () => deps.registry.tags(repository));
  lists.set(repository, listing);
  return highest(policy, await listing);
}

/** Whoever hears of them asks the registry. */
export async function publishLooks(deps: FlowDeps, { tags }: Looked): Promise<void> {
  if (tags.size === 0) return;
  const nowMs = await deps.ledger.clock();
  const looks = [...tags.values()].map(({ repository, tag }) =>
    sweepPush(`look-${deps.newId()}`, repository, tag, nowMs),
  );
  await deps.recorder.step("bus.continue", () => deps.bus.publish(looks));
}

/** Whether a target or a registry could not be asked. */
export function isSilence(error: unknown): boolean {
  return isTargetTrouble(error) || registryReason(error) !== undefined;
}
