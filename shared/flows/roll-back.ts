import { isDeepStrictEqual } from "node:util";
import { goodFor, goodsOf } from "../decide/aftermath.ts";
import type { Wanted } from "../domain/rollout.ts";
import type { Workload } from "../domain/workload.ts";
import type { Hold, OpenRollout } from "../ledger/ledger.ts";
import type { FlowDeps, FlowTarget } from "./deps.ts";
import type { End } from "./finish.ts";
import { loadImage } from "./image.ts";
import { registryReason } from "./observe.ts";
import type { Ticket } from "./plan-writes.ts";
import { save } from "./save.ts";
import { wayTo } from "./way-to.ts";

/** How a rollout goes on, with the workload read again. */
export type Way =
  /** `back`: by what the target itself had before. */
  | { readonly kind: "goes"; readonly ticket: Ticket; readonly back?: true }
  | { readonly kind: "ends"; readonly end: End }
  | { readonly kind: "unavailable"; readonly message: string; readonly retryAfterMs: number }
  /** Somebody else moved the workload on. */
  | { readonly kind: "lost" };

/** Whether a rollback can go on, and to what: the newest good images that the registry still has. */
export async function wayBack(
  deps: FlowDeps,
  ticket: Ticket,
  at: FlowTarget,
  undoes: Wanted,
  fresh: Workload,
): Promise<Way> {
  const { document, open } = ticket;
  const astray = strayed(open, fresh);
  if (astray !== undefined) return fails(astray);
  const isOurs = Object.entries(undoes).every(([name, { digest }]) => {
    const running = fresh.containers.find((container) => container.name === name)?.reference?.digest;
    return running === digest || running === open.to[name]?.digest;
  });
  if (!isOurs) return { kind: "ends", end: { state: "superseded", reason: "changed by someone else" } };
  const everywhere = await heldEverywhere(deps, undoes);
  for (const images of goodsOf(document.value, everywhere)) {
    const to = goodFor(undoes, [images]);
    if (to === undefined || !(await isThere(deps, to))) continue;
    if (isSame(to, open.to)) return wayOn(deps, ticket, at, fresh);
    const next = await save(deps, "workload.correct", ticket, { ...open, to });
    return next === undefined ? { kind: "lost" } : wayOn(deps, next, at, fresh);
  }
  return fails("nothing that it ran well with is in the registry any more, and not held");
}

/** How the target comes to the digests of a rollback; one that takes any digest is told it. */
export async function wayOn(
  deps: FlowDeps,
  ticket: Ticket,
  { target }: FlowTarget,
  fresh: Workload,
): Promise<Way> {
  if (target.capabilities.rollsBackTo === "any") return { kind: "goes", ticket };
  const { open, document } = ticket;
  const way = await wayTo(deps, document.value, fresh, open.to);
  switch (way.kind) {
    case "there":
      return { kind: "goes", ticket };
    case "back":
      return { kind: "goes", ticket, back: true };
    case "tags": {
      if (isDeepStrictEqual(open.via, way.via)) return { kind: "goes", ticket };
      // By which tag it is asked for is on record first: what that is resolved to is ours.
      const next = await save(deps, "workload.correct", ticket, { ...open, via: way.via });
      return next === undefined ? { kind: "lost" } : { kind: "goes", ticket: next };
    }
    case "none":
      return fails(way.why);
    case "unavailable":
      return way;
    default:
      return way satisfies never;
  }
}

/** A tag that was asked for, and that the target has resolved to something else than what ran well. */
function strayed({ via = {}, undoes = {}, to }: OpenRollout, fresh: Workload): string | undefined {
  const astray = fresh.containers.find(({ name, reference }) => {
    const isAsked = reference?.tag !== undefined && reference.tag === via[name];
    const known = [undoes[name]?.digest, to[name]?.digest];
    return isAsked && !known.includes(reference.digest);
  });
  return astray && `the target was asked for what ran well, and runs ${astray.image}`;
}

function fails(reason: string): Way {
  return { kind: "ends", end: { state: "failed", reason, blame: "environment" } };
}

/** What is held for all workloads of the images that are to be brought back. */
export async function heldEverywhere(deps: FlowDeps, to: Wanted): Promise<readonly Hold[]> {
  const repositories = new Set(Object.values(to).map(({ repository }) => repository));
  const images = await Promise.all([...repositories].map((each) => loadImage(deps, each)));
  return images.flatMap(({ value }) => value.holds ?? []);
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
