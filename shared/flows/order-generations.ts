import type { Wanted, WantedContainer } from "../domain/rollout.ts";
import { type Check, refId } from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";

/**
 * What had been observed of the tags that containers are to run, planned or not: only what is observed after that is
 * newer than a person's decision. Builds and promotions are told apart by when they were heard.
 * @returns `checks`: that nothing was observed in between, when the decision is put on record
 */
export async function observedOf(
  { ledger }: Pick<FlowDeps, "ledger">,
  to: Wanted,
): Promise<{ readonly over: Wanted; readonly checks: readonly Check[] }> {
  const over: Record<string, WantedContainer> = {};
  const checks = new Map<string, Check>();
  for (const [name, wanted] of Object.entries(to)) {
    const { repository, tag, line = "tag" } = wanted;
    if (line !== "tag") continue;
    const ref = await ledger.get("refs", refId(repository, tag));
    over[name] = { ...wanted, generation: Math.max(wanted.generation, ref?.value.generation ?? 0) };
    if (ref !== undefined) checks.set(ref.id, { collection: "refs", id: ref.id, expect: ref.rev });
  }
  return { over, checks: [...checks.values()] };
}

/** A container that is brought to another tag than before goes by the observations of that one from then on. */
export async function underItsTag(
  deps: Pick<FlowDeps, "ledger">,
  to: Wanted,
  before: Wanted | undefined,
): Promise<Wanted> {
  const entries = Object.entries(to).map(async ([name, wanted]) => {
    const { line = "tag", tag } = wanted;
    if (line !== "tag" || before?.[name]?.tag === tag) return [name, wanted] as const;
    return [name, { ...wanted, generation: await generationOf(deps, wanted) }] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

async function generationOf(
  { ledger }: Pick<FlowDeps, "ledger">,
  { repository, tag }: WantedContainer,
): Promise<number> {
  return (await ledger.get("refs", refId(repository, tag)))?.value.generation ?? 0;
}
