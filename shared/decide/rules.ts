import type { Policy } from "../domain/policy.ts";

/** A tag that Landfall owns and moves forward. */
export interface ChannelRule {
  readonly tag: string;
  /** Names of the targets whose workloads it deploys to; absent: all. */
  readonly targets?: readonly string[];
  /** The channel that has to prove a digest first. */
  readonly after?: string;
  /** How long a digest must have run well there, ms. */
  readonly soakMs: number;
  /** It moves only when a person says so. */
  readonly byHand: boolean;
}

/** What the configuration says of an image. */
export interface ImageRule {
  /** Where its commits are; absent: its builds have no order, and a push of a tag counts as it comes. */
  readonly git?: { readonly url: string; readonly branch: string; readonly rebuilds: boolean };
  readonly channels: readonly ChannelRule[];
  /** How containers follow it, unless their workload says otherwise. */
  readonly policy: Policy;
  /** Whether a tag is nothing to deploy, e.g. of a change under review. */
  readonly ignores: (tag: string) => boolean;
}
