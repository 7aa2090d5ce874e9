import { choosesByTag, highest } from "../decide/policies/index.ts";
import type { Observed } from "../decide/push.ts";
import { type Policy, parsePolicy } from "../domain/policy.ts";
import { printReference, type Repository } from "../domain/reference.ts";
import type { Container, Workload } from "../domain/workload.ts";
import { messageOf } from "../errors.ts";
import type { FlowDeps } from "./deps.ts";
import { glanceAt } from "./glance.ts";
import { loadImage } from "./image.ts";
import { registryReason } from "./observe.ts";
import { printHold } from "./plan-checks.ts";

/** What a container's policy wants now; `undefined`: it follows nothing that could be asked about. */
export type Wish =
  | { readonly kind: "wanted"; readonly seen: Observed }
  | { readonly kind: "unknown"; readonly detail: string }
  | undefined;

export interface Looks {
  wishOf(workload: Workload, container: Container): Promise<Wish>;
  /** Why a digest is held for all workloads. */
  heldEverywhere(seen: Observed): Promise<string | undefined>;
  /** What could not be asked, in words, once each. */
  readonly troubles: ReadonlySet<string>;
}

/** Questions to registries at once. */
const maxAtOnce = 16;

/** Answers what is wanted, and asks each thing once however many workloads follow it. */
export function newLooks(deps: FlowDeps): Looks {
  const troubles = new Set<string>();
  const asked = new Map<string, Promise<Wish>>();
  const limited = gate(maxAtOnce);
  const once = (key: string, ask: () => Promise<Wish>): Promise<Wish> => {
    const known = asked.get(key);
    if (known !== undefined) return known;
    const asking = limited(ask).then((wish) => {
      if (wish?.kind === "unknown") troubles.add(wish.detail);
      return wish;
    });
    asked.set(key, asking);
    return asking;
  };

  const byTag = async (repository: Repository, tag: string): Promise<Wish> => {
    const glanced = await glanceAt(deps, repository, tag);
    switch (glanced.kind) {
      case "seen": {
        const { digest, generation } = glanced;
        return { kind: "wanted", seen: { repository, tag, digest, generation, line: "tag" } };
      }
      case "missing":
        return { kind: "unknown", detail: `${printReference({ repository, tag })} is not in the registry` };
      case "unavailable":
        return { kind: "unknown", detail: glanced.detail };
      default:
        return glanced satisfies never;
    }
  };

  const tagLists = new Map<Repository, Promise<readonly string[]>>();
  const tagsOf = (repository: Repository) => {
    const listing =
      tagLists.get(repository) ?? deps.recorder.step("registry.tags", () => deps.registry.tags(repository));
    tagLists.set(repository, listing);
    return listing;
  };
  const byVersion = async (repository: Repository, policy: Policy): Promise<Wish> => {
    try {
      const tag = highest(policy, await tagsOf(repository));
      return tag === undefined
        ? { kind: "unknown", detail: `no tag of ${repository} takes part in the policy` }
        : byTag(repository, tag);
    } catch (error) {
      if (registryReason(error) === undefined) throw error;
      return { kind: "unknown", detail: messageOf(error) };
    }
  };

  const images = new Map<Repository, ReturnType<typeof loadImage>>();
  const imageOf = (repository: Repository) => {
    const loading = images.get(repository) ?? loadImage(deps, repository);
    images.set(repository, loading);
    return loading;
  };
  const byPromotion = async (repository: Repository, tag: string): Promise<Wish> => {
    const { promoted, promotedMs = 0, generation } = (await imageOf(repository)).value.channels[tag] ?? {};
    if (promoted === undefined || generation === undefined) return undefined;
    const { digest, commit, heardMs = promotedMs } = promoted;
    const seen = { repository, tag, digest, generation, line: "channel", heardMs } as const;
    return { kind: "wanted", seen: { ...seen, ...(commit === undefined ? {} : { commit }) } };
  };
  const byCommit = async (repository: Repository): Promise<Wish> => {
    const { head } = (await imageOf(repository)).value;
    if (head === undefined) return undefined;
    const { tag, digest, generation, commit, acceptedMs, heardMs = acceptedMs } = head;
    return { kind: "wanted", seen: { repository, tag, digest, generation, commit, line: "head", heardMs } };
  };

  return {
    troubles,
    async heldEverywhere({ repository, digest }) {
      const { holds = [] } = (await imageOf(repository)).value;
      const hold = holds.find((each) => each.digest === digest);
      return hold && printHold(hold);
    },
    async wishOf(workload, container) {
      const { repository, tag } = container.reference ?? {};
      if (repository === undefined || tag === undefined || !deps.follows(repository)) return undefined;
      const rule = deps.rule(repository);
      if (rule.channels.some((each) => each.tag === tag)) {
        return once(`channel ${repository}:${tag}`, () => byPromotion(repository, tag));
      }
      const policy = policyOf(deps, workload, container, repository);
      if (policy.kind === "commit") return once(`head ${repository}`, () => byCommit(repository));
      if (choosesByTag(policy)) {
        return once(`version ${repository} ${JSON.stringify(policy)}`, () => byVersion(repository, policy));
      }
      return once(`tag ${repository}:${tag}`, () => byTag(repository, tag));
    },
  };
}

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

/** At most so many at once, in the order in which they came. */
function gate(max: number): <T>(act: () => Promise<T>) => Promise<T> {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (act) => {
    if (running >= max) await new Promise<void>((go) => waiting.push(go));
    running++;
    try {
      return await act();
    } finally {
      running--;
      waiting.shift()?.();
    }
  };
}
