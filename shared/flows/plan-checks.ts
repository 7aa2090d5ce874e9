import { wantedOn } from "../decide/promotion.ts";
import type { Observed } from "../decide/push.ts";
import type { ImageRule } from "../decide/rules.ts";
import { type Commit, isCommit } from "../domain/commit.ts";
import type { Digest, Reference } from "../domain/reference.ts";
import type { Wanted } from "../domain/rollout.ts";
import type { Platform, Workload } from "../domain/workload.ts";
import type { Built, ImageDocument } from "../ledger/image-document.ts";
import {
  type Check,
  type Hold,
  type OpenRollout,
  rolloutId,
  type WorkloadDocument,
} from "../ledger/ledger.ts";
import type { FlowDeps, FlowTarget } from "./deps.ts";
import { loadImage } from "./image.ts";

/** What the image's own document says of a plan: whether it may be made, and what it depends on. */
type ImageSays =
  | { readonly kind: "may"; readonly checks: readonly Check[] }
  | { readonly kind: "held"; readonly detail: string }
  /** The head or the channel is about to move on. */
  | { readonly kind: "overtaken" };

/**
 * A person may hold a digest for every workload; and a plan for a commit or a channel depends on the image, so that no
 * newer build is accepted before the plan is.
 */
export async function imageSays(deps: FlowDeps, seen: Observed): Promise<ImageSays> {
  const { id, rev, value } = await loadImage(deps, seen.repository);
  const hold = value.holds?.find(({ digest }) => digest === seen.digest);
  if (hold !== undefined) {
    return { kind: "held", detail: printHold(hold) };
  }
  if (seen.line === "tag") return { kind: "may", checks: [] };
  const isNewest =
    seen.line === "head"
      ? value.head?.generation === seen.generation
      : isSettled(value, deps.rule(seen.repository), seen);
  return isNewest
    ? { kind: "may", checks: [{ collection: "images", id, expect: rev }] }
    : { kind: "overtaken" };
}

/** Why a digest is held for all workloads, for a person. */
export function printHold({ by = "Landfall", reason }: Hold): string {
  return `by ${by} everywhere: ${reason}`;
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
    const running = commitOf(reference, builds);
    if (running === undefined || running === commit) continue;
    if (await isOurs(deps, { seen, workload, name, digest: reference.digest }, known)) continue;
    const order = await deps.recorder.step("history.order", () => deps.history.order(git, running, commit));
    if (order === "newer" || order === "same") continue;
    const detail = `${name} runs ${running.slice(0, 12)}, and ${commit.slice(0, 12)} is ${order} to it`;
    return { reason: order === "older" ? "older" : "held-back", detail };
  }
  return undefined;
}

/** The same right before the write, for a workload that somebody has changed since the plan was made. */
export async function runsNewerNow(
  deps: FlowDeps,
  { to, from }: Pick<OpenRollout, "to" | "from">,
  workload: Workload,
  known: Pick<WorkloadDocument, "deployed" | "wanted">,
): ReturnType<typeof runsNewer> {
  for (const { name, image, reference } of workload.containers) {
    const wanted = to[name];
    if (wanted?.line !== "head" && wanted?.line !== "channel") continue;
    if (from[name] === image || reference?.digest === wanted.digest) continue;
    const { builds } = (await loadImage(deps, wanted.repository)).value;
    const commit = builds.find(({ digest }) => digest === wanted.digest)?.commit;
    if (commit === undefined) continue;
    const seen = { ...wanted, line: wanted.line, commit };
    const newer = await runsNewer(deps, { seen, builds }, workload, { [name]: wanted }, known);
    if (newer !== undefined) return newer;
  }
  return undefined;
}

/** Whether a rollout on the line of what was seen put there what a container runs, verified or not. */
async function isOurs(
  deps: FlowDeps,
  what: {
    readonly seen: Observed;
    readonly workload: Workload;
    readonly name: string;
    readonly digest: Digest | undefined;
  },
  known: Pick<WorkloadDocument, "deployed" | "wanted"> | undefined,
): Promise<boolean> {
  const { seen, workload, name, digest } = what;
  const wanted = known?.wanted[name];
  if (digest === undefined || wanted?.line !== seen.line) return false;
  if (digest === wanted.digest || digest === known?.deployed?.[name]) return true;
  // One that was replaced before it came to its end: the target has its number.
  const written = await deps.ledger.get("rollouts", rolloutId(workload.id, workload.fence));
  const to = written?.value.to[name];
  return to?.line === seen.line && to.digest === digest;
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
