import { parseReference } from "../domain/reference.ts";
import { shows, type Wanted } from "../domain/rollout.ts";
import type { Workload } from "../domain/workload.ts";
import type { OpenRollout } from "../ledger/ledger.ts";
import type { FlowDeps, FlowTarget } from "./deps.ts";

/** What a workload that was written shows, beside what was wanted of it. */
export type Resolved =
  | { readonly kind: "at"; readonly to: Wanted }
  | { readonly kind: "lagging"; readonly message: string }
  /** It was written, and still has the tag from before. */
  | { readonly kind: "other-tag"; readonly message: string }
  | { readonly kind: "unpinned" }
  /** It was to go back, and did not get there. */
  | { readonly kind: "elsewhere"; readonly message: string }
  | { readonly kind: "changed" };

/**
 * What the target resolved is judged by the registry: the tag's newest digest is as good as the one that was planned.
 * Only a rollback is judged by what ran well: the newest is what it is there to undo.
 */
export async function resolve(deps: FlowDeps, open: OpenRollout, shown: Workload): Promise<Resolved> {
  if (open.cause.kind === "rollback") {
    const images = shown.containers.map(({ image }) => image).join(", ");
    return shows(shown, open.to)
      ? { kind: "at", to: open.to }
      : { kind: "elsewhere", message: `the target took it, and runs ${images}, which is not what ran well` };
  }
  const to: Record<string, Wanted[string]> = {};
  for (const [name, wanted] of Object.entries(open.to)) {
    const container = shown.containers.find((each) => each.name === name);
    const { repository, tag, digest } = container?.reference ?? {};
    if (digest === wanted.digest) {
      to[name] = wanted;
      continue;
    }
    if (repository !== wanted.repository) return { kind: "changed" };
    const asked = open.via?.[name] ?? wanted.tag;
    if (tag !== asked) {
      if (tag === undefined || tag !== tagBefore(open, name)) return { kind: "changed" };
      return { kind: "other-tag", message: `the target took the update and left the tag at ${tag}` };
    }
    if (digest === undefined) return { kind: "unpinned" };
    const head = await deps.recorder
      .step("registry.head", () => deps.registry.head(wanted.repository, asked))
      .catch(() => undefined);
    if (head?.digest !== digest) {
      const was = container?.image === open.from[name] ? "the digest from before the push" : digest;
      return { kind: "lagging", message: `the target resolved the tag to ${was}, not to the registry's` };
    }
    to[name] = { ...wanted, digest };
  }
  return { kind: "at", to };
}

/**
 * Whether a workload is where it is to be before anything is written. One whose target resolves tags by itself may be
 * there with a newer digest than was planned, by a write whose answer was lost: a second one would restart every task.
 */
export async function arrived(
  deps: FlowDeps,
  at: FlowTarget,
  open: OpenRollout,
  fresh: Workload,
): Promise<(Resolved & { readonly kind: "at" }) | undefined> {
  if (shows(fresh, open.to)) return { kind: "at", to: open.to };
  if (at.target.capabilities.pins || !isMoved(fresh, open)) return undefined;
  const resolved = await resolve(deps, open, fresh);
  return resolved.kind === "at" ? resolved : undefined;
}

/** Whether every container that was to be changed names another image than when the plan was made. */
function isMoved(workload: Workload, { from, to }: OpenRollout): boolean {
  return workload.containers.every(({ name, image }) => to[name] === undefined || image !== from[name]);
}

function tagBefore({ from }: OpenRollout, name: string): string | undefined {
  const before = parseReference(from[name] ?? "");
  return before.kind === "reference" ? before.reference.tag : undefined;
}
