import { choosesByTag } from "../decide/policies/index.ts";
import { type Policy, parsePolicy } from "../domain/policy.ts";
import type { SkipReason } from "../domain/reasons.ts";
import { printReference, type Repository } from "../domain/reference.ts";
import type { Container, Workload } from "../domain/workload.ts";
import type { FlowDeps } from "./deps.ts";

/** What containers follow. However many follow it, it is asked once. */
export interface Question {
  /** The same for the same question, in every run, e.g. `docker.io/acme/web:v1`. */
  readonly key: string;
  readonly repository: Repository;
  readonly about:
    | { readonly kind: "tag"; readonly tag: string }
    | { readonly kind: "version"; readonly policy: Policy }
    /** What the ledger answers by itself. */
    | { readonly kind: "channel"; readonly tag: string }
    | { readonly kind: "head" };
}

export type Follows =
  | { readonly kind: "asks"; readonly question: Question }
  | { readonly kind: "skipped"; readonly reason: SkipReason }
  /** Nobody said that Landfall may deploy it. */
  | { readonly kind: "unmanaged" };

/** How a container follows its image: its own label says so, that of its workload, or the configuration. */
export function policyOf(
  deps: Pick<FlowDeps, "rule">,
  { settings }: Workload,
  { name }: Container,
  repository: Repository,
): Policy {
  const own = settings[`policy.${name}`] ?? settings.policy;
  const parsed = own === undefined ? undefined : parsePolicy(own);
  return parsed?.kind === "policy" ? parsed.policy : deps.rule(repository).policy;
}

/** What a container follows. Many name the same image: the answer is kept. */
export type Questions = (workload: Workload, container: Container) => Follows;

export function newQuestions(deps: Pick<FlowDeps, "follows" | "rule">): Questions {
  const known = new Map<string, Follows>();
  return (workload, container) => {
    const { name, reference } = container;
    if (reference === undefined) return { kind: "unmanaged" };
    const { repository, tag } = reference;
    const own = workload.settings[`policy.${name}`] ?? workload.settings.policy;
    const id = `${repository} ${tag ?? ""} ${own ?? ""}`;
    const before = known.get(id);
    if (before !== undefined) return before;
    const follows = followed(deps, repository, tag, () => policyOf(deps, workload, container, repository));
    known.set(id, follows);
    return follows;
  };
}

function followed(
  deps: Pick<FlowDeps, "follows" | "rule">,
  repository: Repository,
  tag: string | undefined,
  policyNow: () => Policy,
): Follows {
  if (!deps.follows(repository)) return { kind: "unmanaged" };
  if (tag === undefined) return { kind: "skipped", reason: "digest-pinned" };
  const rule = deps.rule(repository);
  const asks = (key: string, about: Question["about"]): Follows => ({
    kind: "asks",
    question: { key, repository, about },
  });
  const image = printReference({ repository, tag });
  if (rule.channels.some((each) => each.tag === tag)) return asks(image, { kind: "channel", tag });
  const policy = policyNow();
  if (policy.kind === "none") return { kind: "skipped", reason: "policy-none" };
  if (policy.kind === "commit") return asks(`${repository} by commit`, { kind: "head" });
  if (choosesByTag(policy)) {
    return asks(`${repository} by ${JSON.stringify(policy)}`, { kind: "version", policy });
  }
  return asks(image, { kind: "tag", tag });
}
