import { parseReference } from "../domain/reference.ts";
import type { Wanted, WantedContainer } from "../domain/rollout.ts";
import type { Workload } from "../domain/workload.ts";
import type { Left, WorkloadDocument } from "../ledger/ledger.ts";

/**
 * Whether a target that goes back only to what it had before would come to these digests: our newest write replaced
 * them, and nobody has written since.
 */
export function leadsBack(left: Left | undefined, workload: Workload, to: Wanted): boolean {
  if (left === undefined || workload.stamp?.now !== left.stamp) return false;
  return Object.entries(to).every(([name, { repository, digest }]) => {
    const image = workload.containers.find((container) => container.name === name)?.image;
    const before = parseReference(left.images[name] ?? "");
    return (
      image !== undefined &&
      image === left.now[name] &&
      before.kind === "reference" &&
      before.reference.repository === repository &&
      before.reference.digest === digest
    );
  });
}

/** A tag of an image, with the digest that it was seen with. */
export interface SeenTag {
  readonly tag: string;
  readonly digest?: string | undefined;
}

const maxTags = 5;

/**
 * Tags by which a digest may be asked for, the one it is recorded with first; the registry has to say whether they still
 * lead there. Builds and pushes give others, of which only those count that nobody moves: a version, a commit.
 */
export function tagsTo(
  { tag, digest }: WantedContainer,
  known: { readonly builds: readonly SeenTag[]; readonly pushes: readonly SeenTag[] },
): readonly string[] {
  const isMeant = (seen: SeenTag) => seen.digest === digest && isImmutable(seen.tag);
  const others = [...known.builds, ...known.pushes].filter(isMeant).map((seen) => seen.tag);
  return [...new Set([tag, ...others])].slice(0, maxTags);
}

/** A whole version, or a text that ends in an abbreviated commit at least. */
function isImmutable(tag: string): boolean {
  return /^v?\d+\.\d+\.\d+(?:[-+_.]|$)/.test(tag) || /(?:^|[-_.g])(?=[a-f]*\d)[0-9a-f]{7,64}$/.test(tag);
}

/** A workload as it follows: what was brought to another tag for its digest still follows the one from before. */
export function asFollowed(workload: Workload, detours: WorkloadDocument["detours"]): Workload {
  if (detours === undefined) return workload;
  const containers = workload.containers.map((container) => {
    const { reference } = container;
    const detour = detours[container.name];
    if (reference === undefined || detour === undefined || detour.at !== reference.tag) return container;
    return { ...container, reference: { ...reference, tag: detour.follows } };
  });
  return { ...workload, containers };
}

/**
 * The detours of a workload that shows `to` after a write.
 * @param leads whether the write was made to lead to a digest, by whatever tag, and not to a tag
 */
export function detoursOf(
  before: WorkloadDocument["detours"],
  shown: Workload,
  to: Wanted,
  leads: boolean,
): NonNullable<WorkloadDocument["detours"]> {
  const others = Object.entries(before ?? {}).filter(([name]) => to[name] === undefined);
  const own = Object.entries(to).flatMap(([name, { tag: follows }]) => {
    const at = shown.containers.find((container) => container.name === name)?.reference?.tag;
    return !leads || at === undefined || at === follows ? [] : [[name, { at, follows }] as const];
  });
  return Object.fromEntries([...others, ...own]);
}
