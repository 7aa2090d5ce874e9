import type { Digest } from "../domain/reference.ts";
import type { Order } from "../history/commit-history.ts";
import type { Head } from "../ledger/image-document.ts";

/** What a build of an image with an order means for the image. */
export type BuildDecision =
  /** It is the newest: the head moves to it. */
  | { readonly kind: "head" }
  /** The head's own commit, built once more. */
  | { readonly kind: "rebuild" }
  | { readonly kind: "current" }
  | { readonly kind: "superseded"; readonly detail: string }
  /** Nobody can say that it is newer: a person has to look. */
  | {
      readonly kind: "held-back";
      readonly reason: "diverged" | "off-branch" | "unknown-commit" | "rebuilt";
      readonly detail: string;
    }
  /** The git host may only be behind. */
  | { readonly kind: "not-yet"; readonly detail: string };

export interface BuildFacts {
  readonly order: Order;
  readonly branch: string;
  readonly head: Pick<Head, "commit" | "digest"> | undefined;
  readonly commit: string;
  /** What the build's tag resolves to now. */
  readonly digest: Digest;
  /** Whether a commit may be built again with another result. */
  readonly rebuilds: boolean;
}

/** Only a proper descendant on the branch moves the head; whatever is not certain does not. */
export function decideBuild({ order, branch, head, commit, digest, rebuilds }: BuildFacts): BuildDecision {
  const short = commit.slice(0, 12);
  const from = head === undefined ? "nothing" : head.commit.slice(0, 12);
  switch (order) {
    case "newer":
      return { kind: "head" };
    case "same":
      if (head?.digest === digest) return { kind: "current" };
      return rebuilds
        ? { kind: "rebuild" }
        : {
            kind: "held-back",
            reason: "rebuilt",
            detail: `${short} was built again as ${digest}, and \`rebuilds\` is false`,
          };
    case "older":
      return { kind: "superseded", detail: `${short} is an ancestor of ${from}` };
    case "diverged":
      return {
        kind: "held-back",
        reason: "diverged",
        detail: `neither ${short} nor ${from} is an ancestor of the other`,
      };
    case "off-branch":
      return { kind: "held-back", reason: "off-branch", detail: `${short} is not on ${branch}` };
    case "unknown-from":
      return {
        kind: "held-back",
        reason: "unknown-commit",
        detail: `the repository does not have ${from}, which is deployed`,
      };
    case "unknown-to":
      return { kind: "not-yet", detail: `the repository does not have ${short} yet` };
    default:
      return order satisfies never;
  }
}
