import { type Digest, parseReference } from "../domain/reference.ts";
import type { Blame, Wanted, WantedContainer } from "../domain/rollout.ts";
import type { Hold, WorkloadDocument } from "../ledger/ledger.ts";

/** References by container, as the target spells them. */
export type Images = Readonly<Record<string, string>>;

type Goods = Pick<WorkloadDocument, "lastGood" | "earlierGood" | "baseline" | "holds">;

export interface FailureFacts {
  readonly to: Wanted;
  readonly blame: Blame;
  /** The rollout was itself a rollback: that is never rolled back. */
  readonly isRollback: boolean;
  /** The target still shows what the rollout wrote. */
  readonly stands: boolean;
  /** The target went back by itself to what it had run before. */
  readonly restored: boolean;
  /** Fewer tasks run than are wanted. */
  readonly short: boolean;
  /** Containers that failed by their own image; empty: the target names none. */
  readonly guilty: readonly string[];
  /** How often it was tried again because of its environment. */
  readonly retries: number;
  /** What was verified, newest first, then what ran before Landfall. */
  readonly goods: readonly Images[];
  readonly rules: { readonly rollback: boolean };
}

/** What becomes of a workload whose rollout failed. */
export type Aftermath =
  /** It is left as it is. */
  | { readonly kind: "stay"; readonly held: readonly Digest[] }
  | { readonly kind: "restored"; readonly held: readonly Digest[]; readonly thenRetryMs?: number }
  | {
      readonly kind: "roll-back";
      readonly to: Wanted;
      readonly held: readonly Digest[];
      readonly thenRetryMs?: number;
    }
  | { readonly kind: "retry"; readonly afterMs: number }
  | { readonly kind: "unavailable"; readonly why: string; readonly held: readonly Digest[] };

/** A rollout that failed by its environment is tried again after these, ms. */
const retryPausesMs = [60_000, 300_000, 900_000] as const;

/**
 * An image that failed by itself is held, and the workload goes back to what was good. What the environment did is
 * tried again, and rolled back before only where it costs tasks.
 */
export function decideAftermath(facts: FailureFacts): Aftermath {
  const { blame, isRollback, restored, stands, rules } = facts;
  const held = blame === "image" && !isRollback ? heldBy(facts) : [];
  if (isRollback) return { kind: "stay", held };
  const retryMs = blame === "environment" ? retryPausesMs[facts.retries] : undefined;
  const thenRetry = retryMs === undefined ? {} : { thenRetryMs: retryMs };
  if (restored && facts.short && retryMs === undefined) {
    return { kind: "unavailable", why: "the target went back by itself, and not all of its tasks run", held };
  }
  if (restored) return { kind: "restored", held, ...thenRetry };
  if (!stands) return { kind: "stay", held };
  const goesBack = rules.rollback && (blame === "image" || facts.short);
  if (!goesBack) return retryMs === undefined ? { kind: "stay", held } : { kind: "retry", afterMs: retryMs };
  const to = goodFor(facts.to, facts.goods);
  if (to === undefined) {
    if (retryMs !== undefined) return { kind: "retry", afterMs: retryMs };
    return { kind: "unavailable", why: "no digest is on record that it ran well with", held };
  }
  return { kind: "roll-back", to, held, ...thenRetry };
}

/** What a workload may go back to, newest first: nothing that is held, by whom ever, for it or everywhere. */
export function goodsOf(
  { lastGood, earlierGood = [], baseline, holds }: Goods,
  everywhere: readonly Pick<Hold, "digest">[] = [],
): readonly Images[] {
  const held = new Set<string>([...holds, ...everywhere].map(({ digest }) => digest));
  return [lastGood, ...earlierGood, baseline]
    .filter((images) => images !== undefined)
    .filter(
      (images) => !Object.values(images).some((image) => held.has(image.slice(image.indexOf("@") + 1))),
    );
}

/** The newest good references for all containers that failed together; only whole ones can be gone back to. */
export function goodFor(failed: Wanted, goods: readonly Images[]): Wanted | undefined {
  for (const images of goods) {
    const entries = Object.entries(failed).map(([name, wanted]) => backTo(wanted, images[name], name));
    if (entries.every((entry) => entry !== undefined)) return Object.fromEntries(entries);
  }
  return undefined;
}

/**
 * Where a person can bring a workload back to, newest first: for each good state the containers that are known there, if
 * each of them had another digest then.
 * @param running what the containers name now, or are about to
 */
export function waysBack(running: Wanted, goods: readonly Images[]): readonly Wanted[] {
  return goods.flatMap((images) => {
    const known = Object.fromEntries(Object.entries(running).filter(([name]) => images[name] !== undefined));
    const to = goodFor(known, [images]);
    return to === undefined || Object.keys(to).length === 0 ? [] : [to];
  });
}

function backTo(failed: WantedContainer, image: string | undefined, name: string) {
  const read = image === undefined ? undefined : parseReference(image);
  if (read?.kind !== "reference") return undefined;
  const { repository, tag, digest } = read.reference;
  if (tag === undefined || digest === undefined || digest === failed.digest) return undefined;
  // Under the observation that failed: the same one does not bring it back, a newer one does. Those of another tag are
  // counted apart.
  const isCounted = tag === failed.tag || failed.line === "head";
  return [name, { ...failed, repository, tag, digest, ...(isCounted ? {} : { generation: 0 }) }] as const;
}

/** The images of the containers that failed; where the target names none, that of a workload with one container. */
function heldBy({ to, guilty }: FailureFacts): readonly Digest[] {
  const names = Object.keys(to);
  const blamed = guilty.length > 0 ? names.filter((name) => guilty.includes(name)) : names;
  const digests = [...new Set(blamed.flatMap((name) => to[name]?.digest ?? []))];
  // Several images, and nobody knows whose fault it is: none is held.
  return guilty.length > 0 || digests.length === 1 ? digests : [];
}
