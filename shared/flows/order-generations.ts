import type { Wanted, WantedContainer } from "../domain/rollout.ts";
import { refId } from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";

/**
 * What had been observed of the tags that containers are to run, planned or not: only what is observed after that is
 * newer than a person's decision. Builds and promotions are told apart by when they were heard.
 */
export async function observedOf(deps: Pick<FlowDeps, "ledger">, to: Wanted): Promise<Wanted> {
  const tagged = Object.entries(to).filter(([, { line = "tag" }]) => line === "tag");
  const entries = tagged.map(async ([name, wanted]) => {
    const generation = Math.max(wanted.generation, await generationOf(deps, wanted));
    return [name, { ...wanted, generation }] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
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
