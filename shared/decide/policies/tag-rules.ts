import type { SkipReason } from "../../domain/reasons.ts";

/** What a tag means for a container that follows its image by a policy. */
export type TagDecision =
  /** It goes there. */
  | { readonly kind: "follow" }
  /** It runs that tag: only the digest can be another one. */
  | { readonly kind: "same" }
  | { readonly kind: "skip"; readonly reason: SkipReason; readonly detail?: string };

/** A policy with its parameters, made ready to judge many tags. */
export interface TagRules {
  /** Whether a tag takes part at all. */
  admits(tag: string): boolean;
  /** Negative: `one` is lower. 0 for one and the same tag only. `undefined`: the policy cannot compare them. */
  compare(one: string, other: string): number | undefined;
  decide(running: string, candidate: string): TagDecision;
}

export function skip(reason: SkipReason, detail?: string): TagDecision {
  return { kind: "skip", reason, ...(detail === undefined ? {} : { detail }) };
}
