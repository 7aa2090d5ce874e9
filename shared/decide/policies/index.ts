import type { Policy } from "../../domain/policy.ts";
import { channel } from "./channel.ts";
import { commit } from "./commit.ts";
import { none } from "./none.ts";
import { pattern } from "./pattern.ts";
import { semver } from "./semver.ts";
import { tag } from "./tag.ts";
import { skip, type TagDecision, type TagRules } from "./tag-rules.ts";

export type { Policy } from "../../domain/policy.ts";
export type { TagDecision } from "./tag-rules.ts";

/** Every policy, by the name that it has in labels and in the configuration. */
const policies = { tag, none, commit, channel, semver, pattern } satisfies {
  readonly [Kind in Policy["kind"]]: (policy: Policy & { kind: Kind }) => TagRules;
};

/** Ranges and expressions are read once for each policy, not for each of thousands of tags. */
const made = new WeakMap<Policy, TagRules>();

/**
 * Whether the policy chooses among the tags of a repository by their text: what it wants is then the `highest` of
 * them. Of the others no tag list is ever needed.
 */
export function choosesByTag(policy: Policy): boolean {
  return policy.kind === "semver" || policy.kind === "pattern";
}

/** Whether a tag takes part under the policy. None does where git or a promotion chooses. */
export function matches(policy: Policy, tag: string): boolean {
  return rulesOf(policy).admits(tag);
}

/**
 * How two tags stand to each other: negative when `one` is the lower, 0 for one and the same tag only. `undefined`:
 * the policy cannot compare them. A total order of all tags that it can read, those outside of its range included.
 */
export function compareTags(policy: Policy, one: string, other: string): number | undefined {
  return rulesOf(policy).compare(one, other);
}

/** The highest of the tags that take part, whatever their order; `undefined` when none does or none is above another. */
export function highest(policy: Policy, tags: readonly string[]): string | undefined {
  if (!choosesByTag(policy)) return undefined;
  const { admits, compare } = rulesOf(policy);
  return tags
    .filter(admits)
    .reduce<string | undefined>(
      (best, each) => (best === undefined || (compare(each, best) ?? 0) > 0 ? each : best),
      undefined,
    );
}

/**
 * What a tag that was pushed, or found to be the highest, means for a container. Never leads below what runs, nor away
 * from what cannot be compared.
 */
export function decideTag(
  policy: Policy,
  { running, candidate }: { readonly running?: string | undefined; readonly candidate: string },
): TagDecision {
  if (policy.kind === "none") return skip("policy-none");
  return running === undefined ? skip("digest-pinned") : rulesOf(policy).decide(running, candidate);
}

function rulesOf(policy: Policy): TagRules {
  const known = made.get(policy);
  if (known !== undefined) return known;
  // Each takes the policy of its own kind, which is what `kind` has just chosen.
  const rules = policies[policy.kind](policy as never);
  made.set(policy, rules);
  return rules;
}
