import { wantedOn } from "../decide/promotion.ts";
import type { Observed } from "../decide/push.ts";
import type { ImageRule } from "../decide/rules.ts";
import { type Commit, isCommit } from "../domain/commit.ts";
import type { Reference } from "../domain/reference.ts";
import type { Wanted } from "../domain/rollout.ts";
import type { Platform, Workload } from "../domain/workload.ts";
import type { Built, ImageDocument } from "../ledger/image-document.ts";
import type { Check, WorkloadDocument } from "../ledger/ledger.ts";
import type { FlowDeps, FlowTarget } from "./deps.ts";
import { loadImage } from "./image.ts";

/** What a plan for a commit or a channel depends on: that no newer build of the image is accepted before the plan is. */
export async function newestOf(deps: FlowDeps, seen: Observed): Promise<Check | "superseded" | undefined> {
  if (seen.line === "tag") return undefined;
  const { id, rev, value } = await loadImage(deps, seen.repository);
  const isNewest =
    seen.line === "head"
      ? value.head?.generation === seen.generation
      : isSettled(value, deps.rule(seen.repository), seen);
  return isNewest ? { collection: "images", id, expect: rev } : "superseded";
}

/** Whether a channel has what it is to have, and that is what was seen. */
function isSettled(image: ImageDocument, { channels }: ImageRule, { tag, generation }: Observed): boolean {
  const channel = channels.find((each) => each.tag === tag);
  return (
    channel !== undefined &&
    wantedOn(image, channel) === undefined &&
    image.channels[tag]?.generation === generation
  );
}

/**
 * Whether a container that is to be replaced runs a commit of which the planned one is no descendant: somebody may have
 * put it there before Landfall knew of it. What runs a commit that nobody knows of is not asked about, and neither is
 * what Landfall put there on the same line: only a person takes that back.
 */
export async function runsNewer(
  deps: FlowDeps,
  { seen, builds = [] }: { readonly seen: Observed; readonly builds?: readonly Built[] },
  workload: Workload,
  to: Wanted,
  known: Pick<WorkloadDocument, "deployed" | "wanted"> | undefined,
): Promise<{ readonly reason: "older" | "held-back"; readonly detail: string } | undefined> {
  const { git } = deps.rule(seen.repository);
  const { commit } = seen;
  if (git === undefined || commit === undefined) return undefined;
  for (const { name, reference } of workload.containers) {
    if (to[name] === undefined || reference === undefined) continue;
    const { digest } = reference;
    if (
      known?.wanted[name]?.line === seen.line &&
      digest !== undefined &&
      known.deployed?.[name] === digest
    ) {
      continue;
    }
    const running = commitOf(reference, builds);
    if (running === undefined || running === commit) continue;
    const order = await deps.recorder.step("history.order", () => deps.history.order(git, running, commit));
    if (order === "newer" || order === "same") continue;
    const detail = `${name} runs ${running.slice(0, 12)}, and ${commit.slice(0, 12)} is ${order} to it`;
    return { reason: order === "older" ? "older" : "held-back", detail };
  }
  return undefined;
}

function commitOf({ tag, digest }: Reference, builds: readonly Built[]): Commit | undefined {
  const built = digest === undefined ? undefined : builds.find((each) => each.digest === digest);
  return built?.commit ?? (isCommit(tag) ? tag : undefined);
}

/** Only a workload whose spec is bound to platforms can be told to be wrong for an image: ask no more than that needs. */
export async function platformMismatch(
  deps: FlowDeps,
  request: { readonly workload: Workload; readonly seen: Observed; readonly at: FlowTarget },
): Promise<string | undefined> {
  const { workload, seen, at } = request;
  if (workload.platforms === undefined || workload.platforms.length === 0) return undefined;
  const offered = await deps.recorder.step("registry.platforms", () =>
    deps.registry.platforms(seen.repository, seen.digest),
  );
  if (offered.length === 0 || workload.platforms.some((platform) => fits(offered, platform)))
    return undefined;
  const nodes = await deps.recorder.step("target.platforms", () => at.target.platforms());
  if (nodes.length === 0 || nodes.some((platform) => fits(offered, platform))) return undefined;
  return `the image is for ${print(offered)}, the nodes are ${print(nodes)}`;
}

function fits(offered: readonly Platform[], wanted: Platform): boolean {
  return offered.some(
    (platform) =>
      platform.os === wanted.os &&
      (platform.architecture === wanted.architecture ||
        platform.architecture === "" ||
        wanted.architecture === ""),
  );
}

function print(platforms: readonly Platform[]): string {
  return [...new Set(platforms.map((platform) => `${platform.os}/${platform.architecture}`))].join(", ");
}
