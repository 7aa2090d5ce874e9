import { leadsBack, type SeenTag, tagsTo } from "../decide/way-back.ts";
import { printReference, type Repository } from "../domain/reference.ts";
import { shows, type Wanted, type WantedContainer } from "../domain/rollout.ts";
import type { Workload } from "../domain/workload.ts";
import { messageOf, retryAfterOf } from "../errors.ts";
import { imageOf, type WorkloadDocument } from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";
import { loadImage } from "./image.ts";
import { registryReason } from "./observe.ts";

/** How a target that takes no digest can be brought to one. */
export type WayTo =
  | { readonly kind: "there" }
  /** It goes back to what our newest write replaced. */
  | { readonly kind: "back" }
  /** By tags that point there now. */
  | { readonly kind: "tags"; readonly via: Readonly<Record<string, string>> }
  | { readonly kind: "none"; readonly why: string }
  /** The registry cannot be asked where tags point. */
  | { readonly kind: "unavailable"; readonly message: string; readonly retryAfterMs: number };

/** How many pushes of a repository are looked through for another tag of a digest. */
const maxPushes = 200;

/** The way to digests as things are now, never a guess: somebody may write, and tags may move, right after it. */
export async function wayTo(
  deps: FlowDeps,
  document: WorkloadDocument | undefined,
  workload: Workload,
  to: Wanted,
): Promise<WayTo> {
  if (shows(workload, to)) return { kind: "there" };
  if (leadsBack(document?.left, workload, to)) return { kind: "back" };
  const via: Record<string, string> = {};
  try {
    for (const [name, wanted] of Object.entries(to)) {
      const tag = await tagTo(deps, wanted);
      if (tag === undefined) return { kind: "none", why: noWay(wanted) };
      via[name] = tag;
    }
  } catch (error) {
    if (registryReason(error) === undefined) throw error;
    return { kind: "unavailable", message: messageOf(error), retryAfterMs: retryAfterOf(error) ?? 0 };
  }
  return { kind: "tags", via };
}

/** A tag that the registry resolves to the digest now. */
async function tagTo(deps: FlowDeps, wanted: WantedContainer): Promise<string | undefined> {
  const { repository, digest } = wanted;
  const { value: image } = await loadImage(deps, repository);
  const pushes = await pushesOf(deps, repository);
  for (const tag of tagsTo(wanted, { builds: image.builds, pushes })) {
    const head = await deps.recorder.step("registry.head", () => deps.registry.head(repository, tag));
    if (head?.digest === digest) return tag;
  }
  return undefined;
}

async function pushesOf(deps: FlowDeps, repository: Repository): Promise<readonly SeenTag[]> {
  const nowMs = await deps.ledger.clock();
  const events = await deps.ledger.events({ repository, nowMs }, maxPushes);
  return events.flatMap(({ value }) => {
    const tag = imageOf(value)?.tag;
    return tag === undefined ? [] : [{ tag, digest: value.digest }];
  });
}

function noWay({ repository, tag, digest }: WantedContainer): string {
  const image = printReference({ repository, tag, digest });
  return (
    `nothing leads back to ${image} for certain: the service is not as Landfall's own redeploy left it on top of that, ` +
    "and no tag of a version or a commit is known that points there: push what ran well under its tag once more, " +
    "set the image by hand, or use `kind: swarm` for this target"
  );
}
